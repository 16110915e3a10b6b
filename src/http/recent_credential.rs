//! The credential of a connection's last request.
//!
//! Policy: a client sends the same credential with each request of a connection. From the second request on, the connection keeps what it stands for, so that its digest is
//! not computed and memory that all threads share is not asked again. What is kept is used only while the cache says that it is valid, so it lives no longer
//! than an entry of the cache. A connection of a proxy, whose requests have different credentials, pays for a comparison only: nothing is kept before a
//! credential is repeated. The comparison takes as long for each text, because the requests of such a connection come from several clients.

use std::cell::RefCell;
use std::sync::Arc;
use std::time::Instant;

use constant_time_eq::constant_time_eq_n;

use super::credentials::PresentedCredential;
use super::error::HttpError;
use crate::access::{Access, CREDENTIAL_LEN, Credential, KnownCredential, Principal};

/// Who showed a credential.
pub enum Identity {
    /// Memory knows it.
    Known(Arc<Principal>),
    /// It has to be looked up.
    Unknown(Credential),
}

/// The credential of a connection's last request. Nothing is allocated for a connection without one.
#[derive(Default)]
pub struct RecentCredential(RefCell<Option<Box<Recent>>>);

struct Recent {
    text: [u8; CREDENTIAL_LEN],
    is_cookie: bool,
    /// What it stands for, if it was repeated.
    known: Option<KnownCredential>,
}

impl RecentCredential {
    /// Who showed this, if memory knows. Does not wait.
    ///
    /// # Errors
    /// The answer, if it is not a credential.
    pub fn identify(
        &self,
        presented: &PresentedCredential<'_>,
        access: &Access,
        now: Instant,
    ) -> Result<Identity, HttpError> {
        let mut recent = self.0.borrow_mut();
        let Some(repeated) = recent.as_deref_mut().filter(|recent| recent.is(presented)) else {
            let credential = presented.parse()?;
            if access.can_answer_from_memory() {
                replace(&mut recent, presented);
            }
            let principal = access.try_authenticate(&credential, now);
            return Ok(principal.map_or(Identity::Unknown(credential), Identity::Known));
        };
        if let Some(principal) = repeated.known.as_ref().and_then(|known| access.recall(known, now)) {
            return Ok(Identity::Known(principal));
        }
        let credential = presented.parse()?;
        repeated.known = access.try_know(&credential, now);
        let principal = repeated.known.as_ref().map(|known| Arc::clone(known.principal()));
        Ok(principal.map_or(Identity::Unknown(credential), Identity::Known))
    }
}

/// Keeps another text, in the memory of the one before.
fn replace(recent: &mut Option<Box<Recent>>, presented: &PresentedCredential<'_>) {
    let Ok(text) = presented.text.try_into() else { return };
    let new = Recent { text, is_cookie: presented.is_cookie, known: None };
    match recent {
        Some(recent) => **recent = new,
        None => *recent = Some(Box::new(new)),
    }
}

impl Recent {
    fn is(&self, presented: &PresentedCredential<'_>) -> bool {
        let text = <&[u8; CREDENTIAL_LEN]>::try_from(presented.text);
        // Where it came from decides what it may be.
        self.is_cookie == presented.is_cookie && text.is_ok_and(|text| constant_time_eq_n(text, &self.text))
    }
}

impl std::fmt::Debug for RecentCredential {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("RecentCredential")
    }
}
