//! Proves that a backup can be restored: it is restored, into a cluster that is removed afterwards.

use super::Error;
use super::layout::Layout;
use super::loader::{self, CheckedBackup};
use super::scratch::ScratchDir;
use super::space::Beside;
use super::stream::limited;
use crate::managed::client_programs::ClientPrograms;
use crate::managed::scratch_cluster::ScratchTimeouts;

/// Restores a checked backup into a temporary cluster and compares it with its manifest.
///
/// # Errors
/// When it cannot be restored, or differs.
pub async fn verify(
    backup: &CheckedBackup,
    layout: &Layout,
    programs: &ClientPrograms,
    timeouts: ScratchTimeouts,
) -> Result<(), Error> {
    let scratch = ScratchDir::create(layout, "verify")?;
    loader::check_space(layout, backup.manifest(), Beside::Serving)?;
    limited("the verification", async {
        let cluster = loader::load(backup, programs, &scratch, loader::Use::Verification, timeouts).await?;
        cluster.discard().await.map_err(Error::at(scratch.path()))
    })
    .await
}
