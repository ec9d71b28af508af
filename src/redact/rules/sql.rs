//! Rules for SQL statements, and for messages of databases, object-relational mappers and template engines. Knows no other family.

use super::rule::Family::Sql;
use super::rule::{Rule, hint, likely, sure};

pub(super) const RULES: &[Rule] = &[
    // statements
    hint(
        Sql,
        r"(?i)\bfrom\s+[\w`.\x22\[\]]+(?:\s+(?:as\s+)?\w+)?\s+where\s+(?:not\s+)?[\w`.\x22(\[\]]+\s*(?:[=<>!]|like\b|in\s*\(|is\s|between\s)",
    ),
    hint(
        Sql,
        r"(?i)\bselect\s[^.;\n]+?\sfrom\s+[\w`.\x22\[\]]+\s+(?:\w+\s+)?(?:order|group)\s+by\s+[\w`\x22]+(?:\.\w+)?\s*(?:[,;)]|asc\b|desc\b|limit\b|having\b|$)",
    ),
    hint(
        Sql,
        r"(?i)\bselect\s[^.;\n]+?\sfrom\s+[\w`.\x22\[\]]+\s*(?:;|\x22|\blimit\s+[\d?:$@]|\bunion\s+(?:all\s+)?select\b|\bfor\s+update\b)",
    ),
    hint(
        Sql,
        r"(?i)\sfrom\s+[\w`.\x22\[\]]+\s+(?:\w+\s+)?(?:inner|cross|left|right|full)\s+(?:outer\s+)?join\s|\bjoin\s+[\w`.\x22\[\]]+\s+(?:as\s+)?(?:\w+\s+)?on\s+[\w`\x22]+\.[\w`\x22]+\s*=",
    ),
    hint(Sql, r"(?:^|[:\x22'`(\[\n]\s*)(?:SELECT\s+[\w.`\x22]+\s+FROM|select\s+[\w.`\x22]+\s+from)\s+[\w.`\x22]+\s*$"),
    hint(Sql, r"(?i)\bselect\s+(?:\*|count\(|distinct\s|top\s+\d|[\w.`\x22\[\]]+\s*,\s*[\w.`\x22\[\]]+)[^\n]*?\sfrom\b"),
    hint(
        Sql,
        r"(?i)\b(?:insert\s+(?:ignore\s+)?into\s+\S+\s*(?:\(|values|select|default)|replace\s+into\s+\S+\s*\(|update\s+\S+\s+(?:as\s+\w+\s+)?set\s+\S+\s*=|delete\s+from\s+\S+\s+(?:where|using)|(?:create|alter|drop|truncate)\s+(?:unique\s+)?(?:table|index|database|view)\s+(?:if\s+(?:not\s+)?exists\s+)?[\w`.\x22\[\]]+(?:\s*[(;]|\s*$|\s+(?:add|drop|rename|modify|alter|column|using|cascade|on\s+[\w`.\x22\[\]]+\s*\(|as\s+(?:\(|with\b|select\s+[\w*`\x22]))\b)|merge\s+into\s|exec(?:ute)?\s+(?:sp_|dbo\.)|call\s+\w+\.\w+\()",
    ),
    // error codes and their messages
    likely(Sql, r"\bERROR \d{4} \([0-9A-Z]{5}\)|\bMsg \d+, Level \d+"),
    likely(
        Sql,
        r"(?i)\bsqlstate\b|\bsqlcode\b|sql syntax|\bER_[A-Z_]{3,}|\bSQLITE_[A-Z]+\b|\bPG::|\bPQ[a-z]+\b.*error|\bpq: |(?:^|[\s:\x22])sql: [a-z]|\b(?:insert or update|update or delete) on table [`'\x22]|\b(?:present in|referenced from) table [`'\x22]|\bcolumn \w+\.\w+ does not|\bP[1-6]\d{3}\b[^\w].*(?:prisma|constraint)|\bsql(?:error|exception|grammar)",
    ),
    likely(
        Sql,
        r"\b(?:ORA|PLS|TNS|IMP|RMAN|DRG|LRM|KUP)-\d{4,5}\b|\b\w+ \d{2,5}, \w+ \d{1,2}, \w+ \d{1,3}, (?:\w+ [\w.\\-]+, )*\w+ \d+\b|\bSQL\d{4,5}[NWC]\b|\bDSN[A-Z]\d{3}|\bSQL Server\b.*\berror\b|\[(?:Microsoft|MySQL|unixODBC|FreeTDS|IBM|Oracle|PostgreSQL|SQLite)\]\[",
    ),
    likely(
        Sql,
        r"(?i)\bkey \([^)\n]+\)\s*=\s*\(|\bduplicate (?:key value|entry '|key error|key violates)|violates [\w -]*constraint|constraint (?:failed|`|\[)|(?:unique|foreign key|check|not-null|primary key) constraint (?:failed|violat\w+|`|\x22|')|violation of (?:unique|primary|foreign)|conflicted with the|cannot insert (?:duplicate|the value null|null)|cannot add or update a (?:child|parent) row|E11000 |\bdup key\b",
    ),
    hint(Sql, r"(?i)\b(?:unique|foreign key|check|not-null|primary key) constraint\b"),
    likely(
        Sql,
        r"(?i)syntax error (?:at or near|at position|in sql)|near \x22[^\x22\n]*\x22: syntax error|relation [\x22'][^\x22'\n]+[\x22'] (?:of relation \x22[^\x22]+\x22 )?(?:does not exist|already exists|doesn't exist)|(?:^|[:\n(] ?)(?-i:column|function|table|type|schema|role|database) [\x22'][^\x22'\n]+[\x22'] (?:of relation \x22[^\x22]+\x22 )?(?:does not exist|already exists|doesn't exist)|no such (?:table|column)|unknown column '|invalid (?:column|object) name '|unclosed quotation mark|incorrect syntax near|quoted string not properly terminated|deadlock (?:found|detected|victim)|lock wait timeout|data too long for column|out of range (?:value )?for (?:column|type)|invalid input (?:syntax|value) for|value too long for type|string or binary data would be|operator does not exist|ambiguous column|subquery returns|division by zero in",
    ),
    likely(
        Sql,
        r"(?i)access denied for user|(?:password|peer|ident|SCRAM) authentication failed|login failed for user|unknown database '|too many (?:connections|clients already)|remaining connection slots|server has gone away|lost connection to mysql|could not (?:connect|translate host name|open connection)(?: to| for)?.{0,12}(?:server|database|host|jdbc|\x22)|connection to (?:server|database) (?:at )?\x22|is the server running|jdbc connection|connection pool (?:timed out|exhausted|limit)|timeout (?:acquiring|expired\.)|wrong number of (?:values|parameters)|MISCONF |NOAUTH |WRONGTYPE |LOADING Redis|READONLY You can't|CLUSTERDOWN",
    ),
    sure(
        Sql,
        r"\bPL/pgSQL function|\bSQL (?:statement|function) \x22|(?m)^(?:CONTEXT|STATEMENT|QUERY):  |^LINE \d+: |(?m)^(?:ERROR|DETAIL|HINT):  \S",
    ),
    sure(
        Sql,
        r"(?i)\[sql: |\[parameters: |sqlalche\.me/|\(SQL: |SQL \[[^\]\n]*\]|Connection: \w+, SQL:|Executing (?:\(\w+\): )|\binvalid `?prisma\.|`\w+\.\w+\(\)` invocation",
    ),
    // mappers
    likely(
        Sql,
        r"(?i)\b(?:psycopg\d?|sqlite3?|pymysql|mysql2?|mysqli|mysqldb|pdo|jdbc|odbc|hibernate|sequelize|prisma|typeorm|sqlalchemy|activerecord|eloquent|doctrine|knex|mongoose|entityframework(?:core)?|ecto|gorm|jooq|mybatis|ibatis|cx_oracle|oracledb|asyncpg|dbd|peewee|objection|npgsql|linq|dapper|nhibernate|ebean|exposed|slick|sqlx|diesel|mongodb|pymongo|cassandra|neo4j)(?:\.[a-z]\w+\.|::|->|\\{1,2}\w|:(?: |$))\w*",
    ),
    hint(
        Sql,
        r"(?i)\b(?:psycopg\d?|sqlite3?|pymysql|mysqli?|pdo|jdbc|odbc|hibernate|sequelize|prisma|typeorm|sqlalchemy|activerecord|eloquent|doctrine|knex|mongoose|entityframework)(?:[._(]|\\{1,2}|::)\w+",
    ),
    likely(
        Sql,
        r"(?i)could not execute (?:statement|query|batch|json query)|could not (?:extract resultset|initialize proxy|prepare statement)|No query results for model|matching query does not exist|detached entity|object references an unsaved|Could not find any entity|No \w+ found for model|An (?:error|exception) occurred while (?:saving the entity|updating the entries|executing the command definition|iterating over the results)|see the inner exception|entity changes|The (?:instance of entity|LINQ expression)|query failed with|violates? (?:the )?(?:unique|not null)|null value in column|Column '[^'\n]+' cannot be null|Field '[^'\n]+' doesn't have a default|cannot be null \[|Record to (?:update|delete)|failed the following validations on",
    ),
    // template engines
    sure(
        Sql,
        r"\(template: \x22|\bin template \x22|\bFTL stack trace|\bin \x22[^\x22\n]+\.twig\x22|\btemplate: \S+:\d+:\d+: executing|\bLiquid (?:error|syntax error) \(|(?m)^\s*(?:>> |\s{2,})\d+\| |\bTemplate(?:Syntax|Runtime|NotFound|DoesNotExist|Processing)\w*|\bActionView::|\bRazor\w*Exception|\bjinja2\.|\bhandlebars\b.*\bline \d",
    ),
    likely(
        Sql,
        r"\bError during template rendering|\bInvalid (?:block tag|filter): '|\b(?:An error|Error) (?:occurred )?(?:while|during) (?:processing|evaluating|rendering|executing) (?:the )?(?:template|view|expression|SpringEL)",
    ),
];
