//! Tests what the diagnostics of a configuration teach: keys of other proxies, and settings that are valid and can hardly be meant.

use lockgate::config::other_proxies::{Answer, answers};
use lockgate::plan::compile;
use toml::{Table, Value};

/// Problems of an example that names files of the operator.
const FILES: [&str; 2] = ["cannot read", "No such file"];

/// A valid configuration, with everything that the examples refer to.
const BASE: &str = r#"
[backends.app]
endpoints = ["https://10.0.0.11:8000"]
[backends.canary]
endpoints = ["http://10.0.0.12:8000"]
[limits.per_client]
rate = "100/s"
[[routes]]
path = "/*"
backend = "app"
limits = ["per_client"]
"#;

fn titles(text: &str) -> Vec<String> {
    let problems = compile::from_text(text, &|_| None).err().unwrap_or_default();
    problems.into_iter().map(|problem| format!("{} | {}", problem.title, problem.help)).collect()
}

fn warnings(text: &str) -> Vec<String> {
    let plan = compile::from_text(text, &|_| None).unwrap_or_else(|problems| panic!("{problems:#?}\n{text}"));
    plan.warnings.iter().map(|problem| format!("{} | {}", problem.title, problem.help)).collect()
}

/// Adds the keys of `more` to a table. A list of tables adds to the first table of the list.
fn merge(table: &mut Table, more: Table) {
    for (key, value) in more {
        match (table.get_mut(&key), value) {
            (Some(Value::Table(old)), Value::Table(new)) => merge(old, new),
            (Some(Value::Array(old)), Value::Array(mut new))
                if matches!((old.first(), new.first()), (Some(Value::Table(_)), Some(Value::Table(_)))) =>
            {
                if let (Some(Value::Table(old)), Value::Table(new)) = (old.first_mut(), new.remove(0)) {
                    merge(old, new);
                }
            }
            (_, value) => drop(table.insert(key, value)),
        }
    }
}

/// A value as TOML on one line.
fn inline(value: &Value) -> String {
    match value {
        Value::Table(table) => {
            let members = table.iter().map(|(key, value)| format!("{key:?} = {}", inline(value)));
            format!("{{ {} }}", members.collect::<Vec<_>>().join(", "))
        }
        Value::Array(list) => format!("[{}]", list.iter().map(inline).collect::<Vec<_>>().join(", ")),
        Value::String(text) => format!("{text:?}"),
        Value::Integer(number) => number.to_string(),
        Value::Float(number) => number.to_string(),
        Value::Boolean(value) => value.to_string(),
        Value::Datetime(time) => time.to_string(),
    }
}

/// The whole configuration of an example.
fn completed(answer: &Answer) -> String {
    let mut whole: Table = BASE.parse().unwrap();
    let example: Table = answer.example.parse().unwrap_or_else(|error| panic!("{error}\n{}", answer.example));
    let acts = example
        .get("routes")
        .and_then(|routes| routes.get(0)?.as_table())
        .is_some_and(|r| r.contains_key("redirect") || r.contains_key("respond"));
    merge(&mut whole, example);
    if let Some(tls) = whole.get_mut("listen").and_then(|listen| listen.get_mut("tls")).and_then(Value::as_table_mut) {
        for key in ["cert", "key"] {
            tls.entry(key).or_insert("/etc/lockgate/tls/tls.pem".into());
        }
    }
    if let Some(route) = whole.get_mut("routes").and_then(|routes| routes.get_mut(0)).and_then(Value::as_table_mut).filter(|_| acts) {
        route.remove("backend");
    }
    whole.iter().map(|(key, value)| format!("{key} = {}\n", inline(value))).collect()
}

#[test]
fn the_example_of_every_foreign_key_is_valid() {
    let (mut checked, mut all) = (0, Vec::new());
    for answer in answers().iter().filter(|answer| !answer.example.is_empty()) {
        let text = completed(answer);
        let mut wrong = titles(&text);
        wrong.retain(|title| !FILES.iter().any(|file| title.contains(file)));
        if !wrong.is_empty() {
            all.push(format!("{}\n{wrong:#?}", answer.example));
        }
        checked += 1;
    }
    assert!(all.is_empty(), "{}", all.join("\n\n"));
    assert!(checked > 60, "{checked}");
}

/// Where a foreign key is written, its answer is the help.
#[test]
fn foreign_keys_are_answered_in_every_section() {
    for (section, key, part) in [
        ("[[routes]]\n", "proxy_pass", "this key belongs to nginx; Lockgate has the `backend` of a route"),
        ("[[routes]]\n", "gzip", "not a feature of Lockgate"),
        ("[[routes]]\n", "timeout", "`response_timeout`"),
        ("[backends.b]\n", "loadBalancer", "endpoints = ["),
        ("[listen]\n", "bind", "http = \"0.0.0.0:8080\""),
        ("[backends.b]\n", "strip_prefix", "this is a key of [[routes]]"),
        ("", "http-request", "keys of a route"),
        ("[[routes]]\n", "error_page", "format = \"problem\""),
    ] {
        let all = titles(&format!("{section}{key} = 1\n")).join("\n");
        assert!(all.contains(&format!("{key}`")) && all.contains(part), "{key}: {part} in\n{all}");
    }
    // A key of the section is never foreign, and neither is one with a wrong letter.
    let all = titles("[redis]\ntimeout = \"10ms\"\n[[routes]]\nlimit = []\n").join("\n");
    assert!(!all.contains("`redis.timeout`") && all.contains("did you mean `limits`"), "{all}");
}

#[test]
fn help_lists_few_keys_and_the_nearest_first() {
    let all = titles("[listen]\nheader_bytes_of_all = 1\n").join("\n");
    let listed = all.lines().find(|line| line.contains("header_bytes_of_all")).unwrap().split('|').nth(1).unwrap();
    assert!(listed.trim().starts_with("expected one of `header_timeout`"), "{listed}");
    assert_eq!(listed.matches('`').count(), 16, "{listed}");
}

/// What is valid and can hardly be meant starts, with a warning at its place.
#[test]
fn what_can_hardly_be_meant_is_warned_of() {
    let with = |more: &str| warnings(&format!("[backends.a]\nendpoints = [\"http://127.0.0.1:1\"]\n{more}"));
    let all = "[[routes]]\npath = \"/*\"\nbackend = \"a\"\n";
    assert!(with(all).is_empty(), "{:#?}", with(all));
    for (more, part) in [
        ("[backends.b]\nendpoints = [\"http://127.0.0.1:2\"]\n", "no route uses the backend `b`"),
        ("[limits.c]\nrate = \"1/s\"\n", "nothing uses the limit `c`"),
        ("[[routes]]\npath = \"/x\"\nbackend = \"a\"\ncors = { origins = [\"https://a.example:443\"] }\n", "write \"https://a.example\""),
        ("[[routes]]\npath = \"/x\"\nbackend = \"a\"\ncors = { origins = [\"https://\u{e9}.example\"] }\n", "xn--"),
        (
            "[[routes]]\npath = \"/x/*\"\nbackend = \"a\"\nmethods = [\"GET\"]\n",
            "requests for `/x/*` with another method get 405; they do not go on to `/*`",
        ),
    ] {
        let found = with(&format!("{all}{more}"));
        assert!(found.len() == 1 && found[0].contains(part), "{part} in {found:#?}");
    }
    let slash = with("[[routes]]\npath = \"/x/\"\nbackend = \"a\"\n");
    assert!(slash.len() == 1 && slash[0].contains("deeper paths are 404") && slash[0].contains("\"/x/*\""), "{slash:#?}");
}

/// What has a reason is not warned of.
#[test]
fn what_is_meant_is_not_warned_of() {
    let found = warnings(
        r#"
[defaults]
limits = ["everywhere"]
[limits.everywhere]
rate = "100/s"
[limits.of_backend]
rate = "10/s"
[backends.a]
endpoints = ["http://127.0.0.1:1"]
limits = ["of_backend"]
[[routes]]
path = "/x/"
backend = "a"
[[routes]]
path = "/x/*"
backend = "a"
methods = ["GET"]
cors = { origins = ["https://*.example.com", "http://localhost:3000"] }
[[routes]]
path = "/x/*"
backend = "a"
[[routes]]
path = "/y"
backend = "a"
methods = ["POST"]
"#,
    );
    assert!(found.is_empty(), "{found:#?}");
}

/// Names of files are relative to the file that names them, wherever the gateway is started.
#[test]
fn relative_files_are_beside_the_configuration() {
    let folder = crate::harness::Temporary::folder("relative");
    let made = rcgen::generate_simple_self_signed(vec!["a.example".into()]).unwrap();
    std::fs::create_dir_all(folder.join("messages")).unwrap();
    for (name, content) in [
        ("a.crt", made.cert.pem()),
        ("a.key", made.signing_key.serialize_pem()),
        ("token", "a-token-of-some-length".to_owned()),
        ("messages/de.toml", "[codes]\nNOT_FOUND = \"Nicht da.\"\n".to_owned()),
    ] {
        std::fs::write(folder.join(name), content).unwrap();
    }
    let text = r#"
[listen]
admin_token = "file:token"
[listen.tls]
cert = "a.crt"
key = "a.key"
client_auth = "optional"
client_ca = "./a.crt"
[backends.a]
endpoints = ["https://127.0.0.1:1"]
tls = { ca = "a.crt", cert = "a.crt", key = "a.key" }
[[routes]]
path = "/*"
backend = "a"
[errors]
messages = "messages"
"#;
    let found = compile::from_folder(text, &folder, &|_| None).err();
    assert!(found.is_none(), "{found:#?}");
    let missing = compile::from_text(text, &|_| None).err().unwrap_or_default();
    assert!(missing.len() >= 4, "{missing:#?}");
}

/// A user in a URL has a password. It is nowhere in a diagnostic, whatever key has the URL and whatever is wrong with it.
#[test]
fn passwords_in_urls_are_never_shown() {
    let users = ["http://u:hunter2@h", "u:hunter2@h", "//u:hunter2@h", "ftp://u:hunter2@h", "http://u:hunter2 @h:x"];
    let base = BASE.replace("backend = \"app\"\n", "");
    for url in users.iter().flat_map(|url| [url.to_string(), url.replace('@', "\\u0040")]) {
        for text in [
            format!("[telemetry]\notlp = \"{url}\"\n{BASE}"),
            format!("[redis]\nurl = \"{url}\"\n{BASE}"),
            format!("[backends.x]\nendpoints = [\"http://10.0.0.1\", \"{url}\"]\n{BASE}"),
            format!("[backends.x]\nendpoints = [{{ url = \"{url}\", weight = 2 }}]\n{BASE}"),
            format!("[backends.x]\nendpoints = [\"http://10.0.0.1\"]\nhost_header = \"{url}\"\n{BASE}"),
            format!("[listen]\nhttp = \"{url}\"\n{BASE}"),
            format!("[listen]\nadmin = \"{url}\"\n{BASE}"),
            format!("{BASE}auth = {{ forward = \"{url}\" }}\n"),
            format!("{base}redirect = {{ to = \"{url}/x\" }}\n"),
        ] {
            let problems = compile::from_text(&text, &|_| None).err().unwrap_or_else(|| panic!("is accepted: {text}"));
            let shown = lockgate::config::diagnose::render("a.toml", &text, &problems, false);
            assert!(shown.contains("a.toml:") && !shown.contains("hunter2"), "{shown}");
            assert!(problems.iter().all(|problem| !format!("{}{}", problem.title, problem.help).contains("hunter2")), "{problems:?}");
        }
    }
}

/// A token that no client can send would lock everybody out.
#[test]
fn an_admin_token_can_be_sent() {
    for token in ["", " ", "\t", "a\nb", "a\r\nX-Injected: 1", "a\n\n", " a", "a ", "a\u{0}", "a\u{7f}", "pässword", "\u{feff}a"] {
        let text = format!("[listen]\nadmin_token = \"${{TOK}}\"\n{BASE}");
        let problems = compile::from_text(&text, &|_| Some(token.to_owned())).err().unwrap_or_else(|| panic!("{token:?} is accepted"));
        let shown = lockgate::config::diagnose::render("a.toml", &text, &problems, false);
        assert!(shown.contains("a.toml:2:15") && shown.contains("^^^^") && shown.contains("admin_token"), "{token:?}: {shown}");
        assert!(!shown.contains("Injected") && !shown.contains("ssword"), "{shown}");
    }
    for token in ["a", "t0ken/+=~.-_", "two words"] {
        let text = format!("[listen]\nadmin_token = \"${{TOK}}\"\n{BASE}");
        assert!(compile::from_text(&text, &|_| Some(token.to_owned())).is_ok(), "{token}");
    }
}

#[test]
fn each_complaint_of_a_variable_has_its_own_help() {
    for (value, help) in [
        ("${NOT_SET}", "set the variable"),
        ("${OTKEY", "write a variable as"),
        ("${}", "write a variable as"),
        ("${a-b}", "write a variable as"),
    ] {
        let all = titles(&format!("[telemetry]\notlp = \"http://c:4318\"\nheaders = {{ authorization = \"{value}\" }}\n{BASE}"));
        assert!(matches!(&all[..], [one] if one.contains(help)), "{value}: {all:?}");
    }
}

/// Log lines would destroy what the gateway reads: keys, users, and the configuration itself, by whatever name.
#[test]
fn a_log_file_is_no_file_that_the_gateway_reads() {
    let folder = crate::harness::Temporary::folder("log-reads");
    let made = rcgen::generate_simple_self_signed(vec!["a.example".into()]).unwrap();
    for (name, content) in [
        ("a.crt", made.cert.pem()),
        ("a.key", made.signing_key.serialize_pem()),
        ("users", "ann:$2y$05$bvIG6Nmid91Mu9RcmmWZfO5HJIMCT8riNW0hEp8f6/FuA2/mHZFpe\n".to_owned()),
        ("token", "a-token-of-some-length".to_owned()),
        ("old.log", "a line\n".to_owned()),
    ] {
        std::fs::write(folder.join(name), content).unwrap();
    }
    std::fs::set_permissions(folder.join("a.key"), std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    std::os::unix::fs::symlink("a.key", folder.join("link")).unwrap();
    std::fs::hard_link(folder.join("users"), folder.join("hard")).unwrap();
    let of = |name: &str| {
        let text = format!(
            "[log]\nfile = \"{name}\"\n[listen]\nadmin_token = \"file:token\"\ntls = {{ cert = \"a.crt\", key = \"a.key\" }}\n{BASE}auth = {{ basic = \"file:users\" }}\n"
        );
        std::fs::write(folder.join("lockgate.toml"), &text).unwrap();
        let problems = compile::from_folder(&text, &folder, &|_| None).err().unwrap_or_default();
        problems.into_iter().map(|problem| problem.title).collect::<Vec<_>>().join("\n")
    };
    for name in ["a.crt", "a.key", "./a.key", "token", "users", "link", "hard", "lockgate.toml"] {
        let found = of(name);
        assert!(found.starts_with("`log.file` is") && !found.contains('\n'), "{name}: {found}");
    }
    for name in ["new.log", "old.log"] {
        assert_eq!(of(name), "", "{name}");
    }
}
