//! The text format of Prometheus, from that of OpenMetrics. Knows no metric.

/// Returns the metrics of a text in the OpenMetrics format in the text format of Prometheus
/// (<https://prometheus.io/docs/instrumenting/exposition_formats/#text-based-format>).
pub(super) fn plain(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut counters: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.strip_suffix(" counter")).collect();
    counters.sort_unstable();
    for line in text.lines().filter(|line| *line != "# EOF" && !line.starts_with("# UNIT ")) {
        let comment = line.strip_prefix("# HELP ").or(line.strip_prefix("# TYPE "));
        let name = comment.and_then(|rest| rest.split(' ').next()).filter(|name| counters.binary_search(name).is_ok());
        match name {
            // In this format, the metadata of a counter has the name of its samples, with `_total`.
            Some(name) => {
                let (begin, rest) = line.split_at("# HELP ".len() + name.len());
                plain.extend([begin, "_total", rest]);
            }
            None => plain.push_str(line),
        }
        plain.push('\n');
    }
    plain
}
