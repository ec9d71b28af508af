//! What a reader found in an error body.

use crate::text::Untrusted;

/// What was found in an error body.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// The sentence for people.
    pub message: Option<Untrusted>,
    /// Other sentences that may be it, best first: the reader of a page cannot be sure.
    pub alternatives: Vec<Untrusted>,
    /// The machine code.
    pub code: Option<Untrusted>,
    /// Field path and its messages, in the order found.
    pub fields: Vec<(String, Vec<Untrusted>)>,
    /// RFC 9457 `type`.
    pub problem_type: Option<Untrusted>,
    /// `id` of the JSON-RPC call that failed, as JSON.
    pub rpc_id: Option<String>,
    /// Class of the exception.
    pub exception: Option<Untrusted>,
    /// Stack trace.
    pub stack: Option<Untrusted>,
    /// What the upstream named as the cause.
    pub cause: Option<Untrusted>,
    /// How sure the reader is.
    pub certainty: Certainty,
}

/// How sure a reader is of what it found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Certainty {
    /// The one text that could be it.
    #[default]
    Guess,
    /// It stands under a name that is used for it.
    Likeness,
    /// The shape is known.
    Known,
}

impl Certainty {
    /// The word in the `debug` object.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Guess => "guess",
            Self::Likeness => "likeness",
            Self::Known => "known",
        }
    }
}
