//! Routing: a table of rules by host, path, method and further conditions, of which the most specific one wins.
//!
//! The host decides first (exact, then the longest wildcard, then any), then the path, then the further conditions, then the method. A
//! path that a lenient upstream would interpret as another route's path is rejected (`ambiguity`). Knows nothing of a rule's target.
//!
//! | file | what it is |
//! |---|---|
//! | `asked` | the parts of a request that decide |
//! | `rule` | the requests that a rule matches |
//! | `pattern` | the paths that a rule matches, and their captures |
//! | `conditions` | further conditions: headers, query, scheme, client |
//! | `choices` | the rules of one path: by conditions and method |
//! | `segments`, `expressions` | look-up of paths with captures, and of regular expressions |
//! | `paths` | look-up of all paths of a host |
//! | `table` | look-up by host |
//! | `ambiguity` | paths that can be read in two ways |
//! | `template` | text with placeholders for parts of a request |

mod ambiguity;
mod asked;
mod choices;
mod conditions;
mod expressions;
mod paths;
mod pattern;
mod rule;
mod segments;
mod table;
mod template;

pub use ambiguity::is_ambiguous;
pub use asked::{Asked, Query};
pub use choices::Found;
pub use conditions::Conditions;
pub use pattern::Pattern;
pub use rule::{Conflict, Match};
pub use table::Table;
pub use template::{Template, Values};
