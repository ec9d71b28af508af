//! Rules for hosts and addresses of internal networks. Knows no other family.

use super::rule::Family::Address;
use super::rule::{Rule, hint, likely};

pub(super) const RULES: &[Rule] = &[
    hint(
        Address,
        r"\b(?:10\.\d{1,3}|127\.\d{1,3}|192\.168|169\.254|172\.(?:1[6-9]|2\d|3[01])|100\.(?:6[4-9]|[7-9]\d|1[01]\d|12[0-7]))\.\d{1,3}\.\d{1,3}\b",
    ),
    hint(Address, r"(?i)\b(?:f[cd][0-9a-f]{2}|fe80):[0-9a-f:]{2,}|\[::1\]|(?:^|[\s(])::1(?:[\s)\].:]|$)|::ffff:\d"),
    likely(
        Address,
        r"(?i)\b[\w-]+(?:\.[\w-]+)*\.(?:corp|svc|prod|int|dc\d?|compute|ec2)\.(?:[\w-]+\.)*(?:internal|intranet|local|lan|cluster)\b",
    ),
    hint(
        Address,
        r"(?i)\b[\w-]+(?:\.[\w-]+)*\.(?:internal|intranet|corp|lan|local|localdomain|localhost|cluster|svc|private|home\.arpa|consul|priv)\b(?:[^\w(-]|$)",
    ),
    hint(
        Address,
        r"(?i)\blocalhost(?::\d|/)|(?:[/@=]|\b(?:to|at|from|host|hostname|server|upstream|backend|peer|proxy|address|endpoint)(?: is|:)? )[\x22'`\[(]?localhost\b|\bhost\.docker\b|\bip-\d{1,3}-\d{1,3}-\d{1,3}-\d{1,3}\b",
    ),
    likely(Address, r"\barn:aws[\w-]*:[\w-]*:|\bprojects/[\w-]+/(?:locations|instances|secrets|topics)/|/subscriptions/[0-9a-f-]{36}/"),
    hint(Address, r"\bhttps?://[\w-]+(?::\d+)?(?:[/\s\x22'<)]|$)"),
    hint(
        Address,
        r"\b[A-Za-z][\w.-]*:(?:5432|3306|6379|27017|1433|1521|9200|9300|5672|15672|9092|11211|2181|8500|2379|50051|9042|7687|8086|26257|6432|5433|26379)\b",
    ),
    hint(
        Address,
        r"\b[a-z0-9-]+(?:\.[a-z0-9-]+)*\.(?:rds|cache|redshift|elb|compute|es|database|servicebus|redis\.cache|documents|blob\.core|mysql|postgres)\.(?:amazonaws\.com|windows\.net|azure\.com|googleapis\.com)",
    ),
];
