//! A forward command and what it would do.

use tokio_postgres::Client;

use crate::changelog::Changelog;
use crate::error::Error;
use crate::history::History;
use crate::history::tables::Tables;
use crate::options::Options;
use crate::plan::{Plan, plan_new_to, plan_script_to, plan_to};
use crate::session::{Purpose, check_changelog};
use crate::target::UpdateTarget;
use crate::validation_error::ValidationError;

/// A forward command and its arguments.
#[derive(Debug, Clone, Copy)]
pub(crate) struct CommandRequest<'a> {
    pub(crate) changelog: &'a Changelog,
    pub(crate) options: &'a Options,
    pub(crate) target: &'a UpdateTarget,
    pub(crate) mode: Mode,
}

/// What a forward command does with the changesets that are due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    /// Run them.
    Run,
    /// Record those that never ran as run.
    Record,
}

impl CommandRequest<'_> {
    /// What the command would do on a database with this history.
    pub(crate) fn plan(&self, history: &History, purpose: Purpose) -> Result<Plan, ValidationError> {
        match self.mode {
            Mode::Run if purpose == Purpose::Script => {
                plan_script_to(self.changelog, history, self.options, self.target)
            }
            Mode::Run => plan_to(self.changelog, history, self.options, self.target),
            Mode::Record => plan_new_to(self.changelog, history, self.options, self.target),
        }
    }
}

/// The plan and the history, after all validation.
pub(crate) async fn validated_plan(
    client: &mut Client,
    tables: &Tables,
    request: &CommandRequest<'_>,
    purpose: Purpose,
) -> Result<(Plan, History), Error> {
    let history = tables.read(&*client).await?;
    check_changelog(client, tables, request.changelog, &history, purpose).await?;
    request.changelog.check_expressions(request.options)?;
    Ok((request.plan(&history, purpose)?, history))
}
