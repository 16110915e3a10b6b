//! Where asynchronous work runs.
//!
//! Policy: what is still running in the background when the work is done ends with the process. Waiting for it has no
//! bound: a name that no resolver answers holds a thread for half a minute.

use std::future::Future;
use std::num::NonZero;
use std::thread::available_parallelism;

use tokio::runtime::Builder;

use super::Error;
use crate::config::{Config, PostgresService};

/// Runs a future on so many threads, and waits for it.
///
/// # Errors
/// When no threads can be started, or what the future fails with.
pub fn run_on<T, E>(threads: usize, work: impl Future<Output = Result<T, E>>) -> Result<T, Error>
where
    Error: From<E>,
{
    run(Builder::new_multi_thread().worker_threads(threads), work)
}

/// Runs a future on this thread alone, and waits for it.
///
/// # Errors
/// When no runtime can be made, or what the future fails with.
pub fn run_here<T, E>(work: impl Future<Output = Result<T, E>>) -> Result<T, Error>
where
    Error: From<E>,
{
    run(&mut Builder::new_current_thread(), work)
}

fn run<T, E>(builder: &mut Builder, work: impl Future<Output = Result<T, E>>) -> Result<T, Error>
where
    Error: From<E>,
{
    let runtime = builder.enable_all().build().map_err(Error::Runtime)?;
    let outcome = runtime.block_on(work);
    runtime.shutdown_background();
    Ok(outcome?)
}

/// A thread for each processor.
pub fn processors() -> usize {
    available_parallelism().map_or(1, NonZero::get)
}

/// The threads for requests.
pub fn for_requests(config: &Config) -> usize {
    workers(config, processors())
}

/// One thread a processor. A PostgreSQL of our own works on the same requests: with a processor to itself it and we get more done than
/// with threads that take turns on it (`docs/adr/0007-one-processor-for-postgresql.md`).
fn workers(config: &Config, processors: usize) -> usize {
    let managed = matches!(config.postgres.service, PostgresService::Managed { .. });
    config.server.workers.unwrap_or_else(|| (processors - usize::from(managed)).max(1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{self, Environment, Flags};

    #[test]
    fn a_postgres_of_our_own_has_a_processor_to_itself() {
        let of = |set: &[&str]| {
            let set = set.iter().map(|&setting| setting.to_owned()).collect();
            let data_dir = Some("/tmp/x".to_owned());
            config::load(&Flags { config: None, listen: None, data_dir, set }, &Environment::empty()).unwrap().config
        };
        let (managed, external) = (of(&[]), of(&["postgres.host=db"]));
        assert_eq!([1, 2, 8].map(|processors| workers(&managed, processors)), [1, 1, 7]);
        assert_eq!([1, 2, 8].map(|processors| workers(&external, processors)), [1, 2, 8]);
        assert_eq!(workers(&of(&["server.workers=3"]), 2), 3);
    }
}
