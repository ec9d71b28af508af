//! Recognizes violated database constraints, for all databases and object-relational mappers. Such an error is the client's, although the
//! upstream reports a 5xx.
//!
//! Used only on routes that opt in (`database_errors`). Knows no format of a body.

use std::sync::LazyLock;

use regex::bytes::{RegexSet, RegexSetBuilder};

/// The kind of the violated constraint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Constraint {
    /// A value that must be unique already exists.
    Duplicate,
    /// A row refers to a missing row, or is still referred to.
    Reference,
}

/// The length of the part of a body that is searched, in bytes.
const MAX_SCAN: usize = 64 * 1024;

/// The first match wins. References come first, because no message about a duplicate matches their patterns.
const PATTERNS: &[(Constraint, &str)] = &[
    (Constraint::Reference, r"(?i)violates foreign key|foreign key constraint (?:fails|failed|`|violat)|\ba foreign key constraint\b"),
    (
        Constraint::Reference,
        r"(?i)conflicted with the (?:foreign key|reference|same table reference)|integrity constraint \(\S+\) violated - (?:parent key|child record)",
    ),
    (
        Constraint::Reference,
        r"\bORA-0229[12]\b|\bP2003\b|SQLSTATE\[23503\]|\bSQLSTATE[: =]+'?23503\b|\x22(?:code|sqlState)\x22\s*:\s*\x2223503\x22|\bSQLITE_CONSTRAINT_FOREIGNKEY\b|\b145[12]\b.{0,40}(?i:foreign)|\bER_(?:NO_REFERENCED_ROW|ROW_IS_REFERENCED)\w*|\bSQL0530N\b|ForeignKeyConstraintError|ForeignKeyViolation|InvalidForeignKey",
    ),
    (
        Constraint::Duplicate,
        r"(?i)duplicate key value violates|duplicate entry '|duplicate key error|cannot insert duplicate key|violation of (?:unique|primary) key|unique constraint (?:failed|violat|\(|\x22)|violates unique|unique constraint failed on the|\bE11000\b|already exists\. \(?SQLSTATE 23505|duplicate value for|is not unique\b",
    ),
    (
        Constraint::Duplicate,
        r"\bORA-00001\b|\bP2002\b|SQLSTATE\[23505\]|\bSQLSTATE[: =]+'?23505\b|\x22(?:code|sqlState)\x22\s*:\s*\x2223505\x22|\bSQLITE_CONSTRAINT_(?:UNIQUE|PRIMARYKEY)\b|\bER_DUP_(?:ENTRY|KEY)\w*|\bSQL0803N\b|UniqueConstraintError|UniqueViolation|UniqueConstraintViolation|RecordNotUnique|DuplicateKeyException|DuplicateKeyError",
    ),
];

/// Returns the constraint that a text reports as violated.
pub fn constraint(text: &str) -> Option<Constraint> {
    static SET: LazyLock<Option<RegexSet>> = LazyLock::new(|| {
        RegexSetBuilder::new(PATTERNS.iter().map(|(_, pattern)| pattern)).unicode(false).dfa_size_limit(8 << 20).build().ok()
    });
    let bytes = &text.as_bytes()[..text.len().min(MAX_SCAN)];
    let first = SET.as_ref()?.matches(bytes).iter().next()?;
    PATTERNS.get(first).map(|(constraint, _)| *constraint)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn constraints_of_every_database_are_recognized() {
        for text in [
            "ERROR: duplicate key value violates unique constraint \"users_email_key\"",
            "Duplicate entry 'a@b' for key 'users.email'",
            "UNIQUE constraint failed: users.email",
            "ORA-00001: unique constraint (SHOP.UQ) violated",
            "Violation of UNIQUE KEY constraint 'UQ'. Cannot insert duplicate key in object 'dbo.Users'.",
            "PrismaClientKnownRequestError: P2002 Unique constraint failed on the fields: (`email`)",
            "SequelizeUniqueConstraintError: Validation error",
            "E11000 duplicate key error collection: shop.users",
        ] {
            assert_eq!(constraint(text), Some(Constraint::Duplicate), "{text}");
        }
        for text in [
            "insert or update on table \"orders\" violates foreign key constraint \"orders_customer_id_fkey\"",
            "Cannot add or update a child row: a foreign key constraint fails (`shop`.`orders`)",
            "FOREIGN KEY constraint failed",
            "ORA-02291: integrity constraint (SHOP.FK) violated - parent key not found",
            "The INSERT statement conflicted with the FOREIGN KEY constraint \"FK_Orders\".",
            "{\"code\":\"23503\",\"detail\":\"Key (id)=(1)\"}",
        ] {
            assert_eq!(constraint(text), Some(Constraint::Reference), "{text}");
        }
        for text in ["connection refused", "the key is a duplicate of sorts", "syntax error at or near \"x\""] {
            assert_eq!(constraint(text), None, "{text}");
        }
    }
}
