//! The directory of employees.

use hyper::StatusCode;

use crate::attendance::{self, EmployeeRequest, EmployeesQuery, ViewCursor, ViewQuery};
use crate::http::conditional;
use crate::http::error::{EMPLOYEE_HAS_RECORDS, ErrorStatus, HttpError};
use crate::http::parameter_schema::{IfNoneMatch, PageCursor, PageSize};
use crate::http::query_parameters::{self, QueryParameters};
use crate::http::request::{self, RequestContext};
use crate::http::response::Reply;
use crate::http::response_schema::{BodyErrors, InvalidEmployeePath, NoSuchEmployee, NotModified, ViewAnswers};
use crate::http::schema::ErrorBody;
use crate::http::stored;
use crate::http::view_read::{ViewRead, view_read};
use crate::http::view_schema::{Employee, EmployeesParameters, NewEmployee};

const KNOWN: [&str; 5] = ["q", "department", "active_on", "limit", "after"];

/// A list of employees whose query has been parsed.
#[derive(Debug)]
pub struct Employees(ViewRead);

view_read!(Employees, parse, list);

fn parse(query: &str) -> (QueryParameters, Option<ViewQuery>) {
    let mut parameters = QueryParameters::parse(query, &KNOWN);
    let (q, department) = (parameters.text("q"), parameters.text("department"));
    let active_on = parameters.date("active_on");
    let limit = parameters.page_size();
    let after = parameters.after(ViewCursor::decode_text);
    (parameters, Some(ViewQuery::Employees(EmployeesQuery { q, department, active_on, limit, after })))
}

/// List employees
///
/// The employees of the directory, by id. The directory is optional: records need no employee in it unless the server has `employees.strict`.
#[utoipa::path(
    get,
    path = "",
    operation_id = "listEmployees",
    params(EmployeesParameters, PageSize, PageCursor, IfNoneMatch),
    responses(
        (status = 200, description = "The employees; `[]` if there are none", body = Vec<Employee>),
        ViewAnswers,
    )
)]
async fn list(context: &RequestContext, read: &ViewRead) -> Result<Reply, HttpError> {
    read.read(context).await
}

/// Find an employee
///
/// The employee of the directory with an id.
#[utoipa::path(
    get,
    path = "",
    operation_id = "findEmployee",
    params(
        ("id" = String, Path, description = "Employee, percent-encoded (a slash is `%2F`)", example = "1", min_length = 1),
        IfNoneMatch,
    ),
    responses(
        (status = 200, description = "The employee", body = Employee),
        NotModified,
        InvalidEmployeePath,
        NoSuchEmployee,
    )
)]
pub async fn find(context: &RequestContext) -> Result<Reply, HttpError> {
    query_parameters::none(context.query())?;
    let id = context.parameters.text("id")?;
    let answer = context.app.attendance.employee(id, &context.visibility()).await.map_err(unknown_employee)?;
    Ok(conditional::reply(&context.head.headers, &answer))
}

/// Store an employee
///
/// Adds an employee to the directory, or replaces the one with the id as a whole: what the body leaves out is empty then. When the answer arrives, every
/// read that starts afterwards sees it.
#[utoipa::path(
    put,
    path = "",
    operation_id = "putEmployee",
    params(("id" = String, Path, description = "Employee, percent-encoded (a slash is `%2F`)", example = "1", min_length = 1, max_length = 128)),
    request_body(content = NewEmployee, description = "The employee. No other field is accepted"),
    responses(
        (status = 200, description = "Replaced", body = Employee, headers(("ETag" = String, description = "Entity tag of the employee"))),
        (status = 201, description = "Added", body = Employee, headers(("ETag" = String, description = "Entity tag of the employee"))),
        (status = 400, description = "Not JSON, or not a valid employee; `details` lists every problem", body = ErrorBody, example = json!({"error": "Validation Error", "message": "The employee is not valid: see details.", "details": [{"field": "name", "problem": "is required"}]})),
        BodyErrors,
    )
)]
pub async fn put(context: &mut RequestContext) -> Result<Reply, HttpError> {
    query_parameters::none(context.query())?;
    let request: EmployeeRequest = context.document().await?;
    let id = context.parameters.text("id")?;
    let employee = request.check(id).map_err(|problems| request::invalid_document("employee", problems))?;
    Ok(stored::reply(&context.app.attendance.put_employee(employee).await?))
}

/// Remove an employee
///
/// Removes an employee from the directory. Records stay. With `employees.strict`, an employee who has records cannot be removed.
#[utoipa::path(
    delete,
    path = "",
    operation_id = "deleteEmployee",
    params(("id" = String, Path, description = "Employee, percent-encoded (a slash is `%2F`)", example = "1", min_length = 1)),
    responses(
        (status = 204, description = "Removed"),
        InvalidEmployeePath,
        NoSuchEmployee,
        (status = 409, description = "The employee has records, and the server has `employees.strict`", body = ErrorBody, example = json!({"error": "Conflict", "message": EMPLOYEE_HAS_RECORDS})),
    )
)]
pub async fn delete(context: &RequestContext) -> Result<Reply, HttpError> {
    query_parameters::none(context.query())?;
    let id = context.parameters.text("id")?.to_owned();
    context.app.attendance.delete_employee(id).await.map_err(unknown_employee)?;
    Ok(Reply::empty(StatusCode::NO_CONTENT))
}

fn unknown_employee(error: attendance::Error) -> HttpError {
    match error {
        attendance::Error::NotFound => HttpError::new(ErrorStatus::NOT_FOUND, "The directory has no such employee."),
        error => error.into(),
    }
}
