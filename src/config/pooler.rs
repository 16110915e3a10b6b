//! A pooler in front of an external PostgreSQL.

use super::choice::choice;

choice! {
    /// `postgres.pooler`: what stands between the appliance and the server.
    #[derive(Default)]
    pub enum Pooler {
        /// It is found out at the start.
        #[default]
        Auto = "auto",
        /// No pooler, or one in session mode.
        Session = "session",
        /// A pooler in transaction mode.
        Transaction = "transaction",
    }
}
