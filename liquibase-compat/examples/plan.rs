//! Prints what an update of an empty database would run, and the checksum of each changeset. It needs no database.
//!
//!     cargo run -p liquibase-compat --example plan -- DIRECTORY CHANGELOG [CONTEXT...]

#![expect(clippy::print_stdout, reason = "an example shows its result on the terminal")]

use std::error::Error;

use liquibase_compat::{Changelog, ChecksumVersion, DirectorySource, History, Options, plan};

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let (Some(directory), Some(path)) = (arguments.next(), arguments.next()) else {
        return Err("usage: plan DIRECTORY CHANGELOG [CONTEXT...]".into());
    };
    let options = Options::default().with_contexts(arguments);
    let changelog = Changelog::load(&DirectorySource::new(directory)?, &path, &options)?;

    println!("checksums");
    for (id, checksum) in changelog.checksums(ChecksumVersion::V9) {
        println!("  {checksum}  {id}");
    }

    // With the rows of a real database in the history, the plan is the one of an update of that database.
    let plan = plan(&changelog, &History::default(), &options)?;
    println!("an update of an empty database runs");
    for pending in plan.pending() {
        println!("  {} ({:?})", pending.changeset, pending.reason);
    }
    for (reason, count) in plan.filter_counts() {
        println!("{count} filtered out: {reason:?}");
    }
    Ok(())
}
