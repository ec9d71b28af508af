//! Explains a configuration: which values are in force and where each comes from, what differs between two configurations, and what the
//! gateway would do with a request.
//!
//! Pure functions over the text of a configuration and its plan, for the command line and the admin listener. No secret is shown. Must not
//! serve requests.
//!
//! | file | what it explains |
//! |---|---|
//! | `effective` | the values in force, as a list of parts |
//! | `build` | how they are found: schema, file, layers |
//! | `shown` | which texts may be shown |
//! | `print` | the values as TOML and as JSON |
//! | `diff` | the difference between two configurations |
//! | `route` | the route of a request |
//! | `rejected` | why other routes did not get it |
//! | `told` | the route of a request as text and JSON |

mod build;
pub mod diff;
pub mod effective;
pub mod print;
mod shown;

pub use diff::{Change, diff};
pub use effective::Effective;
