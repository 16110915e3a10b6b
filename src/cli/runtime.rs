//! The runtimes on which asynchronous work runs.
//!
//! Policy: background tasks that still run when the work is done are not waited for, because they may take long: a name that no
//! resolver answers blocks a thread for half a minute.

use std::future::Future;
use std::num::NonZero;
use std::thread::available_parallelism;

use tokio::runtime::Builder;

use super::error::Error;
use crate::config::{Config, PostgresService};

/// Runs a future to its end on this number of threads.
///
/// # Errors
/// If no threads can be started, or the error of the future.
pub fn run_multi_threaded<T, E>(threads: usize, work: impl Future<Output = Result<T, E>>) -> Result<T, Error>
where
    Error: From<E>,
{
    run(Builder::new_multi_thread().worker_threads(threads), work)
}

/// Runs a future to its end on this thread only.
///
/// # Errors
/// If no runtime can be made, or the error of the future.
pub fn run_single_threaded<T, E>(work: impl Future<Output = Result<T, E>>) -> Result<T, Error>
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

/// The number of processors.
pub fn processor_count() -> usize {
    available_parallelism().map_or(1, NonZero::get)
}

/// The number of threads for requests.
pub fn worker_threads(config: &Config) -> usize {
    threads(config, processor_count())
}

/// By default one thread per processor, or one fewer with a managed PostgreSQL, which works on the requests as well: throughput is
/// higher if it has a processor to itself (`docs/adr/0007-one-processor-for-postgresql.md`).
fn threads(config: &Config, processors: usize) -> usize {
    let managed = matches!(config.postgres.service, PostgresService::Managed { .. });
    config.server.workers.unwrap_or_else(|| (processors - usize::from(managed)).max(1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{self, Environment, Flags};

    #[test]
    fn a_managed_postgres_has_a_processor_to_itself() {
        let of = |set: &[&str]| {
            let set = set.iter().map(|&setting| setting.to_owned()).collect();
            let data_dir = Some("/tmp/x".to_owned());
            config::load(&Flags { config: None, listen: None, data_dir, set }, &Environment::empty()).unwrap().config
        };
        let (managed, external) = (of(&[]), of(&["postgres.host=db"]));
        assert_eq!([1, 2, 8].map(|processors| threads(&managed, processors)), [1, 1, 7]);
        assert_eq!([1, 2, 8].map(|processors| threads(&external, processors)), [1, 2, 8]);
        assert_eq!(threads(&of(&["server.workers=3"]), 2), 3);
    }
}
