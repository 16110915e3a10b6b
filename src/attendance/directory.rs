//! Changes of the directory and of the calendar, and single employees.
//!
//! Policy: as for records, a change is acknowledged after its commit and after the views that depend on it have been invalidated. A statement
//! whose client has gone is completed. A single employee is read from PostgreSQL by its key.

use std::pin::pin;
use std::sync::Arc;

use tokio_postgres::Row;
use tokio_postgres::types::{ToSql, Type};

use super::acknowledgement::acknowledge;
use super::answer::{Answer, CacheStatus, Content};
use super::calendar::CalendarDay;
use super::date::Date;
use super::employee::{EMPLOYEE_COLUMNS, Employee, write_employee};
use super::error::Error;
use super::service::Attendance;
use super::statement::text;
use super::view::{CALENDAR, DIRECTORY};
use super::visibility::Visibility;
use crate::cache::Scope;
use crate::database::{DetachOnDrop, Parameter, QueryError};

/// The last column says whether the row is new.
const PUT_EMPLOYEE: &str = "INSERT INTO employees (id, name, department, joined_on, left_on) VALUES ($1, $2, $3, $4, $5) \
     ON CONFLICT (id) DO UPDATE SET name = excluded.name, department = excluded.department, joined_on = excluded.joined_on, \
     left_on = excluded.left_on, updated_at = now() RETURNING ";
const DELETE_EMPLOYEE: &str = "DELETE FROM employees WHERE id = $1 RETURNING true";
const PUT_CALENDAR_DAY: &str = "INSERT INTO calendar_days (date, kind, name) VALUES ($1, $2, $3) \
     ON CONFLICT (date) DO UPDATE SET kind = excluded.kind, name = excluded.name RETURNING xmax = 0";
const DELETE_CALENDAR_DAY: &str = "DELETE FROM calendar_days WHERE date = $1 RETURNING true";

/// What was stored, and whether it is new.
#[derive(Debug)]
pub struct Stored {
    /// As a read answers it.
    pub content: Arc<Content>,
    /// Whether there was nothing before.
    pub is_new: bool,
}

type OwnedParameter = (Box<dyn ToSql + Send + Sync>, Type);

impl Attendance {
    /// The employee with an id.
    ///
    /// # Errors
    /// [`Error::NotFound`] if the directory has none that the caller may see, or when PostgreSQL fails.
    pub async fn employee(&self, id: &str, visibility: &Visibility) -> Result<Answer, Error> {
        if !visibility.includes(id) {
            return Err(Error::NotFound);
        }
        let sql = format!("SELECT {EMPLOYEE_COLUMNS} FROM employees WHERE id = $1");
        let rows = self.store.read_rows(&sql, &[text(&id)]).await?;
        let content = Arc::new(self.employee_content(rows.first().ok_or(Error::NotFound)?)?);
        Ok(Answer { content, cached: CacheStatus::Bypass })
    }

    /// Stores an employee, in place of the one with the id if there is one.
    ///
    /// # Errors
    /// When PostgreSQL fails.
    pub async fn put_employee(&self, employee: Employee) -> Result<Stored, Error> {
        let Employee { id, name, department, joined_on, left_on } = employee;
        let parameters =
            vec![owned_text(id), owned_text(name), owned_text(department), owned_date(joined_on), owned_date(left_on)];
        let sql = format!("{PUT_EMPLOYEE}{EMPLOYEE_COLUMNS}, xmax = 0");
        let row = self.change(&[DIRECTORY], sql, parameters).await?;
        let is_new = row.try_get(6).map_err(QueryError::statement)?;
        Ok(Stored { content: Arc::new(self.employee_content(&row)?), is_new })
    }

    /// Removes an employee from the directory.
    ///
    /// # Errors
    /// [`Error::NotFound`] if the directory has none, [`Error::EmployeeHasRecords`] if it is strict and there are records, or when
    /// PostgreSQL fails.
    pub async fn delete_employee(&self, id: String) -> Result<(), Error> {
        match self.change(&[DIRECTORY], DELETE_EMPLOYEE.to_owned(), vec![owned_text(id)]).await {
            // The key between records and employees is violated from its other side.
            Err(Error::UnknownEmployee) => Err(Error::EmployeeHasRecords),
            outcome => outcome.map(drop),
        }
    }

    /// Stores a day of the calendar, in place of the one with the date if there is one.
    ///
    /// # Errors
    /// When PostgreSQL fails.
    pub async fn put_calendar_day(&self, day: CalendarDay) -> Result<Stored, Error> {
        let mut body = day.to_json(self.format);
        let CalendarDay { date, kind, name } = day;
        let parameters = vec![owned_date(date), owned_text(kind.as_str()), owned_text(name)];
        let row = self.change(&[CALENDAR], PUT_CALENDAR_DAY.to_owned(), parameters).await?;
        body.push(b'\n');
        let is_new = row.try_get(0).map_err(QueryError::statement)?;
        Ok(Stored { content: Arc::new(Content::new(body)), is_new })
    }

    /// Removes a day of the calendar, so that the rule applies to it again.
    ///
    /// # Errors
    /// [`Error::NotFound`] if there is none, or when PostgreSQL fails.
    pub async fn delete_calendar_day(&self, date: Date) -> Result<(), Error> {
        self.change(&[CALENDAR], DELETE_CALENDAR_DAY.to_owned(), vec![owned_date(date)]).await.map(drop)
    }

    fn employee_content(&self, row: &Row) -> Result<Content, Error> {
        let mut body = Vec::with_capacity(192);
        write_employee(row, self.format, &mut body).map_err(QueryError::statement)?;
        body.push(b'\n');
        Ok(Content::new(body))
    }

    /// Runs a statement that changes one row, and returns what it returns of it.
    async fn change(&self, scopes: &[Scope<'_>], sql: String, parameters: Vec<OwnedParameter>) -> Result<Row, Error> {
        // Nothing has been sent to the database, so no answer of the cache becomes invalid.
        self.store.check_storage()?;
        let store = Arc::clone(&self.store);
        let statement = pin!(DetachOnDrop::new(async move {
            let parameters: Vec<Parameter<'_>> =
                parameters.iter().map(|(value, kind)| -> Parameter<'_> { (&**value, kind.clone()) }).collect();
            store.change_rows(&sql, &parameters).await?.pop().ok_or(Error::NotFound)
        }));
        acknowledge(self.cache.as_deref(), scopes, statement).await
    }
}

/// A text, or none. The server infers its type from the statement.
fn owned_text(value: impl ToSql + Send + Sync + 'static) -> OwnedParameter {
    (Box::new(value), Type::UNKNOWN)
}

/// A day, or none.
fn owned_date(value: impl ToSql + Send + Sync + 'static) -> OwnedParameter {
    (Box::new(value), Type::DATE)
}
