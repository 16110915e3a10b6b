//! Where asynchronous work runs.

use std::future::Future;

use super::Failure;

/// Runs a future on a runtime with a thread per processor, and waits for it.
///
/// # Errors
/// When no threads can be started, or what the future fails with.
pub fn run_on_all_processors<T, E>(work: impl Future<Output = Result<T, E>>) -> Result<T, Failure>
where
    Failure: From<E>,
{
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(Failure::Runtime)?;
    Ok(runtime.block_on(work)?)
}

/// Runs a future on this thread alone, and waits for it.
///
/// # Errors
/// When no runtime can be made, or what the future fails with.
pub fn run_here<T, E>(work: impl Future<Output = Result<T, E>>) -> Result<T, Failure>
where
    Failure: From<E>,
{
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(Failure::Runtime)?;
    Ok(runtime.block_on(work)?)
}
