//! BatchInsert that arrive together, in one transaction.
//!
//! Policy: each row has an outcome of its own. A conflict is no failure of the statement; a row that the table forbids is, so then
//! every row is tried by itself. A connection that was lost says nothing of any of them: nobody knows how far it came, and a
//! write is never tried again. Acknowledged is what was committed, which PostgreSQL tells after it is on disk.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use prometheus::Histogram;
use tokio::time::{Instant, timeout_at};

use super::batcher::Statement;
use super::date::Date;
use super::pool::{Connections, Failure};
use super::record::NewRecord;
use super::service::Error;

const ONE: &str = "INSERT INTO records (id, name, status, date) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING";
const MANY: &str = "INSERT INTO records (id, name, status, date) \
    SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::date[]) ON CONFLICT DO NOTHING RETURNING id::text, date";

/// Stores records.
#[derive(Debug)]
pub(super) struct BatchInsert {
    pub(super) connections: Arc<Connections>,
    pub(super) timing: Histogram,
    pub(super) rows: Histogram,
}

impl Statement for BatchInsert {
    type Request = NewRecord;
    type Answer = ();

    async fn run(&self, records: Vec<NewRecord>, deadline: Instant) -> Vec<Result<(), Error>> {
        self.rows.observe(records.len() as f64);
        if let [record] = &records[..] {
            return vec![self.one(record, deadline).await.map_err(Error::from)];
        }
        match self.many(&records, deadline).await {
            Ok(outcomes) => outcomes,
            // The server said no to all because of one: nothing of it was stored.
            Err(Failure::Final(Error::Forbidden(_) | Error::Refused(_))) => {
                let mut outcomes = Vec::with_capacity(records.len());
                for record in &records {
                    outcomes.push(self.one(record, deadline).await.map_err(Error::from));
                }
                outcomes
            }
            Err(failure) => {
                let error = Error::from(failure);
                records.iter().map(|_| Err(error.clone())).collect()
            }
        }
    }
}

impl BatchInsert {
    async fn one(&self, record: &NewRecord, deadline: Instant) -> Result<(), Failure> {
        let lease = self.connections.lease(deadline).await?;
        let _timer = self.timing.start_timer();
        let insert = async {
            let statement = lease.prepare_cached(ONE).await?;
            lease.execute(&statement, &[&record.id, &record.name, &record.status, &record.date]).await
        };
        let outcome = timeout_at(deadline, insert).await;
        if lease.settle(outcome)? == 0 { Err(Failure::Final(Error::Conflict)) } else { Ok(()) }
    }

    /// All in one statement, in the order of their keys: two statements that meet on some keys wait for each other in one direction only.
    async fn many(&self, records: &[NewRecord], deadline: Instant) -> Result<Vec<Result<(), Error>>, Failure> {
        let mut order: Vec<usize> = (0..records.len()).collect();
        // Stable: of two with one key the one that came first is stored.
        order.sort_by(|a, b| key(&records[*a]).cmp(&key(&records[*b])));
        order.dedup_by(|later, first| key(&records[*later]) == key(&records[*first]));
        let column = |text: fn(&NewRecord) -> &str| order.iter().map(|&at| text(&records[at])).collect::<Vec<&str>>();
        let (ids, names, statuses) = (column(|r| &r.id), column(|r| &r.name), column(|r| &r.status));
        let dates: Vec<Date> = order.iter().map(|&at| records[at].date).collect();

        let lease = self.connections.lease(deadline).await?;
        let timer = self.timing.start_timer();
        let insert = async {
            let statement = lease.prepare_cached(MANY).await?;
            lease.query(&statement, &[&ids, &names, &statuses, &dates]).await
        };
        let outcome = timeout_at(deadline, insert).await;
        let rows = lease.settle(outcome)?;
        drop(timer);

        let whole = rows.len() == order.len();
        let mut stored = HashSet::with_capacity(rows.len());
        for row in &rows {
            let (Ok(id), Ok(date)) = (row.try_get::<_, &str>(0), row.try_get::<_, Date>(1)) else { continue };
            // A column of fixed width fills up with blanks; no id of ours ends with one.
            stored.insert((id.trim_end_matches(' '), date));
        }
        let first: HashMap<(&str, Date), usize> = order.iter().map(|&at| (key(&records[at]), at)).collect();
        let outcome = |at: usize| {
            let key = key(&records[at]);
            let is_stored = first.get(&key) == Some(&at) && (whole || stored.contains(&key));
            if is_stored { Ok(()) } else { Err(Error::Conflict) }
        };
        Ok((0..records.len()).map(outcome).collect())
    }
}

fn key(record: &NewRecord) -> (&str, Date) {
    (&record.id, record.date)
}
