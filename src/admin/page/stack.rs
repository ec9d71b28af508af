//! A stack trace with the frames of libraries folded, so that the frames of the service's own code stand out.
//!
//! Pure functions. A frame is a library's if its text names one of the usual places of libraries; what is not known counts as own.

use super::body::visible;

/// The most lines that a page shows.
const MAX_LINES: usize = 400;

/// What stands in frames of runtimes and libraries.
const LIBRARIES: &[&str] = &[
    "at java.",
    "at javax.",
    "at jakarta.",
    "at jdk.",
    "at sun.",
    "at com.sun.",
    "at java.base/",
    "at kotlin.",
    "at kotlinx.",
    "at scala.",
    "at akka.",
    "at org.springframework.",
    "at org.apache.",
    "at org.hibernate.",
    "at org.eclipse.",
    "at org.postgresql.",
    "at com.mysql.",
    "at oracle.",
    "at io.netty.",
    "at io.undertow.",
    "at reactor.",
    "at com.zaxxer.",
    "at com.fasterxml.",
    "at feign.",
    "at io.quarkus.",
    "at io.vertx.",
    "at org.jboss.",
    "at ch.qos.",
    "at System.",
    "at Microsoft.",
    "at Npgsql.",
    "at Newtonsoft.",
    "/site-packages/",
    "/dist-packages/",
    "/lib/python",
    "<frozen ",
    "/vendor/",
    "\\vendor\\",
    "node_modules",
    "(node:",
    "at node:",
    "node:internal",
    "/gems/",
    "/lib/ruby/",
    "/usr/local/go/src/",
    "/usr/lib/go",
    "/pkg/mod/",
    "net/http.",
    "runtime/",
    "runtime.",
    "[internal function]",
    "/rustc/",
    "/.cargo/registry/",
];

/// A run of lines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Run {
    pub(super) lines: Vec<String>,
    /// Frames of libraries.
    pub(super) is_library: bool,
    /// The lines are folded.
    pub(super) is_folded: bool,
    /// The lines are frames, not headings.
    pub(super) is_frame: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Line {
    Text,
    Own,
    Library,
    /// The second line of a frame.
    Continued,
}

fn classify(line: &str, next: Option<&str>) -> Line {
    let trimmed = line.trim_start();
    let is_frame = trimmed.starts_with("at ")
        || trimmed.starts_with("File \"")
        || trimmed.starts_with("from ")
        || (trimmed.starts_with('#') && trimmed.as_bytes().get(1).is_some_and(u8::is_ascii_digit));
    let is_place = |line: &str| line.starts_with(['\t', ' ']) && (line.contains(".go:") || line.contains(".rs:"));
    let is_library = |line: &str| LIBRARIES.iter().any(|word| line.contains(word));
    let is_call = next.is_some_and(is_place) && trimmed.contains('(');
    if trimmed.starts_with("... ") && trimmed.ends_with(" more") {
        return Line::Library;
    }
    if is_frame || is_call {
        let of_library = is_library(line) || (is_call && next.is_some_and(is_library));
        return if of_library { Line::Library } else { Line::Own };
    }
    if is_place(line) || (line.starts_with("    ") && !trimmed.is_empty()) {
        return Line::Continued;
    }
    // Ruby has no word before its frames.
    if trimmed.contains(".rb:") || (trimmed.starts_with('/') && trimmed.contains(':')) {
        return if is_library(line) { Line::Library } else { Line::Own };
    }
    Line::Text
}

/// Divides a stack trace into runs.
pub(super) fn runs(stack: &str) -> Vec<Run> {
    let lines: Vec<&str> = stack.lines().take(MAX_LINES).collect();
    let mut runs: Vec<Run> = Vec::new();
    let mut before = Line::Text;
    for (at, line) in lines.iter().enumerate() {
        let kind = match classify(line, lines.get(at + 1).copied()) {
            Line::Continued => before,
            kind => kind,
        };
        before = kind;
        let (is_library, is_frame) = (kind == Line::Library, kind != Line::Text);
        match runs.last_mut().filter(|run| run.is_library == is_library && run.is_frame == is_frame) {
            Some(run) => run.lines.push(visible(line)),
            None => runs.push(Run { lines: vec![visible(line)], is_library, is_frame, is_folded: false }),
        }
    }
    // A single line is shorter than what would say that it is folded.
    for run in &mut runs {
        run.is_folded = run.is_library && run.lines.len() > 1;
    }
    runs
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kinds(stack: &str) -> Vec<(usize, bool, bool)> {
        runs(stack).iter().map(|run| (run.lines.len(), run.is_frame, run.is_folded)).collect()
    }

    #[test]
    fn frames_of_libraries_are_folded() {
        let java = "java.lang.IllegalStateException: no\n\tat com.acme.A.b(A.java:1)\n\tat org.springframework.X.y(X.java:2)\n\tat java.base/java.lang.Thread.run(Thread.java:3)\nCaused by: x\n\tat com.acme.C.d(C.java:4)\n\t... 31 more";
        assert_eq!(
            kinds(java),
            [(1, false, false), (1, true, false), (2, true, true), (1, false, false), (1, true, false), (1, true, false)]
        );
        let python = "Traceback (most recent call last):\n  File \"/usr/lib/python3/site-packages/flask/app.py\", line 1, in f\n    return x\n  File \"/app/shop.py\", line 2, in g\n    y()\nKeyError: 'a'";
        assert_eq!(kinds(python), [(1, false, false), (2, true, true), (2, true, false), (1, false, false)]);
        let go = "goroutine 1 [running]:\nmain.f(0x1)\n\t/app/main.go:12 +0x1\nnet/http.HandlerFunc.ServeHTTP(0x2)\n\t/usr/local/go/src/net/http/server.go:2122 +0x2f";
        assert_eq!(kinds(go), [(1, false, false), (2, true, false), (2, true, true)]);
    }

    #[test]
    fn text_without_frames_is_one_run() {
        assert_eq!(kinds("a\nb"), [(2, false, false)]);
        assert!(runs("").is_empty());
    }
}
