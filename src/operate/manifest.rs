//! What a backup says about itself.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Error;
use super::database_settings::DatabaseSettings;
use super::inventory::Inventory;

/// The product of every backup of this program.
const PRODUCT: &str = "attendance-api";
/// The form of the file that this program writes. A program with a lower number cannot read it.
const FORMAT: u32 = 1;

/// What a backup says about itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// The program that wrote it.
    pub product: String,
    /// The form of the file.
    pub format: u32,
    /// When the backup was begun (RFC 3339, UTC, whole seconds).
    pub created: String,
    /// The label that it was given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// What made it.
    pub trigger: Trigger,
    /// The version of the appliance.
    pub appliance: String,
    /// The PostgreSQL.
    pub postgres: PostgresVersions,
    /// The schema.
    pub schema: Schema,
    /// Its name.
    pub database: String,
    /// The size of the database in the cluster, in bytes.
    pub database_bytes: u64,
    /// What it contains.
    pub content: Inventory,
    /// The settings of the database.
    pub settings: DatabaseSettings,
    /// The parts of the file, in their order.
    pub parts: Vec<Part>,
}

/// What made a backup.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Trigger {
    /// A command.
    Command,
    /// The schedule.
    Schedule,
    /// The start of a newer version.
    Upgrade,
}

/// Versions of PostgreSQL.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PostgresVersions {
    /// Of the server.
    pub server: String,
    /// Of `pg_dump`; an older `pg_restore` may not be able to read it.
    pub programs: String,
    /// The major version of `pg_dump`.
    pub programs_major: u32,
}

/// The versions of the schema.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Schema {
    /// The newest migration of the appliance's own tables; 0 without these tables.
    pub migration: i64,
    /// The number of changesets that were applied.
    pub changesets: u64,
}

/// A part of the file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    /// Its name.
    pub name: String,
    /// The number of its entries.
    pub entries: u32,
    /// Its size in the file, in bytes.
    pub bytes: u64,
    /// Its size after decompression, in bytes.
    pub unpacked_bytes: u64,
    /// The SHA-256 of its bytes in the file.
    pub sha256: String,
}

/// What every form of the file has.
#[derive(Deserialize)]
struct Head {
    product: String,
    format: u32,
    appliance: String,
}

impl Manifest {
    /// A manifest of this program without parts.
    pub(super) fn new(created: String, trigger: Trigger, label: Option<String>) -> Self {
        Self {
            product: PRODUCT.to_owned(),
            format: FORMAT,
            created,
            label,
            trigger,
            appliance: env!("CARGO_PKG_VERSION").to_owned(),
            postgres: PostgresVersions { server: String::new(), programs: String::new(), programs_major: 0 },
            schema: Schema { migration: 0, changesets: 0 },
            database: String::new(),
            database_bytes: 0,
            content: Inventory { rows: BTreeMap::new(), changelog: None },
            settings: DatabaseSettings::default(),
            parts: Vec::new(),
        }
    }

    /// Reads a manifest whose checksum is right.
    ///
    /// # Errors
    /// When it is of another product or of a newer form.
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, Error> {
        let head: Head = serde_json::from_slice(bytes).map_err(|_| Error::NotABackup)?;
        if head.product != PRODUCT {
            return Err(Error::NotABackup);
        }
        if head.format > FORMAT {
            return Err(Error::NewerFormat { appliance: head.appliance });
        }
        serde_json::from_slice(bytes).map_err(|_| Error::NotABackup)
    }

    /// As text, to be written into the file.
    pub(super) fn to_bytes(&self) -> Result<Vec<u8>, Error> {
        let mut bytes = serde_json::to_vec_pretty(self).map_err(|source| Error::Encode { source })?;
        bytes.push(b'\n');
        Ok(bytes)
    }

    /// When the backup was begun.
    ///
    /// # Errors
    /// When the text is no time.
    pub fn created(&self) -> Result<jiff::Timestamp, Error> {
        self.created.parse().map_err(|_| Error::NotABackup)
    }

    /// The number of records.
    pub fn records(&self) -> u64 {
        self.content.records()
    }
}
