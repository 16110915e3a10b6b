//! The settings of the database itself (`ALTER DATABASE`), which a dump of its content does not have.

use serde::{Deserialize, Serialize};
use tokio_postgres::Client;
use tokio_postgres::types::Type;

/// Settings for sessions, and who may connect.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DatabaseSettings {
    /// Its description (`COMMENT ON DATABASE`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
    /// `ALTER DATABASE … SET` and `ALTER ROLE … IN DATABASE … SET`.
    pub parameters: Vec<Parameter>,
    /// What roles may do with it; none if that was never changed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub privileges: Option<Vec<Privilege>>,
}

/// A setting for the sessions of all roles or of one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Parameter {
    /// The role; none for all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub role: Option<String>,
    /// The parameter.
    pub name: String,
    /// Its value, as the server keeps it.
    pub value: String,
}

/// A privilege of a role.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Privilege {
    /// The role; none for `PUBLIC`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub role: Option<String>,
    /// `CONNECT`, `CREATE` or `TEMPORARY`.
    pub privilege: String,
    /// Whether the role may pass it on.
    pub is_grantable: bool,
}

const PARAMETERS: &str = "SELECT rolname::text, split_part(setting, '=', 1), substr(setting, strpos(setting, '=') + 1) \
    FROM pg_db_role_setting JOIN pg_database ON pg_database.oid = setdatabase LEFT JOIN pg_roles ON pg_roles.oid = setrole, \
    unnest(setconfig) WITH ORDINALITY AS settings (setting, number) \
    WHERE datname = current_database() AND (setrole = 0 OR rolname IS NOT NULL) ORDER BY rolname, number";
const PRIVILEGES: &str = "SELECT grantee.rolname::text, privilege_type, is_grantable FROM pg_database, aclexplode(datacl) AS acl \
    LEFT JOIN pg_roles AS grantee ON grantee.oid = acl.grantee WHERE datname = current_database() \
    AND (acl.grantee = 0 OR grantee.rolname IS NOT NULL) ORDER BY 1, 2";
const DESCRIPTION: &str = "SELECT shobj_description(oid, 'pg_database'), datacl IS NOT NULL FROM pg_database WHERE datname = current_database()";

impl DatabaseSettings {
    /// Those of the database of this session.
    pub(super) async fn read(client: &Client) -> Result<Self, tokio_postgres::Error> {
        let row = client.query_typed_one(DESCRIPTION, &[]).await?;
        let parameters = client.query_typed(PARAMETERS, &[]).await?;
        let parameters =
            parameters.iter().map(|row| Parameter { role: row.get(0), name: row.get(1), value: row.get(2) }).collect();
        let privileges = match row.get(1) {
            true => Some(client.query_typed(PRIVILEGES, &[]).await?.iter().map(privilege).collect()),
            false => None,
        };
        Ok(Self { comment: row.get(0), parameters, privileges })
    }

    /// Gives the database of this session, which is the superuser's, these settings.
    pub(super) async fn apply(&self, client: &Client) -> Result<(), tokio_postgres::Error> {
        let database: String = client.query_typed_one("SELECT quote_ident(current_database())", &[]).await?.get(0);
        if let Some(comment) = &self.comment {
            let literal: String =
                client.query_typed_one("SELECT quote_literal($1)", &[(comment, Type::TEXT)]).await?.get(0);
            client.batch_execute(&format!("COMMENT ON DATABASE {database} IS {literal}")).await?;
        }
        for Parameter { role, name, value } in &self.parameters {
            // The value is given as the server keeps it, whether it is a list or not; then the database takes it over.
            client
                .query_typed_one("SELECT set_config($1, $2, false)", &[(name, Type::TEXT), (value, Type::TEXT)])
                .await?;
            let quoted: String = client.query_typed_one(QUOTED_NAME, &[(name, Type::TEXT)]).await?.get(0);
            let of = match role {
                None => format!("DATABASE {database}"),
                Some(role) => {
                    let role: String =
                        client.query_typed_one("SELECT quote_ident($1)", &[(role, Type::TEXT)]).await?.get(0);
                    format!("ROLE {role} IN DATABASE {database}")
                }
            };
            client.batch_execute(&format!("ALTER {of} SET {quoted} FROM CURRENT; RESET {quoted}")).await?;
        }
        let Some(privileges) = &self.privileges else { return Ok(()) };
        client.batch_execute(&format!("REVOKE ALL ON DATABASE {database} FROM PUBLIC")).await?;
        for Privilege { role, privilege, is_grantable } in privileges {
            let Some(word) = ["CONNECT", "CREATE", "TEMPORARY"].into_iter().find(|word| word == privilege) else {
                continue;
            };
            let role: String = match role {
                None => "PUBLIC".to_owned(),
                Some(role) => client.query_typed_one("SELECT quote_ident($1)", &[(role, Type::TEXT)]).await?.get(0),
            };
            let option = if *is_grantable && role != "PUBLIC" { " WITH GRANT OPTION" } else { "" };
            client.batch_execute(&format!("GRANT {word} ON DATABASE {database} TO {role}{option}")).await?;
        }
        Ok(())
    }
}

/// The name of a parameter may have two parts, as in `auto_explain.log_analyze`.
const QUOTED_NAME: &str = "SELECT string_agg(quote_ident(part), '.' ORDER BY number) FROM unnest(string_to_array($1, '.')) WITH ORDINALITY AS parts (part, number)";

fn privilege(row: &tokio_postgres::Row) -> Privilege {
    Privilege { role: row.get(0), privilege: row.get(1), is_grantable: row.get(2) }
}
