//! The table of all metrics: name, type, labels, unit and meaning, in one place because dashboards and alerts depend on them.
//!
//! The text that is scraped takes names and help from here, `docs/metrics.md` is generated from here, and tests compare all three. Must not
//! know how a metric is counted.
//!
//! | file | what it holds |
//! |---|---|
//! | `metric` | what is said of a metric |
//! | `labels` | the labels |
//! | `requests`, `upstreams`, `gateway` | the metrics |

mod gateway;
pub mod labels;
pub mod metric;
mod requests;
mod upstreams;

pub use gateway::*;
pub use labels::Label;
pub use metric::{Metric, Section, Type};
pub use requests::*;
pub use upstreams::*;

/// All metrics.
pub const SECTIONS: &[&Section] =
    &[&REQUEST_METRICS, &UPSTREAM_METRICS, &GATEWAY_METRICS, &CONFIGURATION_METRICS, &TLS_METRICS, &PROCESS_METRICS];

/// Returns all metrics.
pub fn all() -> impl Iterator<Item = &'static Metric> {
    SECTIONS.iter().flat_map(|section| section.metrics.iter().copied())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_texts_need_no_escapes() {
        let mut names: Vec<&str> = all().map(|metric| metric.name).collect();
        names.sort_unstable();
        assert!(names.windows(2).all(|pair| pair[0] != pair[1]), "{names:?}");
        for metric in all() {
            assert!(!metric.name.ends_with("_total") && !metric.help.ends_with('.'), "{}", metric.name);
            assert!(!metric.help.contains(['"', '\\', '\n']), "{}", metric.name);
        }
    }
}
