//! Generates a changelog that creates the current schema.
//!
//! It covers what Liquibase's generate-changelog covers: sequences, tables with their keys, unique constraints, indexes, foreign keys and views
//! of the default schema. Like Liquibase it does not cover check constraints, functions, triggers, types, grants and rows. Each object is a
//! changeset of its own. `snapshot.rs` reads the schema, `write.rs` writes the formats.

mod element;
mod snapshot;
mod write;

use tokio_postgres::Client;

use element::Element;

use crate::changelog::Changelog;
use crate::error::Error;
use crate::history::tables::Tables;
use crate::options::Options;
use crate::session::deployment_id;
use crate::source::EmbeddedSource;

/// The syntax of a generated changelog.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum GeneratedFormat {
    /// A `.xml` file.
    Xml,
    /// A `.yaml` file.
    Yaml,
    /// A `.json` file.
    Json,
    /// A `.sql` file of formatted SQL.
    Sql,
}

/// Generates a changelog of the default schema, without the two Liquibase tables.
///
/// # Errors
/// When the schema cannot be read, or cannot be written in this format.
pub async fn generate_changelog(
    client: &mut Client,
    format: GeneratedFormat,
    author: &str,
    options: &Options,
) -> Result<String, Error> {
    let tables = Tables::locate(&*client, &options.locations).await?;
    let changes = snapshot::read(client, &tables).await?;
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
