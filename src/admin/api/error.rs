//! Why a question about the journal has no answer. Knows no pages.

use crate::journal::StoreError;

/// Why a request has no answer.
#[derive(Debug)]
pub enum ApiError {
    /// There is no such page, entry or group.
    NotFound,
    /// A parameter is not valid.
    Bad(String),
    /// The role may not ask this.
    Forbidden(&'static str),
    /// The store cannot be used at the moment.
    Store(StoreError),
}

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}
