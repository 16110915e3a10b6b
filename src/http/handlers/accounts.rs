//! Accounts, for admins.

use hyper::StatusCode;

use crate::access::{AccountChange, AccountPage, Actor, NewAccount, Principal};
use crate::http::access_reply;
use crate::http::access_schema::{self, Account, AccountBody, AccountPatch, AccountsCursor};
use crate::http::error::HttpError;
use crate::http::parameter_schema::PageSize;
use crate::http::query_parameters::{self, QueryParameters};
use crate::http::request::RequestContext;
use crate::http::response::Reply;
use crate::http::response_schema::{BodyErrors, InvalidQuery, NoSuchAccount};
use crate::http::schema::ErrorBody;

/// List accounts
///
/// By name, a page at a time: follow the header `Link` with `rel="next"` until there is none.
#[utoipa::path(
    get,
    path = "",
    operation_id = "listAccounts",
    params(PageSize, AccountsCursor),
    responses(
        (status = 200, description = "The accounts", body = Vec<Account>),
        InvalidQuery,
    )
)]
pub async fn list(context: &RequestContext, _: &Principal) -> Result<Reply, HttpError> {
    let mut parameters = QueryParameters::parse(context.query(), &["limit", "after"]);
    let limit = parameters.page_size() as usize;
    let after = parameters.text("after");
    parameters.check()?;
    let (accounts, has_more) = context.access()?.accounts(AccountPage { after, limit }).await?;
    let next = accounts.last().filter(|_| has_more).map(|last| last.username.clone());
    let accounts: Vec<Account> = accounts.into_iter().map(Account::from).collect();
    Ok(access_reply::page(context, &accounts, &parameters, next.as_deref()))
}

/// Make an account
///
/// The account can log in when the answer arrives.
#[utoipa::path(
    post,
    path = "",
    operation_id = "createAccount",
    request_body(content = access_schema::NewAccount, description = "The account. No other field is accepted"),
    responses(
        (status = 201, description = "Made", body = Account, headers(("Location" = String, description = "Its path"))),
        (status = 400, description = "Not JSON, or not a valid account; `details` lists every problem", body = ErrorBody, example = json!({"error": "Validation Error", "message": "The request is not valid: see details.", "details": [{"field": "password", "problem": "must have at least 12 characters"}]})),
        (status = 409, description = "There is an account of this name", body = ErrorBody, example = json!({"error": "Conflict", "message": "There is an account `ada` already."})),
        BodyErrors,
    )
)]
pub async fn create(context: &mut RequestContext, principal: &Principal) -> Result<Reply, HttpError> {
    query_parameters::none(context.query())?;
    let (access, actor) = (context.access()?, Actor::of(principal, context.client.address));
    let AccountBody { username, password, role, employee_id: employee } = context.document().await?;
    let role = access_reply::role(&role)?;
    let account = access.create_account(actor, NewAccount { username, password, role, employee }).await?;
    let name = account.username.clone();
    Ok(access_reply::created(context, &name, &Account::from(account)))
}

/// Change an account
///
/// Its role, its employee, its password, or whether it can be used. A change takes effect at once: no request that starts after the answer is served
/// under what was revoked. The last admin cannot be disabled or demoted.
#[utoipa::path(
    patch,
    path = "",
    operation_id = "changeAccount",
    params(("username" = String, Path, description = "The name of the account", example = "ada")),
    request_body(content = AccountPatch, description = "What is changed. No other field is accepted"),
    responses(
        (status = 200, description = "Changed: the account as it is now", body = Account),
        (status = 400, description = "Not JSON, or not a valid change; `details` lists every problem", body = ErrorBody, example = json!({"error": "Validation Error", "message": "The request is not valid: see details.", "details": [{"field": "role", "problem": "must be one of employee, reader, writer, manager, admin, metrics"}]})),
        NoSuchAccount,
        (status = 409, description = "It is the last admin, or it would have the role `employee` without an employee", body = ErrorBody, example = json!({"error": "Conflict", "message": "`ada` is the last admin that is not disabled: make another account an admin first."})),
        BodyErrors,
    )
)]
pub async fn change(context: &mut RequestContext, principal: &Principal) -> Result<Reply, HttpError> {
    query_parameters::none(context.query())?;
    let (access, actor) = (context.access()?, Actor::of(principal, context.client.address));
    let username = context.parameters.text("username")?.to_owned();
    let AccountPatch { role, employee_id: employee, disabled, password } = context.document().await?;
    let role = role.map(|role| access_reply::role(&role)).transpose()?;
    let change = AccountChange { role, employee, disabled, password };
    let account = access.update_account(actor, &username, change).await?;
    Ok(access_reply::value(context, StatusCode::OK, &Account::from(account)))
}

/// Remove an account
///
/// Its sessions and tokens end at once. The last admin cannot be removed.
#[utoipa::path(
    delete,
    path = "",
    operation_id = "removeAccount",
    params(("username" = String, Path, description = "The name of the account", example = "ada")),
    responses(
        (status = 204, description = "Removed"),
        NoSuchAccount,
        (status = 409, description = "It is the last admin", body = ErrorBody, example = json!({"error": "Conflict", "message": "`ada` is the last admin that is not disabled: make another account an admin first."})),
    )
)]
pub async fn remove(context: &RequestContext, principal: &Principal) -> Result<Reply, HttpError> {
    query_parameters::none(context.query())?;
    let actor = Actor::of(principal, context.client.address);
    context.access()?.remove_account(actor, context.parameters.text("username")?).await?;
    Ok(Reply::no_content())
}
