//! The rights of a client of the admin listener.
//!
//! Plain data; knows no page.

/// The rights of a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Sees what fails, but not what upstreams said, and changes nothing.
    Viewer,
    /// Sees and changes everything.
    Operator,
}

impl Role {
    /// Returns the word for log lines and the pages.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Operator => "operator",
        }
    }

    /// Returns true if a client with this role may use what asks for `needed`.
    pub const fn may_use(self, needed: Self) -> bool {
        match (self, needed) {
            (Self::Operator, Self::Viewer | Self::Operator) | (Self::Viewer, Self::Viewer) => true,
            (Self::Viewer, Self::Operator) => false,
        }
    }

    /// Returns true if the client may see what upstreams said.
    pub const fn shows_originals(self) -> bool {
        match self {
            Self::Viewer => false,
            Self::Operator => true,
        }
    }
}
