//! What the changes that rename an object have in common.

use crate::fields::Fields;
use crate::sql::Dialect;

/// `ALTER TABLE a.b RENAME TO c` for an object of this kind; the two names are in the fields `from` and `to`.
pub(super) fn rename(kind: &str, fields: &Fields, dialect: &Dialect, from: &str, to: &str) -> String {
    let object = dialect.qualified_name(fields.text("schemaName"), fields.required(from));
    format!("ALTER {kind} {object} RENAME TO {}", dialect.name(fields.required(to)))
}
