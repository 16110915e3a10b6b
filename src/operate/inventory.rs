//! What a database contains, so that a restored one can be compared with it.
//!
//! Policy: every table with rows is counted, except the lock of migrations, which is not restored. The history of migrations is compared row by row, by a
//! checksum.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use tokio_postgres::Client;

/// The table whose rows are left out of a backup.
pub(super) const LOCK_TABLE: &str = "public.databasechangeloglock";

/// The tables that have rows of their own: neither the system's nor those of extensions.
const TABLES: &str = "SELECT format('%I.%I', nspname, relname), relname = 'databasechangelog' AND nspname = 'public' \
    FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace \
    WHERE relkind = 'r' AND relpersistence <> 't' AND nspname !~ '^pg_' AND nspname <> 'information_schema' \
    AND format('%I.%I', nspname, relname) <> 'public.databasechangeloglock' \
    AND NOT EXISTS (SELECT FROM pg_depend WHERE classid = 'pg_class'::regclass AND objid = pg_class.oid AND deptype = 'e') \
    ORDER BY 1";

/// The tables and sequences that the role of this session may not read.
const UNREADABLE: &str = "SELECT format('%I.%I', nspname, relname) FROM pg_class \
    JOIN pg_namespace ON pg_namespace.oid = relnamespace WHERE nspname !~ '^pg_' AND nspname <> 'information_schema' \
    AND ((relkind IN ('r', 'p', 'v', 'm', 'f') AND NOT has_table_privilege(pg_class.oid, 'SELECT')) \
    OR (relkind = 'S' AND NOT has_sequence_privilege(pg_class.oid, 'SELECT'))) ORDER BY 1 LIMIT 5";

/// The content of a database.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Inventory {
    /// The number of rows of each table.
    pub rows: BTreeMap<String, u64>,
    /// A checksum of the history of migrations, `DATABASECHANGELOG`; none without that table.
    pub changelog: Option<String>,
}

impl Inventory {
    /// Counts in the snapshot of this session.
    pub(super) async fn read(client: &Client) -> Result<Self, tokio_postgres::Error> {
        let mut rows = BTreeMap::new();
        let mut changelog = None;
        for table in client.query_typed(TABLES, &[]).await? {
            let name: String = table.get(0);
            // The name comes quoted from `format`.
            let count: i64 = client.query_typed_one(&format!("SELECT count(*) FROM {name}"), &[]).await?.get(0);
            rows.insert(name, u64::try_from(count).unwrap_or_default());
            if table.get(1) {
                let digest = "SELECT coalesce(md5(string_agg(history::text, E'\\n' ORDER BY orderexecuted, id, author, \
                    filename)), 'empty') FROM public.databasechangelog AS history";
                changelog = Some(client.query_typed_one(digest, &[]).await?.get(0));
            }
        }
        Ok(Self { rows, changelog })
    }

    /// The number of records.
    pub fn records(&self) -> u64 {
        self.rows.get("public.records").copied().unwrap_or(0)
    }

    /// The number of rows of all tables.
    pub fn total_rows(&self) -> u64 {
        self.rows.values().sum()
    }

    /// The first difference from `expected`, in words.
    pub(super) fn difference(&self, expected: &Self) -> Option<String> {
        for (table, count) in &expected.rows {
            match self.rows.get(table) {
                None => return Some(format!("the table {table} is missing")),
                Some(found) if found != count => {
                    return Some(format!("the table {table} has {found} rows, {count} were expected"));
                }
                Some(_) => {}
            }
        }
        if let Some(table) = self.rows.keys().find(|table| !expected.rows.contains_key(*table)) {
            return Some(format!("there is a further table {table}"));
        }
        (self.changelog != expected.changelog).then(|| "the history of migrations differs".to_owned())
    }
}

/// The first tables that the role of this session may not read.
pub(super) async fn unreadable(client: &Client) -> Result<Vec<String>, tokio_postgres::Error> {
    Ok(client.query_typed(UNREADABLE, &[]).await?.iter().map(|row| row.get(0)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn inventory(rows: &[(&str, u64)], changelog: Option<&str>) -> Inventory {
        let rows = rows.iter().map(|(table, count)| ((*table).to_owned(), *count)).collect();
        Inventory { rows, changelog: changelog.map(str::to_owned) }
    }

    #[test]
    fn every_difference_is_found() {
        let expected = inventory(&[("a", 1), ("b", 2)], Some("x"));
        assert_eq!(expected.difference(&expected), None);
        for (other, words) in [
            (inventory(&[("a", 1)], Some("x")), "b is missing"),
            (inventory(&[("a", 1), ("b", 3)], Some("x")), "b has 3 rows, 2 were expected"),
            (inventory(&[("a", 1), ("b", 2), ("c", 0)], Some("x")), "further table c"),
            (inventory(&[("a", 1), ("b", 2)], Some("y")), "history"),
            (inventory(&[("a", 1), ("b", 2)], None), "history"),
        ] {
            let found = other.difference(&expected).unwrap();
            assert!(found.contains(words), "{found}");
        }
    }
}
