//! The managed PostgreSQL as the archive sees it: its identity, its position, and the slot for which it keeps WAL.

use std::future::Future;
use std::time::Duration;

use jiff::Timestamp;
use tokio::time::timeout;
use tokio_postgres::Client;
use tokio_postgres::types::Type;

use super::lineage::Lineage;
use super::wal_segment::{Lsn, PARTIAL_SUFFIX, Segment};
use super::{Error, clock};

/// The name of the replication slot.
pub(super) const SLOT: &str = "attendance_api";

/// The longest time of one statement.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

const STATE: &str = "SELECT system_identifier::text, timeline_id, pg_current_wal_flush_lsn()::text, \
    greatest(restart_lsn, write_lsn)::text, wal_status, slot_name IS NOT NULL, restart_lsn::text, \
    active_pid IS NOT NULL \
    FROM pg_control_system() CROSS JOIN pg_control_checkpoint() LEFT JOIN pg_replication_slots ON slot_name = 'attendance_api' \
    LEFT JOIN pg_stat_replication ON pid = active_pid";

/// The state of the server at one moment.
#[derive(Debug, Clone)]
pub(super) struct ServerState {
    /// A moment before it was asked.
    pub(super) moment: Timestamp,
    /// The system identifier of its cluster.
    pub(super) system: u64,
    pub(super) timeline: u32,
    /// The position up to which its WAL is on disk.
    pub(super) flushed: Lsn,
    pub(super) flushed_text: String,
    /// Whether the receiver is connected, so that a server which stops sends it its last WAL.
    pub(super) has_receiver: bool,
    slot: Option<Slot>,
}

#[derive(Debug, Clone)]
struct Slot {
    /// The position from which the server keeps WAL; none if it has removed some of that.
    kept_from: Option<Lsn>,
    /// The position up to which the receiver has written the WAL, which need not be on disk yet; none if what follows was removed.
    copied: Option<Lsn>,
}

impl ServerState {
    pub(super) async fn read(client: &Client) -> Result<Self, Error> {
        let moment = clock::now();
        let row = answered("say the position of its WAL", client.query_typed_one(STATE, &[])).await?;
        let position = |text: Option<&str>| text.and_then(Lsn::parse);
        let flushed_text: String = row.get(2);
        let status: Option<&str> = row.get(4);
        let unless_lost = |text| position(text).filter(|_| status != Some("lost"));
        let slot = Slot { kept_from: unless_lost(row.get(6)), copied: unless_lost(row.get(3)) };
        Ok(Self {
            moment,
            system: row.get::<_, &str>(0).parse().unwrap_or_default(),
            timeline: u32::try_from(row.get::<_, i32>(1)).unwrap_or_default(),
            flushed: position(Some(&flushed_text)).unwrap_or(Lsn(0)),
            flushed_text,
            has_receiver: row.get(7),
            slot: row.get::<_, bool>(5).then_some(slot),
        })
    }

    /// Whether it writes the WAL of this lineage.
    pub(super) fn is_of(&self, lineage: &Lineage) -> bool {
        (self.system, self.timeline) == (lineage.system, lineage.timeline)
    }

    pub(super) fn has_usable_slot(&self) -> bool {
        self.slot.as_ref().is_some_and(|slot| slot.kept_from.is_some())
    }

    /// Whether WAL was removed that was not copied.
    pub(super) fn is_slot_lost(&self) -> bool {
        self.slot.as_ref().is_some_and(|slot| slot.kept_from.is_none())
    }

    /// The position up to which the WAL is copied; [`Lineage::sync`] brings it to the disk.
    pub(super) fn copied(&self) -> Lsn {
        self.slot.as_ref().and_then(|slot| slot.copied).unwrap_or(Lsn(0))
    }

    /// Whether the WAL that it has kept follows what is in the lineage. What the slot says may be older than what was copied, because a crash loses the
    /// last positions. A segment that is not complete is copied again from its beginning.
    pub(super) fn continues(&self, lineage: &Lineage) -> Result<bool, Error> {
        let Some(kept_from) = self.slot.as_ref().and_then(|slot| slot.kept_from) else { return Ok(false) };
        let newest = lineage.segments()?.into_iter().next_back();
        Ok(newest.is_none_or(|(number, path)| {
            let start = Segment { timeline: lineage.timeline, number }.start();
            let next = if path.to_string_lossy().ends_with(PARTIAL_SUFFIX) { number } else { number + 1 };
            kept_from.segment() <= next && self.flushed >= start
        }))
    }
}

/// The size of all databases of the server, in bytes.
pub(super) async fn size(client: &Client) -> Result<u64, Error> {
    let sum = "SELECT sum(pg_database_size(oid))::bigint FROM pg_database";
    let row = answered("say its size", client.query_typed_one(sum, &[])).await?;
    Ok(u64::try_from(row.get::<_, i64>(0)).unwrap_or_default())
}

/// Makes the slot; from now on WAL is kept for it.
pub(super) async fn create_slot(client: &Client) -> Result<(), Error> {
    let create_it = "SELECT pg_create_physical_replication_slot($1, true)";
    answered("make a replication slot", client.execute_typed(create_it, &[(&SLOT, Type::NAME)])).await.map(drop)
}

/// Removes the slot, if there is one.
pub(super) async fn drop_slot(client: &Client) -> Result<(), Error> {
    let drop_it = "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE slot_name = $1";
    answered("remove its replication slot", client.execute_typed(drop_it, &[(&SLOT, Type::NAME)])).await.map(drop)
}

/// The answer to a statement, which is waited for only so long: otherwise a server that hangs would not be reported.
async fn answered<T>(
    what: &'static str,
    answer: impl Future<Output = Result<T, tokio_postgres::Error>>,
) -> Result<T, Error> {
    match timeout(ANSWER_TIMEOUT, answer).await {
        Ok(answer) => answer.map_err(Error::statement(what)),
        Err(_) => Err(Error::NoAnswer { what, seconds: ANSWER_TIMEOUT.as_secs() }),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::super::layout::Layout;
    use super::super::ownership::Owner;
    use super::super::wal_segment::SEGMENT_BYTES;
    use super::*;
    use crate::managed::testing::scratch;

    #[test]
    fn a_lineage_continues_only_with_the_segment_that_follows() {
        let moment: Timestamp = "2026-01-31T12:00:00Z".parse().unwrap();
        let data = scratch("continued-lineage");
        let layout = Layout::new(&data);
        let owner = Owner::identified(&layout, &layout.default_backups()).unwrap();
        let lineage = Lineage::begin(&layout.default_backups(), &owner, 5, 1, moment).unwrap();
        let server = |segment: u64| ServerState {
            moment,
            system: 5,
            timeline: 1,
            flushed: Lsn(9 * SEGMENT_BYTES),
            flushed_text: "0/9000000".to_owned(),
            has_receiver: true,
            slot: Some(Slot { kept_from: Some(Lsn(segment * SEGMENT_BYTES)), copied: Some(Lsn(9 * SEGMENT_BYTES)) }),
        };
        let continues = |segment| server(segment).continues(&lineage).unwrap();
        assert!(continues(7));
        let complete = lineage.segments_directory().join("000000010000000000000004");
        let partial = lineage.segments_directory().join("000000010000000000000004.partial");
        fs::write(&partial, "").unwrap();
        assert!(continues(3) && continues(4) && !continues(5));
        fs::rename(&partial, &complete).unwrap();
        assert!(continues(4) && continues(5) && !continues(6));
        let none = ServerState { slot: None, ..server(4) };
        assert!(!none.continues(&lineage).unwrap());
    }
}
