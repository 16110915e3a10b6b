//! The settings that lead to an external PostgreSQL, under the names that the user gave them.

/// Names of settings, for the advice in messages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SettingNames {
    /// What names the server.
    pub server: String,
    /// What names the role and its password.
    pub login: String,
    /// What names the database.
    pub database: String,
    /// What requests encryption.
    pub sslmode: String,
}

impl SettingNames {
    /// The single keys of the configuration.
    pub(super) fn keys() -> Self {
        Self {
            server: "postgres.host and postgres.port".to_owned(),
            login: "postgres.user and postgres.password".to_owned(),
            database: "postgres.database".to_owned(),
            sslmode: "postgres.sslmode".to_owned(),
        }
    }

    /// One setting that has everything.
    pub fn one(name: &str) -> Self {
        let name = name.to_owned();
        Self { server: name.clone(), login: name.clone(), database: name.clone(), sslmode: name }
    }
}
