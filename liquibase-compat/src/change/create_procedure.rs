//! createProcedure: a procedure or function as its author wrote it, in the changelog or in a file, never cut into statements.

use super::{Hashing, Kind, Statements, body, no_inverse};
use crate::checksum::{Checksum, ChecksumVersion};
use crate::field::{Field, Object};
use crate::sql::{Dialect, literal};

pub(crate) const KIND: Kind = Kind {
    name: "createProcedure",
    class: "CreateProcedureChange",
    fields: &[
        Field::text("catalogName"),
        Field::text("comments"),
        Field::text("dbms"),
        Field::text("encoding"),
        Field::file("path"),
        Field::text("procedureBody"),
        Field::text("procedureName"),
        Field::body("procedureText"),
        Field::flag("relativeToChangelogFile"),
        Field::flag("replaceIfExists"),
        Field::text("schemaName"),
    ],
    hashing: Hashing::Own(checksum),
    invalid,
    statements: Statements::Always(statements),
    inverse: no_inverse,
};

/// The field that holds the text: `procedureBody` is its older name.
fn inline(fields: &Object) -> &'static str {
    if fields.text("procedureText").is_none() && fields.text("procedureBody").is_some() {
        "procedureBody"
    } else {
        "procedureText"
    }
}

fn checksum(fields: &Object, version: ChecksumVersion) -> Checksum {
    let excluded =
        &["path", "dbms", "relativeToChangelogFile", "procedureText", "procedureBody", "encoding", "comments"];
    body::definition_checksum(KIND.name, fields, version, (inline(fields), "procedureBody"), excluded)
}

fn invalid(fields: &Object) -> Vec<String> {
    let text = fields.text(inline(fields)).is_some_and(|text| !text.trim().is_empty());
    let mut found = match (text, fields.filled("path").is_some()) {
        (true, true) => vec!["Cannot specify both 'path' and a nested procedure text in createProcedure".to_owned()],
        (false, false) => vec!["Must specify either 'path' or a nested procedure text in createProcedure".to_owned()],
        _ => body::missing_file(fields, "path").into_iter().collect(),
    };
    if fields.flag("replaceIfExists").is_some() {
        found.push("replaceIfExists is not allowed on postgresql".to_owned());
    }
    found
}

fn statements(fields: &Object, dialect: &Dialect) -> Vec<String> {
    let text = body::text(fields, "path", inline(fields)).trim();
    let create = text.strip_suffix(';').unwrap_or(text).to_owned();
    let Some(schema) = fields.filled("schemaName") else {
        return vec![create];
    };
    // The text itself names no schema: it is made where the search path says, which is put back after it.
    let path = |schema: &str| format!("SELECT set_config('search_path', {}, false)", literal(schema));
    let own = dialect.name(schema);
    let default = dialect.name(&dialect.schema);
    vec![path(&format!("{own}, {default}")), create, path(&default)]
}
