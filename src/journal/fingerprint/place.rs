//! A place in a stack without what moves: no line numbers, no addresses, no arguments, no numbers of lambdas, no generated names.
//!
//! Pure functions of a text.

/// How many folders of a file name matter: a release may be in a folder of its own.
const FOLDERS: usize = 2;

/// What stays of a place when the program is built or started again.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Place {
    /// The end of the file's path; may be empty.
    pub(super) file: String,
    /// The function, with its class; empty for one without a name.
    pub(super) function: String,
}

/// Returns what stays of a place. Returns `None` for a line that is no place: `OrderError: closed in /srv/a.php:7`.
pub(super) fn normal(place: &str) -> Option<Place> {
    // PHP numbers its frames: `#0 /srv/a.php(12): Shop->pay(4711)`.
    let place = place.trim_start_matches(|c: char| c.is_ascii_digit() || c == ' ').trim_end();
    let (file, function) = split(place);
    if file.is_empty() && function.contains(": ") {
        return None;
    }
    let place = Place { file: normal_file(file), function: normal_function(function) };
    Some(place).filter(|place| !place.file.is_empty() || !place.function.is_empty())
}

/// Splits a place into its file and its function. Either may be empty.
fn split(place: &str) -> (&str, &str) {
    // Python: `/srv/a.py", line 7, in pay`.
    if let Some((file, rest)) = place.split_once('"') {
        return (file, rest.split_once(", in ").map_or("", |(_, function)| function));
    }
    // .NET: `Shop.Orders.Pay(Int32 id) in /src/Orders.cs:line 7`. The file is one of the machine that built it.
    if let Some((function, _)) = place.split_once(") in ") {
        return ("", function);
    }
    // Ruby: "/srv/a.rb:7:in `pay'".
    if let Some((file, function)) = place.split_once(":in ") {
        return (file, function);
    }
    // PHP: `/srv/a.php(12): Shop->pay(4711)`.
    if let Some((file, function)) = place.split_once("): ") {
        return (file, function);
    }
    match place.split_once(" (") {
        // Node.js: `Orders.pay (/srv/a.js:7:21)`.
        Some((function, file)) => (file, function),
        // Java: `com.acme.Orders.pay(Orders.java:7)`. Go and others: `/srv/a.go:7 +0x1d`.
        None if place.starts_with(['/', '\\', '.']) || place.contains("://") || place.contains(".js:") => (place, ""),
        None => ("", place),
    }
}

/// Returns the end of a file's path, without positions.
fn normal_file(file: &str) -> String {
    let file = file.split([' ', '(', ')', '?', '"', ',', ';']).next().unwrap_or_default();
    let mut file = file;
    while let Some((rest, number)) = file.rsplit_once(':')
        && number.bytes().all(|byte| byte.is_ascii_digit())
    {
        file = rest;
    }
    let parts: Vec<&str> = file.split(['/', '\\']).filter(|part| !part.is_empty()).collect();
    // A folder with a long number is one of a release.
    let is_fixed = |part: &&&str| part.bytes().filter(u8::is_ascii_digit).count() < 4;
    parts[parts.len().saturating_sub(FOLDERS)..].iter().filter(is_fixed).copied().collect::<Vec<_>>().join("/")
}

/// Returns the name of a function without arguments and generated parts.
fn normal_function(function: &str) -> String {
    let function = function.trim_matches(['`', '\'', '"', ' ']);
    let name = function.strip_prefix("async ").unwrap_or(function);
    // `block (2 levels) in <class:API>` has no arguments.
    let name = if name.starts_with("block ") { name } else { name.split('(').next().unwrap_or_default() };
    // Proxies of Spring and lambdas of the JVM: `Orders$$SpringCGLIB$$0.pay`, `Orders$$Lambda$14/0x0000.run`.
    let mut out = String::with_capacity(name.len());
    let mut rest = name;
    while let Some((before, generated)) = rest.split_once("$$") {
        out.push_str(before);
        rest = generated.find('.').map_or("", |at| &generated[at..]);
    }
    out.push_str(rest);
    without_numbers(&out)
}

/// Takes out the numbers that compilers give: `lambda$pay$0`, `Orders$1`, `<Pay>d__12`, `closure-3`, `GeneratedMethodAccessor17`.
fn without_numbers(name: &str) -> String {
    let generated = name.contains("Generated");
    let mut out = String::with_capacity(name.len());
    for c in name.chars() {
        let before = out.chars().next_back();
        if c.is_ascii_digit() && (generated || matches!(before, None | Some('$' | '_' | '-' | '@' | '#'))) {
            // The first digit stands for all.
            if before != Some('#') {
                out.push('#');
            }
        } else {
            out.push(c);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_moves_is_taken_out() {
        let same = [
            ("com.acme.Orders.pay(Orders.java:7)", "com.acme.Orders.pay(Orders.java:19)", "com.acme.Orders.pay"),
            ("com.acme.Orders.lambda$pay$0(Orders.java:7)", "com.acme.Orders.lambda$pay$13(Orders.java:9)", "com.acme.Orders.lambda$pay$#"),
            ("Orders$$SpringCGLIB$$0.pay(<generated>)", "Orders$$SpringCGLIB$$1.pay(<generated>)", "Orders.pay"),
            ("Orders$$Lambda$14/0x00aa.run(Unknown Source)", "Orders$$Lambda/0x00bb.run(Unknown Source)", "Orders.run"),
            ("/srv/shop/a.py\", line 7, in pay", "/opt/shop/a.py\", line 70, in pay", "shop/a.py pay"),
            ("Orders.pay (/srv/r/20261128/a.js:7:21)", "Orders.pay (/srv/r/20261129/a.js:8:2)", "a.js Orders.pay"),
            ("/srv/shop/a.rb:7:in `pay'", "/srv/shop/a.rb:17:in `pay'", "shop/a.rb pay"),
            ("0 /srv/shop/a.php(12): Shop->pay(4711)", "3 /srv/shop/a.php(13): Shop->pay(8)", "shop/a.php Shop->pay"),
            ("/srv/shop/a.go:7 +0x1d", "/srv/shop/a.go:9 +0x2e", "shop/a.go"),
            ("Shop.Orders.Pay(Int32 id) in /src/O.cs:line 7", "Shop.Orders.Pay(Int32 id) in C:\\O.cs:line 9", "Shop.Orders.Pay"),
        ];
        for (one, other, expected) in same {
            let place = normal(one).unwrap();
            assert_eq!(format!("{} {}", place.file, place.function).trim(), expected);
            assert_eq!(normal(other), Some(place));
        }
        assert_eq!(normal("OrderError: order 7 in /srv/a.php:7"), None);
    }
}
