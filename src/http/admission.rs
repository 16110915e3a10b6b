//! Whether a request may use its route.
//!
//! Policy: without access control every request may. With it, a request to an endpoint needs a credential whose role has the endpoint's permission. This
//! is decided once, before the body is read: at once if memory has the credential, otherwise in the future that answers the request. A request
//! that leads to no endpoint (OPTIONS, 404, 405, a redirect) needs no credential. At an open endpoint that shows more to an account, an
//! invalid credential counts as none.

use std::sync::Arc;
use std::time::Instant;

use hyper::body::Incoming;
use hyper::{HeaderMap, Method, Request};

use super::caller::Caller;
use super::credentials::PresentedCredential;
use super::error::HttpError;
use super::forwarded::Client;
use super::requirement::Requirement;
use super::same_origin;
use super::state::AppState;
use crate::access::{Credential, Permission, Principal};

/// What is known of a request's right to its route before it is answered.
#[derive(Debug)]
pub enum Admission {
    /// It may use the route.
    Granted(Caller),
    /// The credential has to be looked up.
    Pending(Credential),
    /// It may not.
    Denied(Box<HttpError>),
}

/// Decides about a request from memory, if that has its credential. `requirement` is `None` if the request leads to no endpoint. Does not wait.
pub fn try_admit(
    app: &AppState,
    requirement: Option<Requirement>,
    request: &Request<Incoming>,
    client: Client,
    now: Instant,
) -> Admission {
    let Some(control) = &app.access_control else { return Admission::Granted(Caller::Anyone) };
    let Some(requirement) = requirement.filter(|requirement| control.needs_credential(*requirement)) else {
        return Admission::Granted(Caller::Anyone);
    };
    match present(app, requirement, request.method(), request.headers(), client) {
        Ok(None) => Admission::Granted(Caller::Anyone),
        Ok(Some(credential)) => match control.access.try_authenticate(&credential, now) {
            Some(principal) => match grant(principal, requirement) {
                Ok(caller) => Admission::Granted(caller),
                Err(error) => Admission::Denied(Box::new(error)),
            },
            None => Admission::Pending(credential),
        },
        Err(error) => Admission::Denied(Box::new(error)),
    }
}

/// Decides about a request whose credential is not in memory.
///
/// # Errors
/// When the request may not use the route: the answer.
pub async fn admit(
    app: &AppState,
    requirement: Option<Requirement>,
    credential: Credential,
) -> Result<Caller, HttpError> {
    // Only a request to an endpoint, with access control, waits for its credential.
    let (Some(control), Some(requirement)) = (&app.access_control, requirement) else { return Ok(Caller::Anyone) };
    match control.access.authenticate(&credential).await {
        Ok(Some(principal)) => grant(principal, requirement),
        // An open endpoint answers also if the database fails.
        Ok(None) | Err(_) if requirement.permission == Permission::Open => Ok(Caller::Anyone),
        Ok(None) => Err(HttpError::invalid_credential()),
        Err(error) => Err(error.into()),
    }
}

/// The credential that a request shows; `None` if it shows none and needs none.
fn present(
    app: &AppState,
    requirement: Requirement,
    method: &Method,
    headers: &HeaderMap,
    client: Client,
) -> Result<Option<Credential>, HttpError> {
    let presented = PresentedCredential::of(headers, client.is_https);
    if requirement.permission == Permission::Open {
        return Ok(presented.ok().flatten().map(|presented| presented.credential));
    }
    let PresentedCredential { credential, is_cookie } = presented?.ok_or_else(|| {
        HttpError::unauthenticated("This needs credentials: send a session or a token as `Authorization: Bearer`.")
    })?;
    if is_cookie && same_origin::is_unsafe(method) {
        same_origin::check(headers, client.is_https, &app.limits().cors)?;
    }
    Ok(Some(credential))
}

/// The caller, if the role of the account has the permission.
///
/// # Errors
/// A 403 that names the role, if it has not.
fn grant(principal: Arc<Principal>, requirement: Requirement) -> Result<Caller, HttpError> {
    HttpError::unless_permitted(&principal, requirement.permission)?;
    Ok(Caller::Account(principal))
}
