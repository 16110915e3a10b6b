//! customChange: would run a Java class. Known for its checksum, so that a changelog that ran it with Liquibase can go on; refused by
//! validation where it would run here.

use std::collections::BTreeMap;

use super::{Hashing, Kind, Statements, no_inverse};
use crate::checksum::{Checksum, ChecksumVersion};
use crate::field::{Field, Object};
use crate::sql::Dialect;

pub(crate) const KIND: Kind = Kind {
    name: "customChange",
    class: "CustomChangeWrapper",
    fields: &[Field::text("class"), Field::repeated("param", &[Field::text("name"), Field::body("value")])],
    hashing: Hashing::Own(checksum),
    invalid,
    statements: Statements::Fallible(statements),
    inverse: no_inverse,
};

/// The generic text, in which the parameters are a map.
fn checksum(fields: &Object, version: ChecksumVersion) -> Checksum {
    let parameters: BTreeMap<&str, &str> =
        fields.list("param").iter().map(|one| (one.required("name"), one.required("value"))).collect();
    let lines: Vec<String> = parameters.iter().map(|(name, value)| format!("        {name}=\"{value}\"")).collect();
    let class = fields.required("class");
    let text = format!("customChange:[\n    class=\"{class}\"\n    param={{\n{}\n    }}\n]", lines.join(",\n"));
    Checksum::of_text(version, &text)
}

fn invalid(fields: &Object) -> Vec<String> {
    let class = fields.required("class");
    vec![format!(
        "customChange {class} is not supported: it would run a Java class; write it as sql, or run it with Liquibase first"
    )]
}

fn statements(fields: &Object, _: &Dialect) -> Result<Vec<String>, String> {
    Err(invalid(fields).concat())
}
