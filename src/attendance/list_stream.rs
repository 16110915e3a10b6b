//! A list that is sent while it is read.
//!
//! Policy: one chunk is read ahead of the client, so a streamed list takes the memory of three: the one being sent, the next one, and the
//! one being read. No connection to PostgreSQL is held while the client reads. The database has one time budget for all chunks after the first
//! byte; how slowly a client may read is the server's matter. When the answer is dropped, the reading ends at once and its statement is
//! cancelled.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout_at};

use super::error::{Error, StreamError};
use super::list_slots::ListSlot;
use super::listing::{CHUNK_ROWS, Cursor, ListQuery};
use super::store::{PageSize, Store, WaitLimits};
use crate::database::QueryError;

/// One read of an unlimited list; the connection is free again between two of them.
pub(super) const CHUNK: PageSize = PageSize { rows: CHUNK_ROWS as usize, bytes: 96 * 1024 };
/// A chunk ends with the record that exceeds its size. This is more than the longest one has.
pub(super) const RECORD_ROOM: usize = 8 * 1024;
/// The time that the database may take for all chunks of a list, beside [`MIN_READ_RATE`].
const READ_GRACE: Duration = Duration::from_secs(30);
/// Beyond the grace, the database must provide this many bytes per second on average.
const MIN_READ_RATE: f64 = 16.0 * 1024.0;

type Chunk = Result<Bytes, StreamError>;

/// The chunks of a JSON body, read from the database as they are taken. Ends early with an error when the database fails.
#[derive(Debug)]
pub struct RowStream {
    chunks: mpsc::Receiver<Chunk>,
    reader: JoinHandle<()>,
    _slot: ListSlot,
}

impl RowStream {
    /// Begins with `first`, which ends after the record `last`, or is the whole list if there is no more.
    pub(super) fn start(
        store: &Arc<Store>,
        query: &ListQuery,
        first: Bytes,
        rest: Option<Option<Cursor>>,
        slot: ListSlot,
    ) -> Self {
        let (sender, chunks) = mpsc::channel(1);
        let reader = Reader { store: Arc::clone(store), query: query.clone(), read: 0, time: Duration::ZERO };
        Self { chunks, reader: tokio::spawn(reader.run(first, rest, sender)), _slot: slot }
    }

    /// The next chunk; `None` when the body is complete.
    pub fn poll_chunk(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Chunk>> {
        self.get_mut().chunks.poll_recv(cx)
    }
}

impl Drop for RowStream {
    fn drop(&mut self) {
        self.reader.abort();
    }
}

/// Reads the chunks after the first one.
struct Reader {
    store: Arc<Store>,
    query: ListQuery,
    /// How many bytes the database has provided.
    read: usize,
    /// How long it took.
    time: Duration,
}

impl Reader {
    async fn run(mut self, first: Bytes, rest: Option<Option<Cursor>>, sender: mpsc::Sender<Chunk>) {
        let mut chunk = Ok(first);
        let mut rest = rest;
        loop {
            let is_failed = chunk.is_err();
            // Fails when the answer has been dropped, together with this task.
            if sender.send(chunk).await.is_err() || is_failed {
                return;
            }
            let Some(last) = rest else { return };
            (chunk, rest) = match self.next(last).await {
                Ok((bytes, rest)) => (Ok(bytes), rest),
                Err(error) => (Err(error.into()), None),
            };
        }
    }

    /// The chunk after a record, and where the one after it begins if it is not the last.
    async fn next(&mut self, last: Option<Cursor>) -> Result<(Bytes, Option<Option<Cursor>>), Error> {
        let mut chunk = Vec::with_capacity(CHUNK.bytes + RECORD_ROOM);
        chunk.push(b',');
        let started = Instant::now();
        let allowance = READ_GRACE + Duration::from_secs_f64(self.read as f64 / MIN_READ_RATE);
        let deadline = started + allowance.saturating_sub(self.time);
        let limits = WaitLimits { connection: deadline, database: None };
        let reading = self.store.page(&self.query, last.as_ref(), CHUNK, limits, &mut chunk);
        let page = timeout_at(deadline, reading).await.map_err(|_| Error::from(QueryError::StatementTimeout))??;
        self.time += started.elapsed();
        self.read += chunk.len();
        if chunk.len() == 1 {
            chunk.clear(); // the records that were left have been deleted
        }
        if page.complete {
            chunk.extend_from_slice(b"]\n");
        }
        Ok((chunk.into(), (!page.complete).then_some(page.last)))
    }
}
