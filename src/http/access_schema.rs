//! The wire types of accounts, sessions, tokens and the audit.
//!
//! Policy: as in `schema.rs`. [`AccessSchemas`] are in the document only if there is access control. A secret is in the answer that makes it, and in no other.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::openapi::schema::{AllOfBuilder, AnyOfBuilder, ObjectBuilder, Schema, Type};
use utoipa::openapi::{Ref, RefOr};
use utoipa::{IntoParams, OpenApi, ToSchema};

use crate::access;

/// The schemas that the OpenAPI document has with access control.
#[derive(OpenApi)]
#[openapi(components(schemas(
    LoginBody,
    StartedSession,
    OwnAccount,
    Session,
    PasswordBody,
    TokenBody,
    Token,
    IssuedToken,
    AccountBody,
    NewAccount,
    AccountPatch,
    Account,
    AuditEntry,
    Role,
    AccountRole
)))]
pub struct AccessSchemas;

/// A name and a password.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"username": "ada", "password": "a long passphrase of ada"}))]
pub struct LoginBody {
    /// The name of the account, in upper or lower case.
    pub username: String,
    /// Its password.
    #[schema(format = Password)]
    pub password: String,
}

/// A session that has begun.
#[derive(Serialize, ToSchema)]
pub struct StartedSession<'a> {
    /// The session, for `Authorization: Bearer`. It is shown once, and not to browsers, which get a cookie.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "att_s_...")]
    pub token: Option<&'a str>,
    /// When it ends at the latest (RFC 3339).
    #[schema(format = DateTime, example = "2026-01-31T20:30:00.123456Z")]
    pub expires_at: String,
    /// The account.
    pub account: OwnAccount<'a>,
}

/// The account of a request.
#[derive(Serialize, ToSchema)]
pub struct OwnAccount<'a> {
    /// Its name.
    #[schema(example = "ada")]
    username: &'a str,
    /// What the request may do. That of a token may be less than that of its account.
    #[schema(value_type = Role)]
    role: &'static str,
    /// The employee that it is linked to.
    #[schema(example = "1")]
    employee_id: Option<&'a str>,
}

/// A session of the account.
#[derive(Serialize, ToSchema)]
pub struct Session {
    /// Its number.
    #[schema(example = 7)]
    id: i64,
    /// When it began (RFC 3339).
    #[schema(format = DateTime, example = "2026-01-31T08:30:00.123456Z")]
    created_at: String,
    /// When it was last used, to the minute (RFC 3339).
    #[schema(format = DateTime, example = "2026-01-31T09:00:00.000000Z")]
    last_seen: String,
    /// When it ends at the latest (RFC 3339).
    #[schema(format = DateTime, example = "2026-01-31T20:30:00.123456Z")]
    expires_at: String,
    /// The address from which it began.
    #[schema(example = "192.0.2.7")]
    address: String,
    /// What the client called itself.
    user_agent: Option<String>,
    /// Whether it is the one of this request.
    current: bool,
}

/// A change of the own password.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"old": "a long passphrase of ada", "new": "another long passphrase"}))]
pub struct PasswordBody {
    /// The current password.
    #[schema(format = Password)]
    pub old: String,
    /// The new one: 12 to 256 characters, and not one of those that are guessed first.
    #[schema(format = Password, min_length = 12, max_length = 256)]
    pub new: String,
}

/// A token to be made.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"name": "nightly export", "role": "reader", "expires_at": "2027-01-31T00:00:00Z"}))]
pub struct TokenBody {
    /// What its owner calls it: 1 to 100 characters, none of them a control character.
    #[schema(min_length = 1, max_length = 100, pattern = "^[^\\u0000-\\u001f\\u007f-\\u009f]+$")]
    pub name: String,
    /// What it may do, never more than its owner. Only managers and admins make tokens for `metrics`, and `employee` needs an account that is linked to one.
    #[schema(value_type = Role)]
    pub role: String,
    /// When it ends (RFC 3339), which is in the future; without, it does not.
    #[schema(format = DateTime)]
    pub expires_at: Option<String>,
}

/// A token for a machine.
#[derive(Serialize, ToSchema)]
pub struct Token {
    /// Its number.
    #[schema(example = 7)]
    id: i64,
    /// What its owner calls it.
    #[schema(example = "nightly export")]
    name: String,
    /// The name of the account that owns it.
    #[schema(example = "ada")]
    owner: String,
    /// The role with which it was made. It permits less if the role of its owner does.
    #[schema(value_type = Role)]
    role: &'static str,
    /// When it was made (RFC 3339).
    #[schema(format = DateTime, example = "2026-01-31T08:30:00.123456Z")]
    created_at: String,
    /// When it ends (RFC 3339); `null` if it does not.
    #[schema(format = DateTime, example = "2027-01-31T00:00:00.000000Z")]
    expires_at: Option<String>,
    /// When it was last used, to the minute (RFC 3339).
    #[schema(format = DateTime, example = "2026-01-31T09:00:00.000000Z")]
    last_used: Option<String>,
}

/// A token that was made.
#[derive(Serialize, ToSchema)]
pub struct IssuedToken<'a> {
    /// The token, for `Authorization: Bearer`. It is shown once.
    #[schema(example = "att_t_...")]
    pub token: &'a str,
    /// The rest.
    #[serde(flatten)]
    pub info: Token,
}

/// The members of an account to be made; `NewAccount` says which of them need each other.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AccountBody {
    /// Its name: 1 to 64 of the letters a to z, digits, and `. _ - @ +`. Capital letters mean the small ones.
    #[schema(min_length = 1, max_length = 64, pattern = "^[A-Za-z0-9][A-Za-z0-9._@+-]*$")]
    pub username: String,
    /// Its password: 12 to 256 characters, and not one of those that are guessed first.
    #[schema(format = Password, min_length = 12, max_length = 256)]
    pub password: String,
    /// Its role.
    #[schema(value_type = AccountRole)]
    pub role: String,
    /// The employee that it is linked to, which the role `employee` needs.
    #[schema(min_length = 1, max_length = 255, pattern = "id")]
    pub employee_id: Option<String>,
}

/// An account to be made: [`AccountBody`], and the rule that the role `employee` needs an employee.
#[derive(Debug)]
pub struct NewAccount;

impl utoipa::PartialSchema for NewAccount {
    fn schema() -> RefOr<Schema> {
        let property = |name: &str, values: ObjectBuilder| ObjectBuilder::new().property(name, values);
        let others = access::Role::OF_ACCOUNTS.into_iter().filter(|role| *role != access::Role::Employee);
        let has_other_role = property("role", words(others));
        let has_employee =
            property("employee_id", ObjectBuilder::new().schema_type(Type::String)).required("employee_id");
        AllOfBuilder::new()
            .item(Ref::from_schema_name("AccountBody"))
            .item(AnyOfBuilder::new().item(has_other_role).item(has_employee))
            .description(Some("An account to be made. The role `employee` needs an employee."))
            .examples([json!({"username": "ada", "password": "a long passphrase of ada", "role": "employee", "employee_id": "1"})])
            .into()
    }
}

impl ToSchema for NewAccount {}

/// What is changed of an account. What is left out stays.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"role": "manager"}))]
pub struct AccountPatch {
    /// The new role; `employee` needs an account that is linked to an employee.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<AccountRole>, nullable = false)]
    pub role: Option<String>,
    /// The employee that it is linked to from now on; `null` for none.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<String>, min_length = 1, max_length = 255, pattern = "id")]
    pub employee_id: Option<Option<String>>,
    /// Whether it can be used. Disabling it ends its sessions and tokens, and enabling it restores none.
    #[serde(default, deserialize_with = "present")]
    #[schema(nullable = false)]
    pub disabled: Option<bool>,
    /// The new password, which ends its sessions: 12 to 256 characters, and not one of those that are guessed first.
    #[serde(default, deserialize_with = "present")]
    #[schema(format = Password, min_length = 12, max_length = 256, nullable = false)]
    pub password: Option<String>,
}

/// An account.
#[derive(Serialize, ToSchema)]
pub struct Account {
    /// Its name.
    #[schema(example = "ada")]
    username: String,
    /// Its role.
    #[schema(value_type = AccountRole)]
    role: &'static str,
    /// The employee that it is linked to.
    #[schema(example = "1")]
    employee_id: Option<String>,
    /// Whether it cannot be used.
    disabled: bool,
    /// When it was made (RFC 3339).
    #[schema(format = DateTime, example = "2026-01-31T08:30:00.123456Z")]
    created_at: String,
    /// When its last login was (RFC 3339).
    #[schema(format = DateTime, example = "2026-01-31T08:30:00.123456Z")]
    last_login: Option<String>,
}

/// An entry of the audit.
#[derive(Serialize, ToSchema)]
pub struct AuditEntry {
    /// Its number; a later entry has a larger one.
    #[schema(example = 42)]
    id: i64,
    /// When it was written (RFC 3339).
    #[schema(format = DateTime, example = "2026-01-31T08:30:00.123456Z")]
    at: String,
    /// What happened, like `login`, `login_failed` or `account_created`.
    #[schema(example = "login_failed")]
    action: String,
    /// The number of the account that did it; `null` for a command on the machine, or if it is not known.
    by_id: Option<i64>,
    /// The name that this account has now; `null` if it was removed.
    by: Option<String>,
    /// The number of the account that it happened to.
    account_id: Option<i64>,
    /// The name that this account has now; `null` if it was removed.
    account: Option<String>,
    /// The address of the client.
    #[schema(example = "192.0.2.7")]
    address: Option<String>,
    /// Further details.
    #[schema(value_type = Object)]
    details: serde_json::Value,
}

/// The words of the domain's roles, which know nothing of OpenAPI.
#[derive(Debug)]
pub struct Role;

impl utoipa::PartialSchema for Role {
    fn schema() -> RefOr<Schema> {
        let description = "What an account or a token may do; each role of people may do what the one before it may.";
        words(access::Role::ALL).description(Some(description)).into()
    }
}

impl ToSchema for Role {}

/// The words of the roles that an account can have.
#[derive(Debug)]
pub struct AccountRole;

impl utoipa::PartialSchema for AccountRole {
    fn schema() -> RefOr<Schema> {
        let description = "What an account may do; each role may do what the one before it may.";
        words(access::Role::OF_ACCOUNTS).description(Some(description)).into()
    }
}

impl ToSchema for AccountRole {}

fn words(roles: impl IntoIterator<Item = access::Role>) -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::String).enum_values(Some(roles.into_iter().map(access::Role::as_str)))
}

/// The query of the list of tokens.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "describes the parameters that the handler reads itself")]
pub struct TokensParameters {
    /// `own`, or `all` for those of all accounts, which needs the role `admin`.
    #[param(pattern = "^(own|all)?$", example = "own", nullable = false)]
    scope: Option<String>,
}

/// Where a page of a list of numbered entries begins.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "describes the parameters that `query_parameters.rs` reads")]
pub struct NumberCursor {
    /// The number after which the page begins, from the `Link` header of the previous page.
    #[param(pattern = "^([0-9]{1,18})?$", nullable = false)]
    after: Option<String>,
}

/// Where a page of the list of accounts begins.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "describes the parameters that the handler reads itself")]
pub struct AccountsCursor {
    /// The name after which the page begins, from the `Link` header of the previous page.
    #[param(pattern = "filter", nullable = false)]
    after: Option<String>,
}

/// The query of the audit.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "describes the parameters that the handler reads itself")]
pub struct AuditParameters {
    /// Not before this moment (RFC 3339; a `+` is `%2B`).
    #[param(format = DateTime, example = "2026-01-01T00:00:00Z", nullable = false)]
    from: Option<String>,
    /// Before this moment (RFC 3339).
    #[param(format = DateTime, nullable = false)]
    to: Option<String>,
    /// Only by the account of this name.
    #[param(pattern = "filter", nullable = false)]
    by: Option<String>,
    #[param(schema_with = action_or_empty)]
    action: Option<String>,
}

fn action_or_empty() -> ObjectBuilder {
    let actions = access::AuditAction::ALL.map(access::AuditAction::as_str);
    ObjectBuilder::new()
        .schema_type(Type::String)
        .enum_values(Some(actions.into_iter().chain([""])))
        .description(Some("Only of this kind. Empty counts as absent."))
}

fn time(moment: Timestamp) -> String {
    format!("{moment:.6}")
}

/// A member that is present. Only a type that has it accepts `null`, which otherwise would count as absent.
fn present<'de, T: Deserialize<'de>, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}

impl<'a> From<&'a access::Principal> for OwnAccount<'a> {
    fn from(principal: &'a access::Principal) -> Self {
        Self {
            username: &principal.username,
            role: principal.role.as_str(),
            employee_id: principal.employee.as_deref(),
        }
    }
}

impl<'a> StartedSession<'a> {
    /// Describes a login; a browser does not get the session itself.
    pub fn new(login: &'a access::Login, is_browser: bool) -> Self {
        Self {
            token: (!is_browser).then(|| login.token.expose()),
            expires_at: time(login.expires_at),
            account: OwnAccount::from(&*login.principal),
        }
    }
}

impl From<access::SessionInfo> for Session {
    fn from(session: access::SessionInfo) -> Self {
        Self {
            id: session.id,
            created_at: time(session.created_at),
            last_seen: time(session.last_seen),
            expires_at: time(session.expires_at),
            address: session.address,
            user_agent: session.user_agent,
            current: session.is_current,
        }
    }
}

impl From<access::TokenInfo> for Token {
    fn from(token: access::TokenInfo) -> Self {
        Self {
            id: token.id,
            name: token.name,
            owner: token.owner,
            role: token.role.as_str(),
            created_at: time(token.created_at),
            expires_at: token.expires_at.map(time),
            last_used: token.last_used.map(time),
        }
    }
}

impl From<access::AccountInfo> for Account {
    fn from(account: access::AccountInfo) -> Self {
        Self {
            username: account.username,
            role: account.role.as_str(),
            employee_id: account.employee,
            disabled: account.is_disabled,
            created_at: time(account.created_at),
            last_login: account.last_login.map(time),
        }
    }
}

impl From<access::AuditEntry> for AuditEntry {
    fn from(entry: access::AuditEntry) -> Self {
        Self {
            id: entry.id,
            at: time(entry.at),
            action: entry.action,
            by_id: entry.by,
            by: entry.by_name,
            account_id: entry.account,
            account: entry.account_name,
            address: entry.address,
            // The database has an object, so this cannot fail.
            details: serde_json::from_str(&entry.details).unwrap_or_default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_of_an_account_can_only_take_its_employee_away() {
        let read = |text: &str| serde_json::from_str::<AccountPatch>(text).map(|patch| patch.employee_id);
        assert_eq!(read("{}").unwrap(), None);
        assert_eq!(read(r#"{"employee_id":null}"#).unwrap(), Some(None));
        assert_eq!(
            read(r#"{"employee_id":"7","role":"reader","disabled":false}"#).unwrap(),
            Some(Some("7".to_owned()))
        );
        for text in [r#"{"role":null}"#, r#"{"disabled":null}"#, r#"{"password":null}"#] {
            assert!(read(text).unwrap_err().to_string().contains("null"), "{text}");
        }
    }
}
