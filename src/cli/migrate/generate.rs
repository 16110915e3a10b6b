//! `generate-changelog`: the form and the destination of the changelog.

use std::path::Path;

use liquibase_compat::{GeneratedFormat, generate_changelog};
use tokio_postgres::Client;

use super::arguments::AuthorOption;
use super::console::Console;
use super::settings::Settings;
use crate::cli::migrate_error::Error;
use crate::cli::output;

/// Writes a changelog that creates the current schema: to a file, whose extension determines the format, or to standard output as XML.
///
/// # Errors
/// If the schema cannot be read, or the file cannot be written.
pub async fn run(
    client: &mut Client,
    option: &AuthorOption,
    settings: &Settings,
    console: &mut Console,
) -> Result<(), Error> {
    // The file comes from the same option as the changelog of other commands.
    let file = settings.changelog.as_deref();
    let format = match file.and_then(|file| file.rsplit_once('.')) {
        Some((_, "sql")) => GeneratedFormat::Sql,
        Some((_, "yaml" | "yml")) => GeneratedFormat::Yaml,
        Some((_, "json")) => GeneratedFormat::Json,
        _ => GeneratedFormat::Xml,
    };
    let author = option.author.clone().unwrap_or_else(|| "generated".to_owned());
    let text = generate_changelog(client, format, &author, &settings.options).await?;
    let Some(file) = file else {
        console.output.push_str(&text);
        return Ok(());
    };
    if !option.overwrite_output_file && Path::new(file).exists() {
        return Err(Error::Exists(file.to_owned()));
    }
    std::fs::write(file, text).map_err(|source| Error::File { path: file.into(), source })?;
    output::print_message(&format!("Generated changelog written to {file}"));
    Ok(())
}
