//! Routing: a table of rules by host, path and method, of which the most specific one wins.
//!
//! The host decides first (exact, then the longest wildcard, then any), then the longest path, then the method. A path that a lenient
//! upstream would interpret as another route's path is rejected (`ambiguity`). Knows nothing of a rule's target.

mod ambiguity;
mod table;

pub use ambiguity::is_ambiguous;
pub use table::{Found, Match, Table, Tie};
