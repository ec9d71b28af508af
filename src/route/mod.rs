//! Where a request goes: a table of rules by host, path and method. The most specific rule wins.
//!
//! Hosts first (exact, then the longest wildcard, then any), then the longest path, then the method. A path that a lenient
//! upstream would read as another route's path is refused (`ambiguity`). Knows nothing of what a rule leads to.

mod ambiguity;
mod table;

pub use ambiguity::is_ambiguous;
pub use table::{Found, Match, Table, Tie};
