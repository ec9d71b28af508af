//! The patterns, compiled once. Each names the family it stands for; the engine is linear in the input.

use std::sync::LazyLock;

use regex::Regex;
use regex::bytes::{self, RegexBuilder, RegexSet, RegexSetBuilder};

/// Bytes that the states of the set may take.
const STATES: usize = 32 << 20;

/// Families of internals.
const INTERNALS: &[&str] = &[
    // stack frames: `at pkg.Class.method(Source:1)`, `at fn (/path:1:2)`, `in C:\x.cs:line 3`
    r"\bat [\w$.<>/\[\]-]+\(.*?\)",
    r"\bat .*:\d+:\d+",
    r"Traceback \(most recent call last\)",
    r#"File "[^"]+", line \d+"#,
    r"\bin .+:line \d+",
    r"\bCaused by: |\.\.\. \d+ (more|common frames)",
    r"#\d+ \S+\(\d+\): ",
    r"goroutine \d+ \[|panicked at |stack backtrace:",
    // a source file with a line
    r"(?i)[\w/\\.-]+\.(java|kt|kts|scala|clj|groovy|py|pyx|js|jsx|mjs|cjs|ts|tsx|vue|rb|erb|php|phtml|go|rs|cs|vb|fs|cshtml|aspx?|ashx|jsp|cfm|ex|exs|erl|pl|pm|lua|c|cc|cpp|cxx|h|hpp|m|swift|dart|hs|ml|r|tcl)(:\d+|\(\d+\)|,? (on )?line \d+)",
    // paths of servers
    r#"(^|[\s"'(=:\[<,])/(usr|var|home|srv|opt|app|etc|root|tmp|mnt|www|lib|proc|workspace|build|Users|nix|code)/[\w.@+-]"#,
    r"\b[A-Za-z]:\\[\w.$-]+",
    r"\\\\[\w.-]+\\[\w$.-]+",
    // class names of exceptions
    r"\b([a-z_][\w$]*\.){2,}[A-Z][\w$]*",
    r"\b([A-Z]\w*(\.|::|\\)){2,}[A-Z]\w*(Exception|Error)\b|\b[A-Z]\w*(::|\\)+[A-Z]\w*(Exception|Error)\b",
    // a class of a namespaced language
    r"\b[A-Z]\w+(\\{1,2}[A-Z]\w+)+",
    r"\b[A-Z]\w*Exception\b",
    r"\b(Key|Type|Value|Attribute|Name|Index|Runtime|Reference|Syntax|Range|Import|Module|OS|IO|NoMethod|Argument|Operational|Integrity|Programming|Data|Zero\w*|Null\w*|Assertion|Unicode\w*|Recursion|System)Error\b",
    r"(?i)\bunhandled (exception|rejection)|uncaught (exception|error|typeerror)|fatal error:",
    // SQL and what databases say
    r"(?i)\bselect\s[^.;]+\sfrom\s+[\w`.\x22\[]+(\s+(where|order|limit|join|inner|left|group)\b|\s*;|\s+\w+\.)",
    r"(?i)\bselect\s+(\*|count\(|[\w.`\x22]+\s*,)",
    r"(?i)\b(insert\s+into\s+\S+\s*(\(|values|select)|update\s+\S+\s+set\s+\S+\s*=|delete\s+from\s+\S+\s+where|(create|alter|drop)\s+table\s)",
    r"(?i)sqlstate|\bORA-\d{4,5}|\bPLS-\d{4}|sql syntax|\bER_[A-Z_]{3,}|\bPG::|\bP20\d\d\b",
    r"(?i)\bkey \([^)]+\)\s*=\s*\(|duplicate (key value|entry '|key error)|violates [\w -]*constraint|constraint failed|constraint `|unique constraint|foreign key constraint|syntax error at or near|relation \x22[^\x22]+\x22 does not exist|no such (table|column)|unknown column '|deadlock (found|detected)",
    r"(?i)\b(psycopg|sqlite3?|pymysql|mysqli?|pdo|jdbc|odbc|hibernate|sequelize|prisma|typeorm|sqlalchemy|activerecord|eloquent|doctrine|knex|mongoose|entityframework)\b[.:_(]",
    // connection strings and credentials
    r"\b[a-zA-Z][a-zA-Z0-9+.-]*://[^\s/@:]*:[^\s/@]+@",
    r"(?i)\b(jdbc|postgres(ql)?|mysql|mongodb(\+srv)?|rediss?|amqps?|mssql|sqlserver|oracle|ldaps?|memcached|kafka)://",
    r"(?i)\bjdbc:[a-z]+:",
    r"(?i)\b(password|passwd|pwd|secret|api[_-]?key|access[_-]?key|auth[_-]?token|access[_-]?token|client[_-]?secret|private[_-]?key)\w*\s*=\s*\S",
    r"(?i)\b(data source|initial catalog|user id)\s*=",
    r"\beyJ[\w-]{8,}\.[\w-]+|\bAKIA[0-9A-Z]{12,}|\bgh[pousr]_\w{16,}|\bgithub_pat_\w+|\b[sr]k_(live|test)_\w+|\bxox[abprs]-[\w-]+|\bAIza[\w-]{20,}|\bglpat-[\w-]+|-----BEGIN ",
    r"(?i)\bbearer [\w.~+/-]{12,}",
    // addresses inside
    r"\b(10\.\d{1,3}|127\.\d{1,3}|192\.168|169\.254|172\.(1[6-9]|2\d|3[01]))\.\d{1,3}\.\d{1,3}\b",
    r"(?i)\b[\w-]+(\.[\w-]+)*\.(internal|intranet|corp|lan|local|localdomain|cluster)\b",
    r"(?i)\blocalhost(:\d+)?\b|\bE(CONNREFUSED|CONNRESET|NOTFOUND|HOSTUNREACH|TIMEDOUT|ACCES|NOENT|PIPE)\b",
    // memory addresses, markup, dumps
    r"\b0x[0-9a-fA-F]{8,}\b",
    r"(?i)<\s*/?\s*(html|head|body|title|div|span|pre|code|script|style|table|tr|td|p|br|b|h[1-6]|ul|li|font|hr|a)\b[^>]*>",
    r"(?i)\b(HTTP_|PHP_|AWS_|DB_|DATABASE_|REDIS_|SECRET_|DJANGO_|RAILS_|NODE_|PATH|PWD|HOME)[A-Z_]*\s*=>?\s*\S",
];

/// Is the pattern at this place the one for markup?
pub(super) fn is_markup(index: usize) -> bool {
    INTERNALS.get(index).is_some_and(|pattern| pattern.contains("html|head|body"))
}

/// Is the pattern at this place one for credentials or environment variables?
pub(super) fn is_credential(index: usize) -> bool {
    let families = ["passwd", "eyJ", "bearer", "HTTP_|PHP_"];
    INTERNALS.get(index).is_some_and(|pattern| families.iter().any(|family| pattern.contains(family)))
}

/// Codes that are class names.
const CLASS_NAMES: &str = r"^([A-Za-z_]\w*\.){2,}[A-Z]\w*$|(Exception|Throwable)$|^([A-Z]\w*::)+[A-Z]\w*Error$";

/// Credentials, and what is kept around them.
const CREDENTIALS: &[(&str, &str)] = &[
    (r"(\b[a-zA-Z][a-zA-Z0-9+.-]*://[^\s/@:]*:)[^\s/@]+@", "${1}***@"),
    (r"(?i)\b(authorization|proxy-authorization|cookie|set-cookie|x-api-key)(\x22?\s*[:=]\s*)[^\r\n\x22]+", "${1}${2}***"),
    (r"(?i)\b((?:bearer|basic|negotiate|ntlm)\s+)[\w.~+/=-]{8,}", "${1}***"),
    (
        r"(?i)\b(\w*(?:password|passwd|pwd|secret|api[_-]?key|access[_-]?key|token|private[_-]?key|passphrase|session[_-]?id)\w*[\x22']?\s*(?:=>?|:)\s*[\x22']?)[^\s\x22'&,;<>)\]}]+",
        "${1}***",
    ),
    (r"\beyJ[\w-]{8,}\.[\w-]+(?:\.[\w-]*)?", "***"),
    (
        r"\b(?:AKIA[0-9A-Z]{12,}|gh[pousr]_\w{16,}|github_pat_\w+|[sr]k_(?:live|test)_\w+|xox[abprs]-[\w-]+|AIza[\w-]{20,}|glpat-[\w-]+)",
        "***",
    ),
    (r"(?s)-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|$)", "***"),
];

/// A pattern of this file that does not compile is a bug that the first test shows.
#[allow(clippy::expect_used, reason = "constants of this file, compiled by every test run")]
pub(super) fn internals() -> &'static RegexSet {
    // Bytes without Unicode classes and a large state cache keep the engine at its table of states: anything else falls
    // back to a simulation that is ten times slower on hostile text.
    static SET: LazyLock<RegexSet> = LazyLock::new(|| {
        RegexSetBuilder::new(INTERNALS).unicode(false).dfa_size_limit(STATES).size_limit(STATES).build().expect("a constant")
    });
    &SET
}

#[allow(clippy::expect_used, reason = "a constant of this file, compiled by every test run")]
pub(super) fn class_names() -> &'static Regex {
    static ONE: LazyLock<Regex> = LazyLock::new(|| Regex::new(CLASS_NAMES).expect("a constant"));
    &ONE
}

#[allow(clippy::expect_used, reason = "constants of this file, compiled by every test run")]
pub(super) fn credentials() -> &'static [(bytes::Regex, &'static str)] {
    static ALL: LazyLock<Vec<(bytes::Regex, &'static str)>> =
        LazyLock::new(|| CREDENTIALS.iter().map(|(pattern, kept)| (compile(pattern), *kept)).collect());
    &ALL
}

#[allow(clippy::expect_used, reason = "constants of this file, compiled by every test run")]
fn compile(pattern: &str) -> bytes::Regex {
    RegexBuilder::new(pattern).unicode(false).build().expect("a constant")
}
