//! createView, of a query in the changelog or in a file.

use super::{Hashing, Kind, Statements, body, drop_view};
use crate::checksum::{Checksum, ChecksumVersion};
use crate::field::{Field, Object};
use crate::sql::{Dialect, literal};

pub(crate) const KIND: Kind = Kind {
    name: "createView",
    class: "CreateViewChange",
    fields: &[
        Field::text("catalogName"),
        Field::text("encoding"),
        Field::flag("fullDefinition"),
        Field::file("path"),
        Field::flag("relativeToChangelogFile"),
        Field::text("remarks"),
        Field::flag("replaceIfExists"),
        Field::text("schemaName"),
        Field::body("selectQuery"),
        Field::text("viewName").required(),
    ],
    hashing: Hashing::Own(checksum),
    invalid,
    statements: Statements::Always(statements),
    inverse,
};

fn checksum(fields: &Object, version: ChecksumVersion) -> Checksum {
    let excluded = &["path", "relativeToChangelogFile", "selectQuery", "encoding"];
    body::definition_checksum(KIND.name, fields, version, ("selectQuery", "selectQuery"), excluded)
}

fn invalid(fields: &Object) -> Vec<String> {
    let inline = fields.text("selectQuery").is_some_and(|query| !query.trim().is_empty());
    match (inline, fields.filled("path").is_some()) {
        (true, true) => vec!["Cannot specify both 'path' and a nested view definition in createView".to_owned()],
        (false, false) => {
            let message =
                "For a createView change, you must specify either 'path' or a nested view definition in createView";
            vec![message.to_owned()]
        }
        _ => body::missing_file(fields, "path").into_iter().collect(),
    }
}

fn statements(fields: &Object, dialect: &Dialect) -> Vec<String> {
    let view = dialect.object(fields.text("schemaName"), fields.required("viewName"));
    let query = body::text(fields, "path", "selectQuery").trim().trim_end_matches(';').trim_end();
    let mut create =
        if fields.is("fullDefinition") { query.to_owned() } else { format!("CREATE VIEW {view} AS {query}") };
    if fields.is("replaceIfExists") && !query.to_uppercase().contains("OR REPLACE") {
        create = replacing(&create);
    }
    let comment = fields.text("remarks").map(str::trim).filter(|remarks| !remarks.is_empty());
    let comment = comment.map(|remarks| format!("COMMENT ON VIEW {view} IS {}", literal(remarks)));
    std::iter::once(create).chain(comment).collect()
}

/// The statement with its first CREATE made CREATE OR REPLACE.
fn replacing(create: &str) -> String {
    match create.to_ascii_uppercase().find("CREATE") {
        Some(start) => format!("{}CREATE OR REPLACE{}", &create[..start], &create[start + "CREATE".len()..]),
        None => create.to_owned(),
    }
}

fn inverse(fields: &Object, dialect: &Dialect) -> Option<Vec<String>> {
    Some(drop_view::statements(fields, dialect))
}
