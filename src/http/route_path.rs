//! The path of a route as the client of one request sees it.

use std::fmt::{self, Display};
use std::sync::Arc;

/// The path of a route, below the base path if the request came there.
#[derive(Debug, Clone)]
pub struct RoutePath {
    /// Where the request came, if not at the root.
    pub base_path: Option<Arc<str>>,
    /// The path in the route table.
    pub path: &'static str,
}

impl Display for RoutePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.base_path.as_deref().unwrap_or_default())?;
        f.write_str(self.path)
    }
}
