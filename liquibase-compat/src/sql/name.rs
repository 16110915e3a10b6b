//! Identifiers and literals.
//!
//! Names that PostgreSQL would not take bare are quoted; names in one case stay bare and so fold to lower case, as in
//! Liquibase. Tables get the default schema unless the changelog names another.

/// Words that cannot be bare names; quoted under every strategy.
const RESERVED: &[&str] = &[
    "all",
    "analyse",
    "analyze",
    "and",
    "any",
    "array",
    "as",
    "asc",
    "asymmetric",
    "authorization",
    "binary",
    "both",
    "case",
    "cast",
    "check",
    "collate",
    "collation",
    "column",
    "concurrently",
    "constraint",
    "create",
    "cross",
    "current_catalog",
    "current_date",
    "current_role",
    "current_schema",
    "current_time",
    "current_timestamp",
    "current_user",
    "default",
    "deferrable",
    "desc",
    "distinct",
    "do",
    "else",
    "end",
    "except",
    "false",
    "fetch",
    "for",
    "foreign",
    "freeze",
    "from",
    "full",
    "grant",
    "group",
    "having",
    "ilike",
    "in",
    "initially",
    "inner",
    "intersect",
    "into",
    "is",
    "isnull",
    "join",
    "lateral",
    "leading",
    "left",
    "like",
    "limit",
    "localtime",
    "localtimestamp",
    "natural",
    "not",
    "notnull",
    "null",
    "offset",
    "on",
    "only",
    "or",
    "order",
    "outer",
    "overlaps",
    "placing",
    "primary",
    "references",
    "returning",
    "right",
    "select",
    "session_user",
    "similar",
    "some",
    "symmetric",
    "table",
    "tablesample",
    "then",
    "to",
    "trailing",
    "true",
    "union",
    "unique",
    "user",
    "using",
    "variadic",
    "verbose",
    "when",
    "where",
    "window",
    "with",
];

/// Which names are quoted (`objectQuotingStrategy`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Quoting {
    /// Reserved words, mixed case and odd characters.
    #[default]
    Legacy,
    /// Every name.
    All,
    /// Reserved words only.
    Reserved,
}

impl Quoting {
    /// The strategy's name in a changelog.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Legacy => "LEGACY",
            Self::All => "QUOTE_ALL_OBJECTS",
            Self::Reserved => "QUOTE_ONLY_RESERVED_WORDS",
        }
    }

    /// The strategy of that name.
    pub(crate) fn named(name: &str) -> Option<Self> {
        [Self::Legacy, Self::All, Self::Reserved].into_iter().find(|one| one.name() == name)
    }
}

/// What SQL depends on besides the change itself.
#[derive(Debug, Clone)]
pub(crate) struct Dialect {
    /// The schema of names that come without one.
    pub(crate) schema: String,
    /// Which names are quoted.
    pub(crate) quoting: Quoting,
}

impl Dialect {
    /// A name as it is written in SQL.
    pub(crate) fn name(&self, name: &str) -> String {
        let lower = name.to_lowercase();
        let quoted = match self.quoting {
            Quoting::All => true,
            Quoting::Reserved => RESERVED.contains(&lower.as_str()),
            Quoting::Legacy => RESERVED.contains(&lower.as_str()) || !is_plain(name),
        };
        if quoted { format!("\"{}\"", name.replace('"', "\"\"")) } else { name.to_owned() }
    }

    /// A table, index or other object with its schema.
    pub(crate) fn object(&self, schema: Option<&str>, name: &str) -> String {
        let schema = schema.filter(|schema| !schema.is_empty()).unwrap_or(&self.schema);
        format!("{}.{}", self.name(schema), self.name(name))
    }

    /// A list of names: `a, "B"` from `a,B`.
    pub(crate) fn names(&self, list: &str) -> String {
        list.split(',').map(|name| self.name(name.trim())).collect::<Vec<_>>().join(", ")
    }
}

/// Whether a name may stand bare: one case, starting with a letter or underscore.
fn is_plain(name: &str) -> bool {
    let one_case =
        !(name.contains(|c: char| c.is_ascii_lowercase()) && name.contains(|c: char| c.is_ascii_uppercase()));
    one_case
        && !name.starts_with(|c: char| c.is_ascii_digit())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

/// A string literal.
pub(crate) fn literal(text: &str) -> String {
    // A backslash is an ordinary character: standard_conforming_strings has been on since PostgreSQL 9.1.
    format!("'{}'", text.replace('\'', "''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_quoted_where_needed() {
        let name = |quoting, name: &str| Dialect { schema: "public".into(), quoting }.name(name);
        for (bare, legacy) in [
            ("records", "records"),
            ("RECORDS", "RECORDS"),
            ("user", "\"user\""),
            ("MixedCase", "\"MixedCase\""),
            ("with space", "\"with space\""),
            ("1st", "\"1st\""),
            ("a\"b", "\"a\"\"b\""),
        ] {
            assert_eq!(name(Quoting::Legacy, bare), legacy);
        }
        assert_eq!(name(Quoting::All, "records"), "\"records\"");
        assert_eq!(name(Quoting::Reserved, "Group"), "\"Group\"");
        assert_eq!(name(Quoting::Reserved, "MixedCase"), "MixedCase");
    }
}
