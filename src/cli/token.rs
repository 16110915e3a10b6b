//! `attendance-api token`: make, list and revoke tokens.

use clap::{Args, Subcommand};
use jiff::tz::TimeZone;
use jiff::{Span, Timestamp};
use serde_json::json;

use super::access_work::ListFlags;
use super::error::Error;
use super::flags::ConfigFlags;
use super::{access_work, help, output};
use crate::access::{NewToken, Role, TokenInfo};

/// Make, list and revoke tokens for machines
///
/// For `auth.mode: required`. The commands need no login: they run on the machine, as the user of the appliance, while it serves or not.
#[derive(Debug, Args)]
#[command(after_long_help = help::TOKEN)]
pub struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Create(Create),
    List(List),
    Revoke(Revoke),
}

/// Make a token
///
/// The token is printed once, and stored nowhere. It ends with the account that owns it, and never permits more than that account.
#[derive(Debug, Args)]
#[command(after_long_help = help::TOKEN_CREATE)]
struct Create {
    /// A name that says what the token is for
    #[arg(value_name = "NAME")]
    name: String,
    /// The account that owns it
    #[arg(long, value_name = "NAME")]
    account: String,
    /// The role: employee, reader, writer, manager, admin or metrics
    #[arg(long, value_name = "ROLE", value_parser = token_role)]
    role: Role,
    /// How long it is valid, such as 90d or 12h [default: until it is revoked]
    #[arg(long, value_name = "TIME", value_parser = end_after)]
    expires: Option<Timestamp>,
    #[command(flatten)]
    config: ConfigFlags,
}

/// List the tokens
#[derive(Debug, Args)]
struct List {
    #[command(flatten)]
    flags: ListFlags,
}

/// Revoke a token, and those that were made with it
#[derive(Debug, Args)]
struct Revoke {
    /// Its number, as `token list` shows it
    #[arg(value_name = "ID")]
    id: i64,
    #[command(flatten)]
    config: ConfigFlags,
}

fn token_role(word: &str) -> Result<Role, String> {
    Role::parse(word).ok_or_else(|| "expected one of employee, reader, writer, manager, admin, metrics".to_owned())
}

/// The moment that is so long from now.
fn end_after(time: &str) -> Result<Timestamp, String> {
    let span: Span = time.parse().map_err(|_| "expected a duration such as 90d or 12h".to_owned())?;
    let end = Timestamp::now().to_zoned(TimeZone::UTC).checked_add(span);
    let end = end.map_err(|_| "the duration is too long".to_owned())?.timestamp();
    if end <= Timestamp::now() { Err("the end must be in the future".to_owned()) } else { Ok(end) }
}

/// Runs the command.
pub fn run(arguments: &Arguments) -> Result<(), Error> {
    match &arguments.command {
        Command::Create(arguments) => create(arguments),
        Command::List(arguments) => list(arguments),
        Command::Revoke(arguments) => revoke(arguments),
    }
}

fn create(arguments: &Create) -> Result<(), Error> {
    let config = arguments.config.load()?.config;
    let token = NewToken { name: arguments.name.clone(), role: arguments.role, expires_at: arguments.expires };
    let owner = &arguments.account;
    let created = access_work::run(&config, async |access| access.create_token_of(owner, token).await)?;
    output::print(&format!("{}\n", created.token.expose()))?;
    output::print_message("The token is not shown again.");
    Ok(())
}

fn list(List { flags }: &List) -> Result<(), Error> {
    let tokens = access_work::run(&flags.config.load()?.config, async |access| access.all_tokens().await)?;
    flags.print("tokens", &tokens, to_json, line)
}

fn revoke(arguments: &Revoke) -> Result<(), Error> {
    let config = arguments.config.load()?.config;
    let id = arguments.id;
    access_work::run(&config, async |access| access.revoke_any_token(id).await)?;
    output::print(&format!("The token {id} is revoked, with those that were made with it.\n"))
}

fn to_json(token: &TokenInfo) -> serde_json::Value {
    json!({
        "id": token.id,
        "name": token.name,
        "account": token.owner,
        "role": token.role.as_str(),
        "created_at": token.created_at.to_string(),
        "expires_at": token.expires_at.map(|moment| moment.to_string()),
        "last_used": token.last_used.map(|moment| moment.to_string()),
    })
}

fn line(token: &TokenInfo) -> String {
    let end = match token.expires_at {
        Some(moment) => format!("until {}", access_work::shown(moment)),
        None => "until revoked".to_owned(),
    };
    let used = match token.last_used {
        Some(moment) => format!("last used {}", access_work::shown(moment)),
        None => "never used".to_owned(),
    };
    format!("{:>6}  {}  {} of {}, {end}, {used}\n", token.id, token.name, token.role, token.owner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_days_hours_or_minutes_from_now() {
        let now = Timestamp::now();
        let days = end_after("90d").unwrap().duration_since(now).as_secs();
        assert!((90 * 86_400..90 * 86_400 + 60).contains(&days), "{days}");
        assert!(end_after("12h").is_ok() && end_after("30min").is_ok());
        for wrong in ["", "soon", "90", "-1d", "0d", "99999999999d"] {
            assert!(end_after(wrong).is_err(), "{wrong}");
        }
    }
}
