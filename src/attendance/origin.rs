//! The account and the address behind a change, for the history.

/// The account and the address behind a change. An erasure names the account that asked for it, never the erased person.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Origin {
    /// The account; none without access control.
    pub actor: Option<String>,
    /// The address of the client.
    pub address: String,
    /// The id of the request, which is also in the log.
    pub request_id: String,
}
