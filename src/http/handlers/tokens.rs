//! Tokens for machines.

use jiff::Timestamp;

use crate::access::{self, NewToken, Permission, Principal, TokenPage, TokenScope};
use crate::http::access_reply;
use crate::http::access_schema::{IssuedToken, NumberCursor, Token, TokenBody, TokensParameters};
use crate::http::error::HttpError;
use crate::http::parameter_schema::PageSize;
use crate::http::query_parameters::{self, QueryParameters};
use crate::http::request::RequestContext;
use crate::http::response::Reply;
use crate::http::response_schema::{BodyErrors, InvalidQuery};
use crate::http::schema::ErrorBody;

/// List tokens
///
/// The tokens of the account, the newest first, a page at a time: follow the header `Link` with `rel="next"` until there is none. An admin can list those of
/// all accounts.
#[utoipa::path(
    get,
    path = "",
    operation_id = "listTokens",
    params(TokensParameters, PageSize, NumberCursor),
    responses(
        (status = 200, description = "The tokens, without their secrets", body = Vec<Token>),
        InvalidQuery,
    )
)]
pub async fn list(context: &RequestContext, principal: &Principal) -> Result<Reply, HttpError> {
    let mut parameters = QueryParameters::parse(context.query(), &["scope", "limit", "after"]);
    let scopes = [("own", TokenScope::Own), ("all", TokenScope::All)];
    let scope = parameters.choice("scope", &scopes).unwrap_or(TokenScope::Own);
    let limit = parameters.page_size() as usize;
    let after = parameters.after_number();
    parameters.check()?;
    if scope == TokenScope::All {
        HttpError::unless_permitted(principal, Permission::Administer)?;
    }
    let (tokens, has_more) = context.access()?.tokens(principal, TokenPage { scope, after, limit }).await?;
    let next = tokens.last().filter(|_| has_more).map(|last| last.id.to_string());
    let tokens: Vec<Token> = tokens.into_iter().map(Token::from).collect();
    Ok(access_reply::page(context, &tokens, &parameters, next.as_deref()))
}

/// Make a token
///
/// A token never permits more than the role of its owner, and ends with the account. One that is made with another token ends with that. It is shown in this
/// answer only.
#[utoipa::path(
    post,
    path = "",
    operation_id = "createToken",
    request_body(content = TokenBody, description = "The token. No other field is accepted"),
    responses(
        (status = 201, description = "Made", body = IssuedToken, headers(("Location" = String, description = "The path with which it is revoked"))),
        (status = 400, description = "Not JSON, or not a valid token; `details` lists every problem", body = ErrorBody, example = json!({"error": "Validation Error", "message": "The request is not valid: see details.", "details": [{"field": "expires_at", "problem": "is not in the future"}]})),
        (status = 403, description = "The account may do less than the token would", body = ErrorBody, example = json!({"error": "Forbidden", "message": "An account with the role `reader` cannot have a token with the role `writer`."})),
        (status = 409, description = "The account has as many tokens as it may have, or is linked to no employee, whose records a token with the role `employee` would read, or the token that asks was made with a token, that one with another, and so on", body = ErrorBody, example = json!({"error": "Conflict", "message": "The account has 1000 tokens, and may not have more: revoke one first."})),
        BodyErrors,
    )
)]
pub async fn create(context: &mut RequestContext, principal: &Principal) -> Result<Reply, HttpError> {
    query_parameters::none(context.query())?;
    let (access, address) = (context.access()?, context.client.address);
    let TokenBody { name, role, expires_at } = context.document().await?;
    let role = access_reply::role(&role)?;
    let expires_at = expires_at.map(|text| moment(&text)).transpose()?;
    let created = access.create_token(principal, NewToken { name, role, expires_at }, address).await?;
    let id = created.info.id.to_string();
    let issued = IssuedToken { token: created.token.expose(), info: Token::from(created.info) };
    Ok(access_reply::created(context, &id, &issued))
}

/// Revoke a token
///
/// One of the account itself; an admin can revoke any. The tokens that were made with it are revoked, too. No request that starts after the answer is served
/// with one of them.
#[utoipa::path(
    delete,
    path = "",
    operation_id = "revokeToken",
    params(("id" = i64, Path, description = "The number of the token", example = 7)),
    responses(
        (status = 204, description = "Revoked"),
        (status = 404, description = "There is no such token, or it belongs to another account", body = ErrorBody, example = json!({"error": "Not Found", "message": "There is no such token."})),
    )
)]
pub async fn revoke(context: &RequestContext, principal: &Principal) -> Result<Reply, HttpError> {
    query_parameters::none(context.query())?;
    // A text that is not a number names no token.
    let id = context.parameters.text("id")?.parse().map_err(|_| access::Error::UnknownToken)?;
    context.access()?.revoke_token(principal, id, context.client.address).await?;
    Ok(Reply::no_content())
}

fn moment(text: &str) -> Result<Timestamp, HttpError> {
    let problem = "must be a time: write 2026-01-31T08:30:00Z";
    text.parse().map_err(|_| HttpError::invalid_field("expires_at", &problem))
}
