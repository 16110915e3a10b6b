//! What access control adds to the OpenAPI document: the schemes of credentials, and what the permission of each operation means.

use utoipa::OpenApi as _;
use utoipa::openapi::path::Operation;
use utoipa::openapi::schema::{Schema, Type};
use utoipa::openapi::security::{
    ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme,
};
use utoipa::openapi::tag::TagBuilder;
use utoipa::openapi::{OpenApi, Ref, RefOr, Response};

use super::access_schema::AccessSchemas;
use super::openapi_response::{error_response, header};
use super::requirement::Requirement;
use super::session_cookie;
use crate::access::{Permission, Role};

/// Adds to an operation what its permission means.
pub fn require_credentials(operation: &mut Operation, Requirement { permission, knows_accounts }: Requirement) {
    let any = [
        SecurityRequirement::new::<_, [&str; 0], _>("bearer", []),
        SecurityRequirement::new::<_, [&str; 0], _>("cookie", []),
    ];
    let is_optional = knows_accounts || permission == Permission::Metrics;
    let Some(role) = permission.least_role() else {
        operation.security = Some(if is_optional {
            [SecurityRequirement::default()].into_iter().chain(any).collect()
        } else {
            Vec::new()
        });
        return;
    };
    let none = is_optional.then(SecurityRequirement::default);
    operation.security = Some(none.into_iter().chain(any).collect());
    let responses = &mut operation.responses.responses;
    let unauthorized = || RefOr::Ref(Ref::from_response_name("Unauthorized"));
    responses.entry("401".to_owned()).or_insert_with(unauthorized);
    match responses.get_mut("403") {
        // The handler has another reason as well.
        Some(RefOr::T(response)) => response.description += &format!(". Or {}", lacks(role)),
        _ => drop(responses.insert("403".to_owned(), RefOr::T(forbidden(role)))),
    }
    // The first sentences of a description are its summary in some pages, so this comes last.
    let description = operation.description.take().unwrap_or_default();
    let needs = match permission {
        Permission::OwnAccount => "Needs an account.".to_owned(),
        Permission::Metrics => "Needs a token with the role `metrics` if `auth.metrics` is `token`.".to_owned(),
        _ => format!("Needs the role `{role}`."),
    };
    operation.description = Some(format!("{description}\n\n{needs}"));
}

/// The answer to credentials whose role is not enough.
fn forbidden(role: Role) -> Response {
    let meaning = format!("A page of another site made the request, or {}", lacks(role));
    let message = format!("This needs the role `{role}`; the role of these credentials is `{}`.", other_than(role));
    error_response(&meaning, "Forbidden", &message)
}

fn lacks(role: Role) -> String {
    format!("the role of the credentials is not enough: this needs `{role}`")
}

/// A role that has not the permissions of another one, for an example.
fn other_than(role: Role) -> Role {
    if role == Role::Employee { Role::Metrics } else { Role::Employee }
}

/// Adds the schemes of credentials, and the types of accounts.
pub fn add_access_control(document: &mut OpenApi) {
    let tag = TagBuilder::new().name("access").description(Some("Sessions, tokens, accounts and the audit")).build();
    document.tags.get_or_insert_default().push(tag);
    let components = document.components.get_or_insert_default();
    components.schemas.extend(AccessSchemas::openapi().components.unwrap_or_default().schemas);
    // Without credentials, the rest is absent.
    if let Some(RefOr::T(Schema::Object(health))) = components.schemas.get_mut("HealthDetail") {
        health.required.retain(|member| ["message", "postgresql", "redis", "status"].contains(&member.as_str()));
    }
    let bearer = HttpBuilder::new()
        .scheme(HttpAuthScheme::Bearer)
        .description(Some("A session (`token` of the answer to a login) or a token"))
        .build();
    let cookie = ApiKeyValue::with_description(
        session_cookie::NAME,
        "The session of a browser. Behind TLS the name has the prefix `__Host-`",
    );
    components.security_schemes.insert("bearer".to_owned(), RefOr::T(SecurityScheme::Http(bearer)));
    components.security_schemes.insert("cookie".to_owned(), RefOr::T(SecurityScheme::ApiKey(ApiKey::Cookie(cookie))));
    let mut unauthorized = error_response(
        "There are no valid credentials",
        "Unauthorized",
        "This needs credentials: send a session or a token as `Authorization: Bearer`.",
    );
    unauthorized.headers.insert("WWW-Authenticate".to_owned(), header(Type::String, "`Bearer`"));
    components.responses.insert("Unauthorized".to_owned(), RefOr::T(unauthorized));
}
