//! A changelog that makes a schema as it is.
//!
//! What Liquibase's own generate-changelog covers: sequences, tables with their keys, unique constraints, indexes, foreign keys and
//! views of the default schema. Check constraints, functions, triggers, types, grants and rows are not covered, by either. Each object
//! is a changeset of its own. `snapshot.rs` reads the schema, `write.rs` writes the formats.

mod snapshot;
mod write;

use tokio_postgres::Client;

use crate::changelog::Changelog;
use crate::error::Error;
use crate::history::tables::Tables;
use crate::options::Options;
use crate::session::deployment_id;
use crate::source::EmbeddedSource;

/// The syntax of a generated changelog.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GeneratedFormat {
    /// XML.
    Xml,
    /// YAML.
    Yaml,
    /// JSON.
    Json,
    /// Formatted SQL.
    Sql,
}

/// A change, or a part of one: what all formats have in common.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Element {
    name: &'static str,
    attributes: Vec<(&'static str, String)>,
    children: Vec<Element>,
    /// The body; `selectQuery` and the like in the formats without bodies.
    body: Option<(&'static str, String)>,
}

impl Element {
    fn new(name: &'static str) -> Self {
        Self { name, ..Self::default() }
    }

    fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.attributes.push((name, value.into()));
        self
    }
}

/// The changelog of the connection's default schema as it is now.
///
/// # Errors
/// When the schema cannot be read.
pub async fn generate_changelog(client: &mut Client, format: GeneratedFormat, author: &str) -> Result<String, Error> {
    let tables = Tables::locate(&*client).await?;
    let changes = snapshot::read(client, &tables.schema).await?;
    let prefix = deployment_id();
    let sets: Vec<(String, Element)> =
        changes.into_iter().enumerate().map(|(index, change)| (format!("{prefix}-{}", index + 1), change)).collect();
    Ok(match format {
        GeneratedFormat::Xml => write::xml(&sets, author),
        GeneratedFormat::Yaml => write::yaml(&sets, author),
        GeneratedFormat::Json => write::json(&sets, author),
        GeneratedFormat::Sql => {
            let text = write::xml(&sets, author);
            let source = EmbeddedSource::of_texts(&[("generated.xml", &text)]);
            let changelog = Changelog::load(&source, "generated.xml", &Options::default())?;
            write::sql(&changelog, &tables.schema).map_err(Error::Generate)?
        }
    })
}
