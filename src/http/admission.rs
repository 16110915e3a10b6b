//! Whether a request may use its route.
//!
//! Policy: without access control every request may. With it, a request to an endpoint needs a credential whose role has the endpoint's permission. This
//! is decided once, before the body is read: at once if memory has the credential, otherwise in the future that answers the request. A request
//! that leads to no endpoint (OPTIONS, 404, 405, a redirect) needs no credential. At an open endpoint that shows more to an account, an
//! invalid credential counts as none.

use std::sync::Arc;
use std::time::Instant;

use hyper::Request;
use hyper::body::Incoming;

use super::caller::Caller;
use super::credentials::PresentedCredential;
use super::error::HttpError;
use super::forwarded::Client;
use super::recent_credential::{Identity, RecentCredential};
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

/// Decides about a request from memory, if that has its credential. `requirement` is `None` if the request leads to no endpoint, and `recent` is what the
/// connection keeps. Does not wait.
pub fn try_admit(
    app: &AppState,
    requirement: Option<Requirement>,
    request: &Request<Incoming>,
    client: Client,
    recent: &RecentCredential,
    now: Instant,
) -> Admission {
    let Some(control) = &app.access_control else { return Admission::Granted(Caller::Anyone) };
    let Some(requirement) = requirement.filter(|requirement| control.needs_credential(*requirement)) else {
        return Admission::Granted(Caller::Anyone);
    };
    let presented = match present(app, requirement, request, client) {
        Ok(Some(presented)) => presented,
        Ok(None) => return Admission::Granted(Caller::Anyone),
        Err(error) => return Admission::Denied(Box::new(error)),
    };
    match recent.identify(&presented, &control.access, now) {
        Ok(Identity::Known(principal)) => match grant(principal, requirement) {
            Ok(caller) => Admission::Granted(caller),
            Err(error) => Admission::Denied(Box::new(error)),
        },
        Ok(Identity::Unknown(credential)) => Admission::Pending(credential),
        Err(_) if requirement.permission == Permission::Open => Admission::Granted(Caller::Anyone),
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

/// What a request shows as its credential; `None` if it shows nothing and needs nothing.
fn present<'a>(
    app: &AppState,
    requirement: Requirement,
    request: &'a Request<Incoming>,
    client: Client,
) -> Result<Option<PresentedCredential<'a>>, HttpError> {
    let presented = PresentedCredential::of(request.headers(), client.is_https);
    if requirement.permission == Permission::Open {
        return Ok(presented.ok().flatten());
    }
    let presented = presented?.ok_or_else(|| {
        HttpError::unauthenticated("This needs credentials: send a session or a token as `Authorization: Bearer`.")
    })?;
    if presented.is_cookie && same_origin::is_unsafe(request.method()) {
        // What is not a credential is refused as such.
        presented.parse()?;
        same_origin::check(request.headers(), client.is_https, &app.limits().cors)?;
    }
    Ok(Some(presented))
}

/// The caller, if the role of the account has the permission.
///
/// # Errors
/// A 403 that names the role, if it has not.
fn grant(principal: Arc<Principal>, requirement: Requirement) -> Result<Caller, HttpError> {
    HttpError::unless_permitted(&principal, requirement.permission)?;
    Ok(Caller::Account(principal))
}
