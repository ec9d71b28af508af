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
pub mod rejected;
pub mod route;
mod shown;
mod told;

pub use diff::{Change, diff};
pub use effective::Effective;

use crate::config::diagnose::Problems;
use crate::config::expand::Surroundings;
use crate::plan::{self, Plan};
use route::{Explanation, Question};

/// Explains a request to the gateway that runs `plan`, which was compiled from this text. `file` is the name of the file in origins.
///
/// # Errors
/// The URL or a header of the request is not valid.
pub fn of_request(text: &str, file: &str, around: &Surroundings<'_>, plan: &Plan, question: &Question) -> Result<Explanation, String> {
    let effective = Effective::read(text, file, around);
    let rules = plan::route_rules(&crate::config::read(text, &mut Problems::default(), around));
    route::explain(plan, &effective, &rules, question)
}
