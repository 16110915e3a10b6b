//! Maps data types of a changelog to PostgreSQL's.
//!
//! Changelogs use type names of many databases. Known names are mapped. Others are written in upper case, and PostgreSQL accepts or refuses
//! them.

/// Whether a column of this type is an identity even without `autoIncrement`.
pub(crate) fn is_serial(written: &str) -> bool {
    matches!(
        written.trim().to_lowercase().as_str(),
        "serial" | "serial2" | "serial4" | "serial8" | "bigserial" | "smallserial"
    )
}

/// The PostgreSQL type for the type written in a changelog.
pub(crate) fn column_type(written: &str) -> String {
    let written = written.trim().trim_matches('"');
    if let Some(element) = written.strip_suffix("[]") {
        return format!("{}[]", column_type(element));
    }
    let (name, parameters, rest) = parts(written);
    let lower = name.to_lowercase();
    let lower = lower.strip_prefix("java.sql.types.").unwrap_or(&lower);
    let with = |target: &str| format!("{target}{parameters}");
    match lower {
        "int" | "integer" | "int4" | "serial" | "serial4" => "INTEGER".to_owned(),
        "int2" | "smallint" | "tinyint" | "smallserial" | "serial2" => "SMALLINT".to_owned(),
        "int8" | "bigint" | "bigserial" | "serial8" => "BIGINT".to_owned(),
        "double" | "double precision" => "DOUBLE PRECISION".to_owned(),
        "real" if name.contains('.') => "FLOAT".to_owned(),
        "currency" | "money" => "DECIMAL".to_owned(),
        "number" | "numeric" => with("numeric"),
        "bool" | "boolean" => "BOOLEAN".to_owned(),
        "char" | "character" => with("CHAR"),
        "varchar" | "varchar2" | "nvarchar" | "nvarchar2" | "character varying" => with("VARCHAR"),
        "text" | "clob" | "nclob" | "longtext" | "mediumtext" | "tinytext" | "ntext" | "longvarchar"
        | "longnvarchar" => "TEXT".to_owned(),
        "uuid" | "uniqueidentifier" => "UUID".to_owned(),
        "blob" | "oid" => "OID".to_owned(),
        "bytea" | "longblob" | "mediumblob" | "tinyblob" | "binary" | "varbinary" | "longvarbinary" | "image" => {
            "BYTEA".to_owned()
        }
        "date" => "date".to_owned(),
        "time" | "timetz" => zoned("time", lower, &parameters, &rest),
        "timestamp" | "timestamptz" | "timestamp_with_timezone" => zoned("TIMESTAMP", lower, &parameters, &rest),
        "datetime" | "datetime2" | "smalldatetime" => with("TIMESTAMP") + " WITHOUT TIME ZONE",
        _ => {
            let tail = if rest.is_empty() { String::new() } else { format!(" {rest}") };
            format!("{}{parameters}{tail}", name.to_uppercase())
        }
    }
}

/// A time type with its time zone. The default is without one, as in SQL.
fn zoned(target: &str, lower: &str, parameters: &str, rest: &str) -> String {
    let zone = match (rest.is_empty(), lower.ends_with("tz") || lower.ends_with("_with_timezone")) {
        (false, _) if target == "time" => rest.to_uppercase(),
        (false, _) => rest.to_owned(),
        (true, true) => "WITH TIME ZONE".to_owned(),
        (true, false) => "WITHOUT TIME ZONE".to_owned(),
    };
    format!("{target}{parameters} {zone}")
}

/// Splits `timestamp(3) with time zone` into the name, `(3)` and the rest. A name may have two words, as in `bit varying(5)`.
fn parts(written: &str) -> (&str, String, String) {
    if let Some((name, rest)) = written.split_once('(') {
        let (inner, rest) = rest.split_once(')').unwrap_or((rest, ""));
        let list: Vec<&str> = inner.split(',').map(|one| length(one.trim())).collect();
        return (name.trim(), format!("({})", list.join(", ")), rest.trim().to_owned());
    }
    let lower = written.to_lowercase();
    for head in ["timestamp ", "time "] {
        if lower.starts_with(head) {
            return (written[..head.len()].trim(), String::new(), written[head.len()..].trim().to_owned());
        }
    }
    (written, String::new(), String::new())
}

/// Oracle's `15 char` is a length of 15.
fn length(written: &str) -> &str {
    written.split_once(' ').map_or(written, |(number, _)| number)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Types that Liquibase 4.28.0 maps wrongly, with the intended mapping.
    const CORRECTED: &[(&str, &str)] = &[
        ("varchar(5)[]", "VARCHAR(5)[]"),
        ("numeric(10,2)[]", "numeric(10, 2)[]"),
        ("int[]", "INTEGER[]"),
        ("interval day", "INTERVAL DAY"),
        ("varchar2(15_CHAR)", "VARCHAR(15_CHAR)"),
    ];

    #[test]
    fn types_are_mapped_like_in_liquibase() {
        for line in include_str!("../../tests/data/types.txt").lines() {
            let (written, mapped) = line.split_once('\t').unwrap();
            if written.ends_with("[autoIncrement]") {
                continue;
            }
            let corrected = CORRECTED.iter().find(|(type_, _)| *type_ == written).map(|(_, intended)| *intended);
            let ours = column_type(written);
            let ours = ours.strip_prefix("JAVA.SQL.TYPES.").unwrap_or(&ours);
            let mapped = mapped.strip_prefix("JAVA.SQL.TYPES.").unwrap_or(mapped);
            assert_eq!(ours, corrected.unwrap_or(mapped), "{written}");
        }
    }
}
