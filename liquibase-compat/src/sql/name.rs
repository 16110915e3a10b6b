//! Identifiers and literals.
//!
//! Names that PostgreSQL does not accept without quotes are quoted. Names in one case stay unquoted, so that PostgreSQL folds them to lower
//! case, as in Liquibase. Tables get the default schema unless the changelog names one.

/// Words that every strategy quotes.
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
    /// Reserved words, names in mixed case, and names with other characters than letters, digits and underscores.
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

    /// The strategy with this name.
    pub(crate) fn named(name: &str) -> Option<Self> {
        [Self::Legacy, Self::All, Self::Reserved].into_iter().find(|one| one.name() == name)
    }
}

/// What the SQL of a change depends on besides the change.
#[derive(Debug, Clone)]
pub(crate) struct Dialect {
    /// The schema of names without a schema.
    pub(crate) schema: String,
    /// The quoting strategy.
    pub(crate) quoting: Quoting,
    /// Whether the SQL is for a script, which cannot have prepared statements.
    pub(crate) is_script: bool,
}

impl Dialect {
    /// A name, quoted if the strategy quotes it.
    pub(crate) fn name(&self, name: &str) -> String {
        let lower = name.to_lowercase();
        let quoted = match self.quoting {
            Quoting::All => true,
            Quoting::Reserved => RESERVED.contains(&lower.as_str()) || !is_word(name),
            Quoting::Legacy => RESERVED.contains(&lower.as_str()) || !is_plain(name),
        };
        if quoted { format!("\"{}\"", name.replace('"', "\"\"")) } else { name.to_owned() }
    }

    /// A table, index or other object with its schema: `public.records`.
    pub(crate) fn qualified_name(&self, schema: Option<&str>, name: &str) -> String {
        let schema = schema.filter(|schema| !schema.is_empty()).unwrap_or(&self.schema);
        format!("{}.{}", self.name(schema), self.name(name))
    }

    /// A list of names: `a, "Bc"` for `a,Bc`.
    pub(crate) fn names(&self, list: &str) -> String {
        // Nothing before the first comma or after the last one is no name.
        let names = list.trim_start().trim_matches(',').split(',');
        names.map(|name| self.name(name.trim())).collect::<Vec<_>>().join(", ")
    }
}

/// Whether a name needs no quotes: in one case, and not beginning with a digit.
fn is_plain(name: &str) -> bool {
    let one_case =
        !(name.contains(|c: char| c.is_ascii_lowercase()) && name.contains(|c: char| c.is_ascii_uppercase()));
    one_case && is_word(name)
}

/// Whether a name is made of letters, digits and underscores, and does not begin with a digit.
fn is_word(name: &str) -> bool {
    !name.starts_with(|c: char| c.is_ascii_digit())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

/// A name as PostgreSQL folds it, unless it is in mixed case.
pub(crate) fn folded(name: &str) -> String {
    let is_mixed = name.contains(char::is_lowercase) && name.contains(char::is_uppercase);
    if is_mixed { name.to_owned() } else { name.to_lowercase() }
}

/// A string literal.
pub(crate) fn literal(text: &str) -> String {
    // A backslash needs no escape: standard_conforming_strings is on by default since PostgreSQL 9.1.
    format!("'{}'", text.replace('\'', "''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_of_names_may_begin_or_end_with_a_comma() {
        let dialect = Dialect { schema: "public".into(), quoting: Quoting::Legacy, is_script: false };
        for (list, names) in [("a,", "a"), (",a", "a"), (" ,b", "b"), (" a , Bc ", "a, \"Bc\""), ("a,,b", "a, , b")] {
            assert_eq!(dialect.names(list), names, "{list}");
        }
    }

    #[test]
    fn each_strategy_quotes_the_names_it_must() {
        let name = |quoting, name: &str| Dialect { schema: "public".into(), quoting, is_script: false }.name(name);
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
