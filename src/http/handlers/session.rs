//! The session of a request: login, logout, the account, and its password.

use hyper::StatusCode;
use hyper::header::{AUTHORIZATION, HeaderValue, SET_COOKIE, USER_AGENT};

use crate::access::{self, LoginRequest, Principal};
use crate::http::access_reply;
use crate::http::access_schema::{LoginBody, OwnAccount, PasswordBody, StartedSession};
use crate::http::caller::Caller;
use crate::http::error::HttpError;
use crate::http::query_parameters;
use crate::http::request::RequestContext;
use crate::http::response::Reply;
use crate::http::response_schema::{BodyErrors, TooManyFailures};
use crate::http::same_origin;
use crate::http::schema::ErrorBody;
use crate::http::session_cookie;

/// Log in
///
/// Begins a session, and sets a cookie with it. A browser gets the cookie only; other clients also get the session in `token`, for `Authorization: Bearer`.
/// A session of the cookie that the request shows ends. An unknown name, a wrong password and a disabled account have one answer.
#[utoipa::path(
    post,
    path = "",
    operation_id = "logIn",
    request_body(content = LoginBody, description = "The name and the password. No other field is accepted"),
    responses(
        (status = 200, description = "The session", body = StartedSession, headers(("Set-Cookie" = String, description = "The session, for browsers"))),
        (status = 400, description = "Not JSON, or not a name and a password", body = ErrorBody, example = json!({"error": "Validation Error", "message": "The body is not JSON that can be read: missing field `password` at line 1 column 18.", "details": [{"field": "body", "problem": "is not JSON that can be read: missing field `password` at line 1 column 18"}]})),
        (status = 401, description = "No account has this name and password, or it is disabled", body = ErrorBody, headers(("WWW-Authenticate" = String, description = "`Bearer`")), example = json!({"error": "Unauthorized", "message": "The username or the password is wrong, or the account is disabled."})),
        (status = 403, description = "A page of another site made the request", body = ErrorBody, example = json!({"error": "Forbidden", "message": "A request with the cookie of a session must come from a page of this server, or of an origin in server.cors.origins with credentials: true. A program sends the session as `Authorization: Bearer` instead."})),
        BodyErrors,
        TooManyFailures,
    )
)]
pub async fn log_in(context: &mut RequestContext) -> Result<Reply, HttpError> {
    query_parameters::none(context.query())?;
    same_origin::check_login(&context.head.headers, context.client.is_https, &context.app.limits().cors)?;
    let (access, address) = (context.access()?, context.client.address);
    let LoginBody { username, password } = context.document().await?;
    let user_agent = context.head.headers.get(USER_AGENT).and_then(|value| value.to_str().ok());
    let login = access.login(LoginRequest { username: &username, password: &password, address, user_agent }).await?;
    // The new cookie replaces that of the previous session, which nothing could end afterwards.
    if let (Caller::Account(previous), false) = (&context.caller, context.head.headers.contains_key(AUTHORIZATION)) {
        match access.logout(previous, address).await {
            Ok(()) | Err(access::Error::UnknownSession) => {}
            Err(error) => return Err(error.into()),
        }
    }
    let body = StartedSession::new(&login, same_origin::is_browser(&context.head.headers));
    let reply = access_reply::value(context, StatusCode::OK, &body);
    Ok(with_cookie(reply, session_cookie::set(login.token.expose(), context.client.is_https)))
}

/// Show the own account
///
/// The account of the session or token, and what the request may do.
#[utoipa::path(get, path = "", operation_id = "showSession", responses((status = 200, description = "The account", body = OwnAccount)))]
pub async fn show(context: &RequestContext, principal: &Principal) -> Result<Reply, HttpError> {
    query_parameters::none(context.query())?;
    Ok(access_reply::value(context, StatusCode::OK, &OwnAccount::from(principal)))
}

/// Log out
///
/// Ends the session of the request. No request that starts after the answer is served with it.
#[utoipa::path(
    delete,
    path = "",
    operation_id = "logOut",
    responses(
        (status = 204, description = "Ended", headers(("Set-Cookie" = String, description = "Removes the cookie"))),
        (status = 404, description = "The request shows a token, which is not a session: revoke it instead", body = ErrorBody, example = json!({"error": "Not Found", "message": "There is no such session."})),
    )
)]
pub async fn log_out(context: &RequestContext, principal: &Principal) -> Result<Reply, HttpError> {
    query_parameters::none(context.query())?;
    context.access()?.logout(principal, context.client.address).await?;
    Ok(with_cookie(Reply::no_content(), session_cookie::clear(context.client.is_https)))
}

/// Change the own password
///
/// All other sessions of the account end; its tokens stay.
#[utoipa::path(
    put,
    path = "",
    operation_id = "changePassword",
    request_body(content = PasswordBody, description = "The current password and the new one"),
    responses(
        (status = 204, description = "Changed"),
        (status = 400, description = "Not JSON, or the new password is not allowed; `details` lists every problem", body = ErrorBody, example = json!({"error": "Validation Error", "message": "The request is not valid: see details.", "details": [{"field": "new", "problem": "must have at least 12 characters"}]})),
        (status = 403, description = "The current password is another one", body = ErrorBody, example = json!({"error": "Forbidden", "message": "The current password is another one."})),
        TooManyFailures,
        BodyErrors,
    )
)]
pub async fn change_password(context: &mut RequestContext, principal: &Principal) -> Result<Reply, HttpError> {
    query_parameters::none(context.query())?;
    let (access, address) = (context.access()?, context.client.address);
    let PasswordBody { old, new } = context.document().await?;
    access.change_password(principal, &old, &new, address).await.map_err(|error| match error {
        access::Error::Password(problem) => HttpError::invalid_field("new", &problem),
        error => error.into(),
    })?;
    Ok(Reply::no_content())
}

fn with_cookie(mut reply: Reply, cookie: Option<HeaderValue>) -> Reply {
    if let Some(cookie) = cookie {
        reply.headers.insert(SET_COOKIE, cookie);
    }
    reply
}
