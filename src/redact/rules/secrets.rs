//! Rules for credentials: connection strings, keys and tokens of providers, and values of names such as `password`. Knows no other family.

use super::rule::Family::Secret;
use super::rule::{Rule, hint, likely, sure};

pub(super) const RULES: &[Rule] = &[
    likely(Secret, r"\b[a-zA-Z][a-zA-Z0-9+.-]*://[^\s/@:\x22'<>]*:[^\s/@\x22'<>${*\[%][^\s/@\x22'<>]*@"),
    hint(
        Secret,
        r"(?i)\b(?:postgres(?:ql)?|mysql|mariadb|mongodb(?:\+srv)?|rediss?|amqps?|mssql|sqlserver|oracle|ldaps?|memcached|kafka|nats|cassandra|clickhouse|influxdb|smtps?|s3|gs|hdfs|zk|etcd|consul)://",
    ),
    likely(
        Secret,
        r"(?i)\bjdbc:[a-z]+:|\b(?:data source|initial catalog|integrated security|server)\s*=[^;\n]+;|\b(?:user id|uid|pwd)\s*=\s*\S+;|\bhost=\S+ (?:port|user|dbname|password)=",
    ),
    likely(
        Secret,
        r"(?i)\b(?:password|passwd|pwd|passphrase|secret|api[_-]?key|access[_-]?key|auth[_-]?token|access[_-]?token|refresh[_-]?token|client[_-]?secret|private[_-]?key|secret[_-]?key|session[_-]?(?:id|token)|account[_-]?key|shared[_-]?access[_-]?key|\w+_(?:secret|password|token|apikey))\w*[\x22']?\s*(?:=>?|:=)\s*[\x22']?[^\s\x22'&=,;<>)\]}]{3,}",
    ),
    likely(
        Secret,
        r#"(?i)"(?:\w*_)?(?:password|passwd|secret|api_?key|access_?key|private_?key|client_?secret|secret_?key|auth_?token)"\s*:\s*"[^"\s]{6,}""#,
    ),
    sure(Secret, r"\beyJ[\w-]{8,}\.[\w-]{4,}\.[\w-]*"),
    hint(Secret, r"\beyJ[\w-]{8,}\.[\w-]+"),
    sure(
        Secret,
        r"\b(?:AKIA|ASIA|AGPA|AIDA|AROA|ANPA)[0-9A-Z]{12,}|\bgh[pousr]_\w{16,}|\bgithub_pat_\w+|\b(?:[srp]k|whsec|rk)_(?:live|test)_\w{6,}|\bwhsec_\w{8,}|\bxox[abeoprs]-[\w-]{6,}|\bxapp-\d-[\w-]+|\bAIza[\w-]{20,}|\bya29\.[\w-]{10,}|\bglpat-[\w-]{8,}|\bnpm_\w{20,}|\bpypi-[\w-]{20,}|\bdop_v1_\w{16,}|\bSG\.[\w-]{10,}\.[\w-]{10,}|\bhv[sbr]\.[\w-]{12,}|\bdckr_pat_[\w-]+|\bshp(?:at|ss|ca|pa)_\w{16,}|\bsq0[a-z]{3}-[\w-]{10,}|\bAC[0-9a-f]{32}\b|\bkey-[0-9a-f]{32}\b|\bATATT[\w=-]{10,}|\blin_api_\w+|\bnrak-\w+|(?i:\bNRAK-[A-Z0-9]{20,})|\bPMAK-[\w-]{20,}|\brnd_\w{16,}|\bdapi[0-9a-f]{32}|\bAge-secret-key-|\bAGE-SECRET-KEY-|\btfp_\w{20,}|\bgsk_\w{20,}|\bxkeysib-\w+",
    ),
    // Short prefixes occur in random base64 too, but not at the start of a word.
    sure(Secret, r"(?:^|[^\w+/%-])(?:sk-(?:proj-|ant-)?[\w-]{16,}|hf_\w{16,}|EAA[A-Za-z0-9]{20,})"),
    sure(Secret, r"-----BEGIN [A-Z ]*(?:PRIVATE KEY|CERTIFICATE|OPENSSH|PGP)[A-Z ]*-----[A-Za-z0-9+/=\s\\:,.-]*"),
    likely(Secret, r"(?i)\b(?:bearer|basic|negotiate|digest)\s+[\w.~+/-]{16,}=*|\bauthorization[\x22']?\s*[:=]\s*[\x22']?\w+\s+\S"),
    likely(
        Secret,
        r"(?i)\b(?:set-)?cookie[\x22']?\s*[:=]\s*[\x22']?\w+=\S|\b(?:PHPSESSID|JSESSIONID|ASP\.NET_SessionId|connect\.sid|laravel_session|sessionid|csrftoken)=\S",
    ),
    likely(Secret, r"(?i)[?&](?:sig|signature|token|access_token|api_?key|key|secret|password|code|x-amz-\w+)=[\w%.~+/-]{8,}"),
];
