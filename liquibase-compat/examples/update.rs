//! Applies a changelog to a database, and prints what happens.
//!
//!     cargo run -p liquibase-compat --example update -- postgres://USER:PASSWORD@HOST/DATABASE DIRECTORY CHANGELOG [CONTEXT...]

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "an example shows its result on the terminal")]

use std::error::Error;
use std::time::Duration;

use liquibase_compat::{Changelog, DirectorySource, Event, Lock, LockOptions, Options, update};
use tokio_postgres::NoTls;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let (Some(url), Some(directory), Some(path)) = (arguments.next(), arguments.next(), arguments.next()) else {
        return Err("usage: update URL DIRECTORY CHANGELOG [CONTEXT...]".into());
    };
    let options = Options::default().with_contexts(arguments).with_observer(print_event);
    let changelog = Changelog::load(&DirectorySource::new(directory)?, &path, &options)?;

    let (mut client, connection) = tokio_postgres::connect(&url, NoTls).await?;
    tokio::spawn(async move {
        if let Err(error) = connection.await {
            eprintln!("connection: {error}");
        }
    });

    let lock_options = LockOptions::default().with_timeout(Duration::from_secs(60));
    let mut lock = Lock::acquire(&mut client, &lock_options).await?;
    let outcome = update(&mut lock, &changelog, &options).await;
    lock.release().await?;
    match outcome {
        Ok(report) => {
            println!("{} changesets ran, {} had run before", report.run_count(), report.previously_run);
            Ok(())
        }
        Err(error) => {
            if let Some(state) = error.sql_state() {
                eprintln!("SQLSTATE {}", state.code());
            }
            Err(error.into())
        }
    }
}

fn print_event(event: &Event<'_>) {
    match event {
        Event::Running(changeset) => println!("running {changeset}"),
        Event::Output { message, .. } => println!("{message}"),
        Event::FailedAndIgnored { changeset, reason } => println!("{changeset} failed and is ignored: {reason}"),
        other => println!("{other:?}"),
    }
}
