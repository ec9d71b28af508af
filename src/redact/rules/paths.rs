//! Rules for server paths, dumps of environment variables, and markup. Knows no other family.

use super::rule::Family::{Environment, Markup, Path};
use super::rule::{Rule, hint, likely, sure};

pub(super) const RULES: &[Rule] = &[
    hint(
        Path,
        r#"(?:^|[\s"'(=:\[<,>`@|])(?:file:/{0,2})?/(?:usr|var|home|srv|opt|app|etc|root|tmp|mnt|www|lib|lib64|proc|workspace|workspaces|build|builds|Users|nix|code|data|run|dev|private|Applications|Library|System|go|rustc|snap|site|sites|deployments?|domains|webapps|inetpub|export|u\d\d|project|projects|github|runner|layers|function|var_task)/[\w.@+~-]"#,
    ),
    hint(Path, r"(?:^|[^\w])[A-Za-z]:(?:\\{1,2}|/)(?:[\w .$()~-]+(?:\\{1,2}|/))*[\w$~-]"),
    hint(Path, r"(?:^|[\s\x22'(=])\\{2,4}[\w.-]+\\{1,2}[\w$.-]+"),
    hint(Path, r"(?:^|[\s\x22'(=`])~/[\w.-]+/"),
    hint(
        Path,
        r"\b(?:WEB-INF|META-INF|BOOT-INF|wp-content/(?:plugins|themes)|wp-includes|App_Code|App_Data|bin[\\/](?:Debug|Release)|target[\\/]classes|\.jar!|__init__\.py|wwwroot)",
    ),
    hint(Path, r"(?:^|[\s\x22'(\[=])(?:\.{1,2}/)*(?:[\w.-]+/)+[\w.-]+\.(?:{EXT})\b"),
    hint(Path, r"\b0x[0-9a-fA-F]{8,}\b"),
    // environments
    sure(Environment, r#"\$_(?:SERVER|ENV|SESSION|COOKIE)\[|\b_(?:SERVER|ENV)\["|\benviron\(\{|\bPHP Version \d|\bphpinfo\(\)"#),
    sure(Environment, r"(?m)^(?:export )?[A-Z][A-Z0-9_]{2,}=[^\n]*\n(?:(?:export )?[A-Z][A-Z0-9_]{2,}=[^\n]*\n){3}"),
    likely(Environment, r#"(?m)^(?:export )?(?:PATH|HOME|PWD|LD_LIBRARY_PATH|JAVA_HOME|PYTHONPATH|NODE_ENV|HOSTNAME|SHELL)=\S"#),
    likely(
        Environment,
        r#"\b(?:HTTP_(?:HOST|COOKIE|AUTHORIZATION|USER_AGENT|X_\w+)|PHP_\w+|AWS_(?:ACCESS|SECRET|SESSION)\w*|DB_(?:HOST|USER|USERNAME|PASS|PASSWORD|NAME|DATABASE|URL)|DATABASE_URL|REDIS_(?:URL|HOST|PASSWORD)|SECRET_KEY\w*|DJANGO_\w+|RAILS_\w+|APP_KEY|MYSQL_\w*PASSWORD|POSTGRES_\w+|DOCUMENT_ROOT|SERVER_SOFTWARE|SCRIPT_FILENAME|KUBERNETES_\w+)["']?\s*(?:=>?|:)\s*\S"#,
    ),
    // tags in a text that should be a sentence
    hint(
        Markup,
        r"(?i)</?(?:html|head|body|title|div|span|pre|code|script|style|table|tr|td|th|p|br|b|h[1-6]|ul|ol|li|font|hr|a|i|em|strong|img|iframe|link|meta|section|main)(?:\s[^>]*)?/?>|<!--|<!doctype",
    ),
];
