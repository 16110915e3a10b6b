//! Encryption of the connection to an external PostgreSQL.

use super::choice::choice;

choice! {
    /// `postgres.sslmode`, with libpq's meanings.
    #[derive(Default)]
    pub enum SslMode {
        /// Never encrypt.
        Disable = "disable",
        /// Encrypt if the server supports it.
        #[default]
        Prefer = "prefer",
        /// Encrypt or fail; the certificate is not checked.
        Require = "require",
        /// Encrypt or fail; the certificate must be valid for the host.
        VerifyFull = "verify-full",
    }
}
