//! Point lookups that arrive together, in one statement.
//!
//! Policy: each is an index lookup, alone or in a batch. A statement begins after all of its requests were made, so that none gets
//! an answer from before it asked. A statement whose connection turns out to have been closed is tried once more.

use std::sync::Arc;

use prometheus::Histogram;
use tokio::time::{Instant, timeout_at};
use tokio_postgres::Row;
use tokio_postgres::types::Type;

use super::date::Date;
use super::error::Error;
use super::record::{RecordFormat, StoredRecord};
use crate::database::{BatchOperation, ConnectionPool, QueryError};

/// Both branches are index lookups; the second is reached only when the employee has no dated record.
const SELECT_LATEST: &str = "\
    (SELECT id, name, status, date FROM records WHERE id = $1 AND date IS NOT NULL ORDER BY date DESC LIMIT 1) \
    UNION ALL (SELECT id, name, status, date FROM records WHERE id = $1 AND date IS NULL LIMIT 1) LIMIT 1";
const SELECT_OF_DAY: &str = "SELECT id, name, status, date FROM records WHERE id = $1 AND date = $2 LIMIT 1";
/// Both lookups for many pairs of id and day; a null day asks for the latest record. The last column is the number of the pair.
const SELECT_MANY: &str = "\
    SELECT found.id, found.name, found.status, found.date, requested.number \
    FROM unnest($1::text[], $2::date[]) WITH ORDINALITY AS requested(id, day, number) CROSS JOIN LATERAL (\
    (SELECT id, name, status, date FROM records WHERE requested.day IS NULL AND id = requested.id AND date IS NOT NULL \
     ORDER BY date DESC LIMIT 1) \
    UNION ALL (SELECT id, name, status, date FROM records WHERE id = requested.id AND date = requested.day LIMIT 1) \
    UNION ALL (SELECT id, name, status, date FROM records WHERE requested.day IS NULL AND id = requested.id AND date IS NULL LIMIT 1) \
    LIMIT 1) AS found";

/// One lookup.
#[derive(Debug)]
pub(super) struct LookupRequest {
    pub(super) id: String,
    /// `None` asks for the latest record.
    pub(super) day: Option<Date>,
}

/// Finds records.
#[derive(Debug)]
pub(super) struct BatchLookup {
    pub(super) pool: Arc<ConnectionPool>,
    pub(super) format: RecordFormat,
    pub(super) duration: Histogram,
    pub(super) batch_size: Histogram,
}

impl BatchOperation for BatchLookup {
    type Request = LookupRequest;
    /// The record as JSON, if there is one.
    type Response = Option<Vec<u8>>;
    type Error = Error;

    async fn run(&self, lookups: Vec<LookupRequest>, deadline: Instant) -> Vec<Result<Option<Vec<u8>>, Error>> {
        self.batch_size.observe(lookups.len() as f64);
        let found = match self.select(&lookups, deadline).await {
            Err(error) if error.is_retryable() => self.select(&lookups, deadline).await,
            outcome => outcome,
        };
        match found.map_err(Error::from) {
            Ok(found) => found.into_iter().map(Ok).collect(),
            Err(error) => lookups.iter().map(|_| Err(error.clone())).collect(),
        }
    }
}

impl BatchLookup {
    async fn select(&self, lookups: &[LookupRequest], deadline: Instant) -> Result<Vec<Option<Vec<u8>>>, QueryError> {
        let lease = self.pool.lease(deadline).await?;
        let timer = self.duration.start_timer();
        let select = async {
            match lookups {
                [LookupRequest { id, day: Some(day) }] => {
                    lease.query(SELECT_OF_DAY, &[(id, Type::UNKNOWN), (day, Type::DATE)]).await
                }
                [LookupRequest { id, day: None }] => lease.query(SELECT_LATEST, &[(id, Type::UNKNOWN)]).await,
                many => {
                    let (ids, days): (Vec<&str>, Vec<Option<Date>>) =
                        many.iter().map(|lookup| (lookup.id.as_str(), lookup.day)).unzip();
                    lease.query(SELECT_MANY, &[(&ids, Type::TEXT_ARRAY), (&days, Type::DATE_ARRAY)]).await
                }
            }
        };
        let outcome = timeout_at(deadline, select).await;
        let rows = lease.finish(outcome)?;
        drop(timer);
        let mut found = vec![None; lookups.len()];
        for row in &rows {
            let (number, body) = self.read(row).map_err(QueryError::statement)?;
            if let Some(slot) = found.get_mut(number) {
                *slot = Some(body);
            }
        }
        Ok(found)
    }

    /// Which lookup a row belongs to, and its JSON.
    fn read(&self, row: &Row) -> Result<(usize, Vec<u8>), tokio_postgres::Error> {
        let number = if row.len() > 4 { row.try_get::<_, i64>(4)? - 1 } else { 0 };
        let mut body = Vec::with_capacity(192);
        StoredRecord::from_row(row)?.write_json(self.format, &mut body);
        Ok((usize::try_from(number).unwrap_or(usize::MAX), body))
    }
}
