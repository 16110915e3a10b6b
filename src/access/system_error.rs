//! Errors of the operating system and of the hash function, without which no secret can be made.

/// Why a secret cannot be made.
#[derive(Debug, Clone, thiserror::Error)]
pub enum SystemError {
    /// No random numbers.
    #[error("no random numbers: {0}")]
    Random(#[from] getrandom::Error),
    /// The parameters of the hash function are refused: a bug.
    #[error("the password cannot be hashed: {0}")]
    Parameters(#[from] argon2::Error),
    /// The hash function failed, or what is stored is no hash.
    #[error("the password cannot be hashed: {0}")]
    Hash(#[from] argon2::password_hash::Error),
    /// The secret key is not in the database after it was stored there.
    #[error("attendance_api.access_key is empty")]
    NoKey,
    /// There is no thread left.
    #[error("there is no thread to hash a password: {0}")]
    Thread(#[source] std::sync::Arc<std::io::Error>),
    /// The task that hashed ended without a result.
    #[error("hashing ended without a result")]
    Abandoned,
}

impl SystemError {
    /// The operating system gave no thread.
    pub(super) fn thread(error: std::io::Error) -> Self {
        Self::Thread(std::sync::Arc::new(error))
    }
}
