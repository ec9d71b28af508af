//! The result of a parser: the parts of an error, and how certain the parser is of them. Knows no format.

use crate::text::Untrusted;

/// The parts of an error body.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// The human-readable message.
    pub message: Option<Untrusted>,
    /// A status phrase where the message belongs. It says nothing beside its own status, but something beside another one.
    pub phrase: Option<Untrusted>,
    /// Other sentences that may be the message, best first, because the message of a page is a guess.
    pub alternatives: Vec<Untrusted>,
    /// The machine code.
    pub code: Option<Untrusted>,
    /// Other forms of the code, most specific first: with its prefix, and the codes around it.
    pub codes: Vec<Untrusted>,
    /// The field errors: paths with their errors, in the order of the body.
    pub fields: Vec<Field>,
    /// The items that belong to no field and say more than the message, in the order of the body.
    pub items: Vec<Item>,
    /// The RFC 9457 `type`.
    pub problem_type: Option<Untrusted>,
    /// The `id` of the failed JSON-RPC call, as JSON.
    pub rpc_id: Option<String>,
    /// The class of the exception.
    pub exception: Option<Untrusted>,
    /// The stack trace.
    pub stack: Option<Untrusted>,
    /// The cause that the upstream reported.
    pub cause: Option<Untrusted>,
    /// The certainty of the message, code and fields.
    pub certainty: Certainty,
}

/// A field path (`address.zip`, `items[0].qty`) with the errors of this field.
pub type Field = (String, Vec<Item>);

/// One of several errors in a body, about a field or about the whole request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    /// The human-readable message.
    pub message: Untrusted,
    /// The machine code of this item.
    pub code: Option<Untrusted>,
}

impl Item {
    /// Returns an item without a code.
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: Untrusted::new(message), code: None }
    }
}

/// The certainty of a parser.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Certainty {
    /// The only text that may be the message.
    #[default]
    Guess,
    /// A text with a name that is common for messages.
    Likeness,
    /// A member of a known error format.
    Known,
}

impl Certainty {
    /// Returns the name of the certainty in the `debug` object.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Guess => "guess",
            Self::Likeness => "likeness",
            Self::Known => "known",
        }
    }
}
