//! Creates that arrive together, in one transaction.
//!
//! Policy: each row has a result of its own. A conflict is not an error of the statement; a row that a constraint forbids is one, and then
//! every row is tried alone. If the connection is lost, the result of every row is unknown, and the write is not repeated. A write is repeated only if PostgreSQL
//! refused it before it was run, because sessions turned out to be shared. A row is reported as stored after PostgreSQL has confirmed the commit, which is then on disk.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use prometheus::Histogram;
use tokio::time::{Instant, timeout_at};
use tokio_postgres::types::Type;

use super::date::Date;
use super::error::Error;
use super::record::{Creation, NewRecord};
use crate::database::{BatchOperation, ConnectionPool, ErrorClass, Parameter, QueryError, repeat_refused_write};

/// A statement for one record, and one for many. Several functions `unnest` in a select list give their rows together, which costs half of one function with
/// several arrays: that one keeps the rows of each array in a store of its own.
struct InsertSql {
    one: &'static str,
    many: &'static str,
}

const INSERT: InsertSql = InsertSql {
    one: "INSERT INTO records (id, name, status, date) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING",
    many: "INSERT INTO records (id, name, status, date) \
        SELECT unnest($1::text[]), unnest($2::text[]), unnest($3::text[]), unnest($4::date[]) \
        ON CONFLICT DO NOTHING RETURNING id::text, date",
};

/// The two statements for sessions that are shared with other programs: the name by which a write is recognised holds for its own transaction only.
const INSERT_NAMED: InsertSql = InsertSql {
    one: "INSERT INTO records (id, name, status, date) SELECT $1::text, $2::text, $3::text, $4 \
        FROM (SELECT set_config('application_name', $5, true) AS name OFFSET 0) AS session WHERE session.name IS NOT NULL \
        ON CONFLICT DO NOTHING",
    many: "INSERT INTO records (id, name, status, date) SELECT created.* \
        FROM (SELECT set_config('application_name', $5, true) AS name OFFSET 0) AS session, \
        (SELECT unnest($1::text[]), unnest($2::text[]), unnest($3::text[]), unnest($4::date[])) AS created WHERE session.name IS NOT NULL \
        ON CONFLICT DO NOTHING RETURNING id::text, date",
};

/// Those for creates by accounts.
const INSERT_BY: InsertSql = InsertSql {
    one: "INSERT INTO records (id, name, status, date, created_by) VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING",
    many: "INSERT INTO records (id, name, status, date, created_by) \
        SELECT unnest($1::text[]), unnest($2::text[]), unnest($3::text[]), unnest($4::date[]), unnest($5::text[]) \
        ON CONFLICT DO NOTHING RETURNING id::text, date",
};
const INSERT_BY_NAMED: InsertSql = InsertSql {
    one: "INSERT INTO records (id, name, status, date, created_by) SELECT $1::text, $2::text, $3::text, $4, $5::text \
        FROM (SELECT set_config('application_name', $6, true) AS name OFFSET 0) AS session WHERE session.name IS NOT NULL \
        ON CONFLICT DO NOTHING",
    many: "INSERT INTO records (id, name, status, date, created_by) SELECT created.* \
        FROM (SELECT set_config('application_name', $6, true) AS name OFFSET 0) AS session, \
        (SELECT unnest($1::text[]), unnest($2::text[]), unnest($3::text[]), unnest($4::date[]), unnest($5::text[])) AS created \
        WHERE session.name IS NOT NULL \
        ON CONFLICT DO NOTHING RETURNING id::text, date",
};

fn insert_sql(is_named: bool, has_creators: bool) -> &'static InsertSql {
    match (is_named, has_creators) {
        (false, false) => &INSERT,
        (true, false) => &INSERT_NAMED,
        (false, true) => &INSERT_BY,
        (true, true) => &INSERT_BY_NAMED,
    }
}

/// Stores records.
#[derive(Debug)]
pub(super) struct BatchInsert {
    pub(super) pool: Arc<ConnectionPool>,
    pub(super) duration: Histogram,
    pub(super) batch_size: Histogram,
}

impl BatchOperation for BatchInsert {
    type Request = Creation;
    type Response = ();
    type Error = Error;

    async fn run(&self, records: Vec<Creation>, deadline: Instant) -> Vec<Result<(), Error>> {
        self.batch_size.observe(records.len() as f64);
        if let [record] = &records[..] {
            return vec![self.insert_one(record, deadline).await];
        }
        match repeat_refused_write(|| self.insert_many(&records, deadline)).await {
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
    async fn insert_one(&self, creation: &Creation, deadline: Instant) -> Result<(), Error> {
        if repeat_refused_write(|| self.try_insert_one(creation, deadline)).await? {
            Ok(())
        } else {
            Err(Error::Conflict)
        }
    }

    /// Whether the row was stored. Otherwise it is in conflict with another.
    async fn try_insert_one(&self, creation: &Creation, deadline: Instant) -> Result<bool, QueryError> {
        let lease = self.pool.lease(deadline).await?;
        let _timer = self.duration.start_timer();
        let NewRecord { id, name, status, date } = &*creation.record;
        let created_by = creation.created_by.as_deref();
        let mut parameters: Vec<Parameter<'_>> =
            vec![(id, Type::UNKNOWN), (name, Type::UNKNOWN), (status, Type::UNKNOWN), (date, Type::DATE)];
        let session_name = self.pool.statement_name();
        let sql = insert_sql(session_name.is_some(), created_by.is_some()).one;
        parameters.extend(created_by.as_ref().map(|name| (name as _, Type::TEXT)));
        parameters.extend(session_name.as_ref().map(|name| (name as _, Type::TEXT)));
        let outcome = timeout_at(deadline, lease.execute(sql, &parameters)).await;
        Ok(lease.finish(outcome)? > 0)
    }

    /// Inserts the rows in the order of their keys, so that statements that have keys in common cannot deadlock.
    async fn insert_many(&self, records: &[Creation], deadline: Instant) -> Result<Vec<Result<(), Error>>, QueryError> {
        let mut order: Vec<usize> = (0..records.len()).collect();
        // Stable: of two records with one key the one that came first is stored.
        order.sort_by(|a, b| key(&records[*a]).cmp(&key(&records[*b])));
        order.dedup_by(|later, first| key(&records[*later]) == key(&records[*first]));
        let column =
            |text: fn(&NewRecord) -> &str| order.iter().map(|&at| text(&records[at].record)).collect::<Vec<&str>>();
        let (ids, names, statuses) = (column(|r| &r.id), column(|r| &r.name), column(|r| &r.status));
        let dates: Vec<Date> = order.iter().map(|&at| records[at].record.date).collect();
        let creators: Vec<Option<&str>> = order.iter().map(|&at| records[at].created_by.as_deref()).collect();
        let has_creators = creators.iter().any(Option::is_some);

        let lease = self.pool.lease(deadline).await?;
        let timer = self.duration.start_timer();
        let texts = Type::TEXT_ARRAY;
        let mut parameters: Vec<Parameter<'_>> = vec![
            (&ids, texts.clone()),
            (&names, texts.clone()),
            (&statuses, texts.clone()),
            (&dates, Type::DATE_ARRAY),
        ];
        let session_name = self.pool.statement_name();
        let sql = insert_sql(session_name.is_some(), has_creators).many;
        if has_creators {
            parameters.push((&creators, texts));
        }
        parameters.extend(session_name.as_ref().map(|name| (name as _, Type::TEXT)));
        let outcome = timeout_at(deadline, lease.query(sql, &parameters)).await;
        let rows = lease.finish(outcome)?;
        drop(timer);

        let all_stored = rows.len() == order.len();
        if all_stored && order.len() == records.len() {
            return Ok(records.iter().map(|_| Ok(())).collect());
        }
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

fn key(Creation { record, .. }: &Creation) -> (&str, Date) {
    (&record.id, record.date)
}
