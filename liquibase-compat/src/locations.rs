//! Where a run works: the default schema, and the schema and names of the two Liquibase tables.
//!
//! The rules are those of Liquibase on PostgreSQL. The Liquibase tables are in the default schema unless they have a schema of their own.
//! Names of tables are folded to lower case, and those of schemas unless they are in mixed case. The schemas must exist; nothing creates them.

/// The schemas and tables of a run. What is `None` is the connection's default, or Liquibase's name of the table.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Locations {
    /// The schema of names without a schema (`--default-schema-name`).
    pub default_schema: Option<String>,
    /// The schema of the two Liquibase tables (`--liquibase-schema-name`).
    pub liquibase_schema: Option<String>,
    /// The name of DATABASECHANGELOG (`--database-changelog-table-name`).
    pub changelog_table: Option<String>,
    /// The name of DATABASECHANGELOGLOCK (`--database-changelog-lock-table-name`).
    pub lock_table: Option<String>,
}

impl Locations {
    /// Sets the schema of names without a schema.
    #[must_use]
    pub fn with_default_schema(mut self, schema: Option<String>) -> Self {
        self.default_schema = schema;
        self
    }

    /// Sets the schema of the two Liquibase tables.
    #[must_use]
    pub fn with_liquibase_schema(mut self, schema: Option<String>) -> Self {
        self.liquibase_schema = schema;
        self
    }

    /// Sets the names of the two Liquibase tables.
    #[must_use]
    pub fn with_tables(mut self, changelog: Option<String>, lock: Option<String>) -> Self {
        self.changelog_table = changelog;
        self.lock_table = lock;
        self
    }
}
