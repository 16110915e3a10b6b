//! `server.cors:` — which pages of other origins may use the API.

use super::kind::Kind;
use super::problem::Problem;
use super::section::section;
use super::settings::Settings;
use super::web_origin::{AllowedOrigin, WebOrigin};

section! {
    /// Pages of other origins (CORS).
    "server.cors" {
        /// `server.cors:` — which pages of other origins may use the API.
        #[derive(Default, PartialEq, Eq)]
        pub struct Cors {
            /// The origins of pages that may use the API, like `[http://ui:3000]`; `"*"` for all pages.
            origins: Vec<AllowedOrigin> => Kind::Origins, reloadable;
            /// Whether these pages may send cookies and credentials, true or false. With "*" as origins, they cannot.
            credentials: bool = "false" => Kind::Boolean, reloadable;
        }
    }
}

const ORIGINS: &str = "server.cors.origins";
const CREDENTIALS: &str = "server.cors.credentials";

/// Reads the section.
pub(super) fn resolve(settings: &mut Settings) -> Option<Cors> {
    let cors = Cors::read(settings)?;
    if cors.credentials {
        check_credentials(settings, &cors.origins);
    }
    Some(cors)
}

fn check_credentials(settings: &mut Settings, origins: &[AllowedOrigin]) {
    let Some(second_origin) = settings.origin(CREDENTIALS).cloned() else { return };
    match settings.origin(ORIGINS).cloned() {
        Some(first_origin) if origins.contains(&AllowedOrigin::Any) => settings.problems.push(Problem::Contradiction {
            first: format!("{ORIGINS}: *"),
            first_origin,
            second: CREDENTIALS,
            second_origin,
            remedy: "browsers refuse credentials for all origins: list the origins, or leave credentials out"
                .to_owned(),
        }),
        Some(_) => {}
        None => settings.problems.push(Problem::Incomplete {
            origin: second_origin,
            key: format!("{CREDENTIALS}: true"),
            missing: ORIGINS,
            remedy: "list the origins of the pages, or remove the key",
        }),
    }
}

impl Cors {
    /// The listed origin that equals the value of an `Origin` header; with `*`, any.
    pub fn find(&self, origin: &[u8]) -> Option<&AllowedOrigin> {
        self.origins.iter().find(|allowed| match allowed {
            AllowedOrigin::Any => true,
            AllowedOrigin::Only(WebOrigin(allowed)) => allowed.as_bytes() == origin,
        })
    }
}
