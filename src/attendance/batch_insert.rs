//! Creates that arrive together, in one transaction.
//!
//! Policy: each row has a result of its own. A conflict is not an error of the statement; a row that a constraint forbids is one, and then
//! every row is tried alone. If the connection is lost, the result of every row is unknown, and a write is never
//! repeated. A row is reported as stored after PostgreSQL has confirmed the commit, which is then on disk.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use prometheus::Histogram;
use tokio::time::{Instant, timeout_at};

use super::date::Date;
use super::error::Error;
use super::record::NewRecord;
use crate::database::{BatchOperation, ConnectionPool, ErrorClass, QueryError};

const INSERT_ONE: &str = "INSERT INTO records (id, name, status, date) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING";
const INSERT_MANY: &str = "INSERT INTO records (id, name, status, date) \
    SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::date[]) ON CONFLICT DO NOTHING RETURNING id::text, date";

/// Stores records.
#[derive(Debug)]
pub(super) struct BatchInsert {
    pub(super) pool: Arc<ConnectionPool>,
    pub(super) duration: Histogram,
    pub(super) batch_size: Histogram,
}

impl BatchOperation for BatchInsert {
    type Request = NewRecord;
    type Response = ();
    type Error = Error;

    async fn run(&self, records: Vec<NewRecord>, deadline: Instant) -> Vec<Result<(), Error>> {
        self.batch_size.observe(records.len() as f64);
        if let [record] = &records[..] {
            return vec![self.insert_one(record, deadline).await];
        }
        match self.insert_many(&records, deadline).await {
            Ok(results) => results,
            // One row is the reason why none was stored.
            Err(error) if matches!(error.class(), ErrorClass::Constraint | ErrorClass::Rejected) => {
                let mut results = Vec::with_capacity(records.len());
                for record in &records {
                    results.push(self.insert_one(record, deadline).await);
                }
                results
            }
            Err(error) => {
                let error = Error::from(error);
                records.iter().map(|_| Err(error.clone())).collect()
            }
        }
    }
}

impl BatchInsert {
    async fn insert_one(&self, record: &NewRecord, deadline: Instant) -> Result<(), Error> {
        let lease = self.pool.lease(deadline).await?;
        let _timer = self.duration.start_timer();
        let insert = async {
            let statement = lease.prepare_cached(INSERT_ONE).await?;
            lease.execute(&statement, &[&record.id, &record.name, &record.status, &record.date]).await
        };
        let outcome = timeout_at(deadline, insert).await;
        if lease.finish(outcome)? == 0 { Err(Error::Conflict) } else { Ok(()) }
    }

    /// Inserts the rows in the order of their keys, so that statements that have keys in common cannot deadlock.
    async fn insert_many(
        &self,
        records: &[NewRecord],
        deadline: Instant,
    ) -> Result<Vec<Result<(), Error>>, QueryError> {
        let mut order: Vec<usize> = (0..records.len()).collect();
        // Stable: of two records with one key the one that came first is stored.
        order.sort_by(|a, b| key(&records[*a]).cmp(&key(&records[*b])));
        order.dedup_by(|later, first| key(&records[*later]) == key(&records[*first]));
        let column = |text: fn(&NewRecord) -> &str| order.iter().map(|&at| text(&records[at])).collect::<Vec<&str>>();
        let (ids, names, statuses) = (column(|r| &r.id), column(|r| &r.name), column(|r| &r.status));
        let dates: Vec<Date> = order.iter().map(|&at| records[at].date).collect();

        let lease = self.pool.lease(deadline).await?;
        let timer = self.duration.start_timer();
        let insert = async {
            let statement = lease.prepare_cached(INSERT_MANY).await?;
            lease.query(&statement, &[&ids, &names, &statuses, &dates]).await
        };
        let outcome = timeout_at(deadline, insert).await;
        let rows = lease.finish(outcome)?;
        drop(timer);

        let all_stored = rows.len() == order.len();
        let mut stored = HashSet::with_capacity(rows.len());
        for row in &rows {
            let (Ok(id), Ok(date)) = (row.try_get::<_, &str>(0), row.try_get::<_, Date>(1)) else { continue };
            // A column of fixed width is padded with blanks; a valid id does not end with one.
            stored.insert((id.trim_end_matches(' '), date));
        }
        let first: HashMap<(&str, Date), usize> = order.iter().map(|&at| (key(&records[at]), at)).collect();
        let result = |at: usize| {
            let key = key(&records[at]);
            let is_stored = first.get(&key) == Some(&at) && (all_stored || stored.contains(&key));
            if is_stored { Ok(()) } else { Err(Error::Conflict) }
        };
        Ok((0..records.len()).map(result).collect())
    }
}

fn key(record: &NewRecord) -> (&str, Date) {
    (&record.id, record.date)
}
