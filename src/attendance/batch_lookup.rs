//! Point lookups that arrive together, in one statement.
//!
//! Policy: each is an index lookup, alone or with others. A statement begins after everything it answers was asked, so nobody is
//! told what was true before. One whose connection turns out to have been closed is tried once more.

use std::sync::Arc;

use prometheus::Histogram;
use tokio::time::{Instant, timeout_at};
use tokio_postgres::Row;

use super::batcher::Statement;
use super::date::Date;
use super::pool::{Connections, Failure};
use super::record::StoredRecord;
use super::service::Error;
use crate::config::DateFormat;

/// Both branches are index lookups; the second is reached only when the employee has no dated record.
const LATEST: &str = "\
    (SELECT id, name, status, date FROM records WHERE id = $1 AND date IS NOT NULL ORDER BY date DESC LIMIT 1) \
    UNION ALL (SELECT id, name, status, date FROM records WHERE id = $1 AND date IS NULL LIMIT 1) LIMIT 1";
const OF_DAY: &str = "SELECT id, name, status, date FROM records WHERE id = $1 AND date = $2 LIMIT 1";
/// The same for every pair of id and day; a day that is null asks for the latest. The last column says which pair.
const MANY: &str = "\
    SELECT found.id, found.name, found.status, found.date, asked.number \
    FROM unnest($1::text[], $2::date[]) WITH ORDINALITY AS asked(id, day, number) CROSS JOIN LATERAL (\
    (SELECT id, name, status, date FROM records WHERE asked.day IS NULL AND id = asked.id AND date IS NOT NULL \
     ORDER BY date DESC LIMIT 1) \
    UNION ALL (SELECT id, name, status, date FROM records WHERE id = asked.id AND date = asked.day LIMIT 1) \
    UNION ALL (SELECT id, name, status, date FROM records WHERE asked.day IS NULL AND id = asked.id AND date IS NULL LIMIT 1) \
    LIMIT 1) AS found";

/// One lookup.
#[derive(Debug)]
pub(super) struct Lookup {
    /// Employee.
    pub(super) id: String,
    /// Day; none for the latest.
    pub(super) day: Option<Date>,
}

/// Finds records.
#[derive(Debug)]
pub(super) struct BatchLookup {
    pub(super) connections: Arc<Connections>,
    pub(super) format: DateFormat,
    pub(super) timing: Histogram,
    pub(super) rows: Histogram,
}

impl Statement for BatchLookup {
    type Request = Lookup;
    /// The record as JSON, if there is one.
    type Answer = Option<Vec<u8>>;

    async fn run(&self, lookups: Vec<Lookup>, deadline: Instant) -> Vec<Result<Option<Vec<u8>>, Error>> {
        self.rows.observe(lookups.len() as f64);
        let found = match self.once(&lookups, deadline).await {
            Err(Failure::Closed(_)) => self.once(&lookups, deadline).await,
            outcome => outcome,
        };
        match found.map_err(Error::from) {
            Ok(found) => found.into_iter().map(Ok).collect(),
            Err(error) => lookups.iter().map(|_| Err(error.clone())).collect(),
        }
    }
}

impl BatchLookup {
    async fn once(&self, lookups: &[Lookup], deadline: Instant) -> Result<Vec<Option<Vec<u8>>>, Failure> {
        let lease = self.connections.lease(deadline).await?;
        let timer = self.timing.start_timer();
        let select = async {
            match lookups {
                [Lookup { id, day: Some(day) }] => lease.query(&lease.prepare_cached(OF_DAY).await?, &[id, day]).await,
                [Lookup { id, day: None }] => lease.query(&lease.prepare_cached(LATEST).await?, &[id]).await,
                many => {
                    let (ids, days): (Vec<&str>, Vec<Option<Date>>) =
                        many.iter().map(|lookup| (lookup.id.as_str(), lookup.day)).unzip();
                    lease.query(&lease.prepare_cached(MANY).await?, &[&ids, &days]).await
                }
            }
        };
        let outcome = timeout_at(deadline, select).await;
        let rows = lease.settle(outcome)?;
        drop(timer);
        let mut found = vec![None; lookups.len()];
        for row in &rows {
            let (number, body) = self.read(row).map_err(|error| Failure::Final(Error::Refused(error.to_string())))?;
            if let Some(place) = found.get_mut(number) {
                *place = Some(body);
            }
        }
        Ok(found)
    }

    /// Which lookup a row answers, and its JSON.
    fn read(&self, row: &Row) -> Result<(usize, Vec<u8>), tokio_postgres::Error> {
        let number = if row.len() > 4 { row.try_get::<_, i64>(4)? - 1 } else { 0 };
        let mut body = Vec::with_capacity(192);
        StoredRecord::of(row)?.write_json(self.format, &mut body);
        Ok((usize::try_from(number).unwrap_or(usize::MAX), body))
    }
}
