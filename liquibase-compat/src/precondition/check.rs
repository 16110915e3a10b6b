//! Checks preconditions on a database.
//!
//! Names are compared as Liquibase compares them, with every quoting strategy: case does not matter, except in names of sequences, which must
//! be equal, and of indexes, which PostgreSQL's folding changes first. SQL of the changelog and queries of its tables run inside a transaction
//! that the caller rolls back, so that a check has no side effects; what is only looked up in the catalogs needs none. A query is one round
//! trip.

use tokio_postgres::{Client, SimpleQueryMessage};

use super::lookup::{Lookup, PreparedLookups};
use super::{Condition, Consequence, ConstraintKind, Preconditions, RelationKind};
use crate::expression;
use crate::history::History;
use crate::precondition_error::{ConditionError, PreconditionError};
use crate::sql::{Dialect, Quoting, folded, jdbc};

/// What a check can query.
#[derive(Clone, Copy)]
pub(crate) struct CheckContext<'a> {
    pub(crate) client: &'a Client,
    /// What lookups in the catalogs prepare, if the session keeps it and an error in a lookup does no harm.
    pub(crate) prepared: Option<&'a PreparedLookups>,
    pub(crate) history: &'a History,
    pub(crate) schema: &'a str,
    pub(crate) quoting: Quoting,
}

/// The result of a check.
#[derive(Debug)]
pub(crate) enum Verdict {
    /// All conditions hold.
    Holds,
    /// A condition does not hold, or could not be checked.
    Fails(Consequence, PreconditionError),
}

type Checked = Result<(), ConditionError>;

fn not_met(message: String) -> Checked {
    Err(ConditionError::NotMet(message))
}

impl Preconditions {
    /// Checks all conditions.
    pub(crate) async fn check(&self, context: &CheckContext<'_>) -> Verdict {
        let Err(condition) = context.all(&self.conditions).await else { return Verdict::Holds };
        let (consequence, message) = match &condition {
            condition if condition.is_not_met() => (self.on_fail, &self.on_fail_message),
            _ => (self.on_error, &self.on_error_message),
        };
        let error = PreconditionError { file: self.file.clone(), message: message.clone(), condition };
        Verdict::Fails(consequence, error)
    }
}

impl CheckContext<'_> {
    async fn all(&self, conditions: &[Condition]) -> Checked {
        for condition in conditions {
            Box::pin(self.check(condition)).await?;
        }
        Ok(())
    }

    async fn any(&self, conditions: &[Condition]) -> Checked {
        let mut not_met = Vec::new();
        for condition in conditions {
            match Box::pin(self.check(condition)).await {
                Ok(()) => return Ok(()),
                Err(ConditionError::NoneMet(inner)) => not_met.extend(inner),
                Err(error) if error.is_not_met() => not_met.push(error),
                // As in Liquibase, a condition that cannot be checked is an error, whatever the others say.
                Err(error) => return Err(error),
            }
        }
        Err(ConditionError::NoneMet(not_met))
    }

    async fn none(&self, conditions: &[Condition]) -> Checked {
        for condition in conditions {
            match Box::pin(self.check(condition)).await {
                Ok(()) => return not_met("Not precondition failed".to_owned()),
                Err(error) if error.is_not_met() => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    async fn check(&self, condition: &Condition) -> Checked {
        match condition {
            Condition::And(inner) => self.all(inner).await,
            Condition::Or(inner) => self.any(inner).await,
            Condition::Not(inner) => self.none(inner).await,
            Condition::Dbms(list) if expression::for_postgresql_in_any_case(list) => Ok(()),
            Condition::Dbms(list) => not_met(format!("DBMS Precondition failed: expected {list}, got postgresql")),
            Condition::RunningAs(user) => self.running_as(user).await,
            Condition::ChangeSetExecuted(id) => match self.history.find(&id.file, &id.id, &id.author) {
                Some(_) => Ok(()),
                None => not_met(format!("Changeset '{id}' has not been run")),
            },
            Condition::Relation { kind, schema, name } => self.relation(*kind, schema.as_deref(), name).await,
            Condition::Column { schema, table, column } => self.column(schema.as_deref(), table, column).await,
            Condition::Index { schema, table, index, columns } => {
                self.index(schema.as_deref(), table.as_deref(), index.as_deref(), columns.as_deref()).await
            }
            Condition::Constraint { kind, schema, table, name, columns } => {
                self.constraint(*kind, schema.as_deref(), table.as_deref(), name.as_deref(), columns.as_deref()).await
            }
            Condition::RowCount { schema, table, expected } => {
                let sql = format!("SELECT COUNT(*) FROM {}", self.table(schema.as_deref(), table));
                match self.value(&sql).await? {
                    count if count == *expected => Ok(()),
                    count => not_met(format!(
                        "Table {table} does not have the expected row count of {expected}. It contains {count} rows"
                    )),
                }
            }
            Condition::TableIsEmpty { schema, table } => {
                let table_name = self.table(schema.as_deref(), table);
                let sql = format!("SELECT COUNT(1) WHERE EXISTS (SELECT * FROM {table_name})");
                match self.value(&sql).await?.as_str() {
                    "0" => Ok(()),
                    _ => not_met(format!("Table {table} is not empty.")),
                }
            }
            Condition::Sql { sql, expected } => {
                let sql = sql.trim();
                let got = self.value(sql.strip_suffix(';').unwrap_or(sql)).await?;
                if got == *expected {
                    return Ok(());
                }
                not_met(format!("SQL Precondition failed.  Expected '{expected}' got '{got}'"))
            }
            Condition::Property { holds: true, .. } => Ok(()),
            Condition::Property { message, .. } => not_met(message.clone()),
            Condition::Custom(class) => {
                tracing::warn!(class, "a custom precondition is Java and does not hold here; write it as sqlCheck");
                not_met(format!("Could not open custom precondition class {class}"))
            }
            Condition::QuotingStrategy { holds: true, .. } => Ok(()),
            Condition::QuotingStrategy { expected, .. } => not_met(format!(
                "Quoting strategy Precondition failed: expected {expected}, got {}",
                self.quoting.name()
            )),
        }
    }

    fn table(&self, schema: Option<&str>, table: &str) -> String {
        self.dialect().qualified_name(schema, table)
    }

    fn dialect(&self) -> Dialect {
        Dialect { schema: self.schema.to_owned(), quoting: self.quoting, is_script: false }
    }

    fn schema<'a>(&'a self, schema: Option<&'a str>) -> &'a str {
        schema.unwrap_or(self.schema)
    }

    async fn running_as(&self, user: &str) -> Checked {
        let current = self.value("SELECT current_user").await?;
        if current.eq_ignore_ascii_case(user) {
            return Ok(());
        }
        not_met(format!("RunningAs Precondition failed: expected {user}, was {current}"))
    }

    /// The single value that a query returns, as text.
    async fn value(&self, sql: &str) -> Result<String, ConditionError> {
        let failed = |error: tokio_postgres::Error| ConditionError::Sql { sql: sql.to_owned(), source: error.into() };
        let messages = self.client.simple_query(&jdbc::queried(sql)).await.map_err(failed)?;
        let mut rows = messages.iter().filter_map(|message| match message {
            SimpleQueryMessage::Row(row) => Some(row),
            _ => None,
        });
        let Some(row) = rows.next() else {
            return Err(ConditionError::NoRow);
        };
        if rows.next().is_some() {
            return Err(ConditionError::SeveralRows);
        }
        if row.len() != 1 {
            return Err(ConditionError::SeveralColumns);
        }
        let value = row.try_get(0)?;
        value
            .map(str::to_owned)
            .ok_or_else(|| ConditionError::NotMet("No rows returned from SQL Precondition".to_owned()))
    }

    async fn exists(&self, lookup: Lookup<'_>, missing: String) -> Checked {
        if lookup.finds_row(self.client, self.prepared).await? { Ok(()) } else { not_met(missing) }
    }

    async fn relation(&self, kind: RelationKind, schema: Option<&str>, name: &str) -> Checked {
        let schema = self.schema(schema);
        let (word, kinds) = match kind {
            RelationKind::Table => ("Table", "'r', 'p'"),
            RelationKind::View => ("View", "'v'"),
            RelationKind::Sequence => ("Sequence", "'S'"),
        };
        let sql = format!(
            "SELECT 1 FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind IN ({kinds}) AND"
        );
        let lookup = Lookup::new(sql);
        let lookup = match kind {
            RelationKind::Sequence => lookup.with("n.nspname = ?", schema).with("c.relname = ?", name),
            RelationKind::Table | RelationKind::View => {
                lookup.with("lower(n.nspname) = lower(?)", schema).with("lower(c.relname) = lower(?)", name)
            }
        };
        let shown = self.dialect().qualified_name(Some(schema), name);
        self.exists(lookup, format!("{word} {shown} does not exist")).await
    }

    async fn column(&self, schema: Option<&str>, table: &str, column: &str) -> Checked {
        let schema = self.schema(schema);
        let sql = "SELECT 1 FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid \
                   JOIN pg_namespace n ON n.oid = c.relnamespace WHERE a.attnum > 0 AND NOT a.attisdropped AND";
        let lookup = Lookup::new(sql.to_owned())
            .with("lower(n.nspname) = lower(?)", schema)
            .with("lower(c.relname) = lower(?)", table)
            .with("lower(a.attname) = lower(?)", column);
        // Liquibase looks for a column with another name in another way, and quotes that name in the message.
        let is_plain = column.starts_with(|c: char| c.is_ascii_alphabetic())
            && column.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
        let missing = match is_plain {
            true => format!("Column {schema}.{table}.{column} does not exist"),
            false => format!("Column '{}' does not exist", self.dialect().name(column)),
        };
        self.exists(lookup, missing).await
    }

    async fn index(
        &self,
        schema: Option<&str>,
        table: Option<&str>,
        index: Option<&str>,
        columns: Option<&str>,
    ) -> Checked {
        // Without a table Liquibase looks in the default schema, and with a name it does not compare the columns.
        let schema = self.schema(schema.filter(|_| table.is_some()));
        let listed = columns.filter(|columns| table.is_some() && !columns.trim().is_empty());
        let name = |name: &str| self.dialect().name(name);
        let missing = format!(
            "Index {}{}{} does not exist",
            index.map(name).unwrap_or_default(),
            table.map(|table| format!(" on {}", name(table))).unwrap_or_default(),
            listed.map(|columns| format!(" columns {columns}")).unwrap_or_default()
        );
        let columns = columns.filter(|_| index.is_none()).map(normalised_list);
        let index = index.map(folded);
        let sql = "SELECT 1 FROM pg_index x JOIN pg_class i ON i.oid = x.indexrelid JOIN pg_class t ON t.oid = x.indrelid \
                   JOIN pg_namespace n ON n.oid = t.relnamespace WHERE";
        let own_columns = "? = (SELECT string_agg(lower(COALESCE(a.attname::text, \
                             pg_get_indexdef(x.indexrelid, k.ord::int, true))), ',' ORDER BY k.ord) \
                           FROM unnest(x.indkey::int2[]) WITH ORDINALITY AS k(num, ord) \
                           LEFT JOIN pg_attribute a ON a.attrelid = x.indrelid AND a.attnum = k.num AND k.num > 0 \
                           WHERE k.ord <= x.indnkeyatts)";
        let lookup = Lookup::new(sql.to_owned())
            .with("lower(n.nspname) = lower(?)", schema)
            .with_optional("lower(t.relname) = lower(?)", table)
            .with_optional("i.relname = ?", index.as_deref())
            .with_optional(own_columns, columns.as_deref());
        self.exists(lookup, missing).await
    }

    async fn constraint(
        &self,
        kind: ConstraintKind,
        schema: Option<&str>,
        table: Option<&str>,
        name: Option<&str>,
        columns: Option<&str>,
    ) -> Checked {
        let schema = self.schema(schema);
        let kinds = match kind {
            ConstraintKind::PrimaryKey => "'p'",
            ConstraintKind::ForeignKey => "'f'",
            // By its name Liquibase also finds a primary key.
            ConstraintKind::Unique if name.is_some() => "'u', 'p'",
            ConstraintKind::Unique => "'u'",
        };
        let shown = |name: Option<&str>| self.dialect().name(name.unwrap_or_default());
        let missing = match (kind, table) {
            (ConstraintKind::PrimaryKey, Some(_)) => format!("Primary Key does not exist on {}", shown(table)),
            (ConstraintKind::PrimaryKey, None) => format!("Primary Key {} does not exist", shown(name)),
            (ConstraintKind::ForeignKey, _) => {
                let name = self.dialect().qualified_name(Some(schema), name.unwrap_or_default());
                format!("Foreign Key {name} does not exist")
            }
            (ConstraintKind::Unique, _) => {
                let listed = columns.filter(|columns| !columns.trim().is_empty()).unwrap_or_default();
                // PostgreSQL folds a name that is not quoted.
                let shown = |name: &str| if self.quoting == Quoting::All { name.to_owned() } else { folded(name) };
                let listed: Vec<String> = listed.split(',').map(|name| shown(name.trim())).collect();
                let (name, table) = (name.unwrap_or("null"), table.unwrap_or("null"));
                format!("{name} on {table}({}) does not exist", listed.join(", "))
            }
        };
        let columns = columns.map(normalised_list);
        let sql = format!(
            "SELECT 1 FROM pg_constraint k JOIN pg_class t ON t.oid = k.conrelid \
             JOIN pg_namespace n ON n.oid = t.relnamespace WHERE k.contype IN ({kinds}) AND"
        );
        let own_columns = "? = (SELECT string_agg(lower(a.attname), ',' ORDER BY c.ord) \
                           FROM unnest(k.conkey) WITH ORDINALITY AS c(num, ord) \
                           JOIN pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = c.num)";
        let lookup = Lookup::new(sql)
            .with("lower(n.nspname) = lower(?)", schema)
            .with_optional("lower(t.relname) = lower(?)", table)
            .with_optional("lower(k.conname) = lower(?)", name)
            .with_optional(own_columns, columns.as_deref());
        self.exists(lookup, missing).await
    }
}

/// `a,b` for `A, b`.
fn normalised_list(list: &str) -> String {
    list.split(',').map(|name| name.trim().to_lowercase()).collect::<Vec<_>>().join(",")
}
