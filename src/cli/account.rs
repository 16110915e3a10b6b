//! `attendance-api account`: make, list, change and remove accounts.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use serde_json::json;

use super::access_work::ListFlags;
use super::error::Error;
use super::flags::ConfigFlags;
use super::{access_work, help, output, secret_input};
use crate::access::{self, Access, AccountChange, AccountInfo, AccountPage, Actor, NewAccount, Role};

/// Accounts that are read at once.
const PAGE: usize = 1000;

/// Make, list, change and remove accounts
///
/// For `auth.mode: required`. The commands need no login: they run on the machine, as the user of the appliance, while it serves or not.
#[derive(Debug, Args)]
#[command(after_long_help = help::ACCOUNT)]
pub struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Add(Add),
    List(List),
    Passwd(Passwd),
    Disable(Named),
    Enable(Enable),
    Remove(Remove),
}

/// Make an account
///
/// The password is asked for, or read from a file.
#[derive(Debug, Args)]
#[command(after_long_help = help::ACCOUNT_ADD)]
struct Add {
    /// The name: letters a to z, digits, and . _ - @ +
    #[arg(value_name = "NAME")]
    name: String,
    /// The role: employee, reader, writer, manager or admin
    #[arg(long, value_name = "ROLE", value_parser = account_role)]
    role: Role,
    /// The id of the employee that the account is linked to; the role `employee` needs one
    #[arg(long, value_name = "ID")]
    employee: Option<String>,
    #[command(flatten)]
    password: PasswordSource,
    #[command(flatten)]
    config: ConfigFlags,
}

/// List the accounts
#[derive(Debug, Args)]
struct List {
    #[command(flatten)]
    flags: ListFlags,
}

/// Set the password of an account, and end its sessions
#[derive(Debug, Args)]
struct Passwd {
    /// The name
    #[arg(value_name = "NAME")]
    name: String,
    #[command(flatten)]
    password: PasswordSource,
    #[command(flatten)]
    config: ConfigFlags,
}

/// Disable an account, and end its sessions and tokens
#[derive(Debug, Args)]
struct Named {
    /// The name
    #[arg(value_name = "NAME")]
    name: String,
    #[command(flatten)]
    config: ConfigFlags,
}

/// Enable an account; its former sessions and tokens stay invalid
#[derive(Debug, Args)]
struct Enable {
    #[command(flatten)]
    named: Named,
}

/// Remove an account with its sessions and tokens
#[derive(Debug, Args)]
struct Remove {
    #[command(flatten)]
    named: Named,
}

/// Where a password comes from.
#[derive(Debug, Args)]
struct PasswordSource {
    /// Read the password from this file; a final newline is ignored
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
}

fn account_role(word: &str) -> Result<Role, String> {
    let role = Role::parse(word).filter(|role| Role::OF_ACCOUNTS.contains(role));
    role.ok_or_else(|| format!("expected one of {}", Role::OF_ACCOUNTS.map(Role::as_str).join(", ")))
}

/// Runs the command.
pub fn run(arguments: &Arguments) -> Result<(), Error> {
    match &arguments.command {
        Command::Add(arguments) => add(arguments),
        Command::List(arguments) => list(arguments),
        Command::Passwd(arguments) => passwd(arguments),
        Command::Disable(named) => set_disabled(named, true),
        Command::Enable(Enable { named }) => set_disabled(named, false),
        Command::Remove(Remove { named }) => remove(named),
    }
}

fn add(arguments: &Add) -> Result<(), Error> {
    let config = arguments.config.load()?.config;
    let password = arguments.password.read()?;
    let account = NewAccount {
        username: arguments.name.clone(),
        password,
        role: arguments.role,
        employee: arguments.employee.clone(),
    };
    let made = access_work::run(&config, async |access| access.create_account(Actor::COMMAND, account).await)?;
    output::print(&format!("The account {} has the role {}.\n", made.username, made.role))
}

fn list(List { flags }: &List) -> Result<(), Error> {
    let accounts = access_work::run(&flags.config.load()?.config, all)?;
    flags.print("accounts", &accounts, to_json, line)
}

async fn all(access: &Access) -> Result<Vec<AccountInfo>, access::Error> {
    let mut accounts: Vec<AccountInfo> = Vec::new();
    loop {
        let after = accounts.last().map(|account| account.username.clone());
        let (page, has_more) = access.accounts(AccountPage { after, limit: PAGE }).await?;
        accounts.extend(page);
        if !has_more {
            return Ok(accounts);
        }
    }
}

fn passwd(arguments: &Passwd) -> Result<(), Error> {
    let config = arguments.config.load()?.config;
    let change = AccountChange { password: Some(arguments.password.read()?), ..AccountChange::default() };
    let name = &arguments.name;
    access_work::run(&config, async |access| access.update_account(Actor::COMMAND, name, change).await)?;
    output::print(&format!("The password of {name} is set, and its sessions have ended.\n"))
}

fn set_disabled(Named { name, config }: &Named, disabled: bool) -> Result<(), Error> {
    let config = config.load()?.config;
    let change = AccountChange { disabled: Some(disabled), ..AccountChange::default() };
    access_work::run(&config, async |access| access.update_account(Actor::COMMAND, name, change).await)?;
    output::print(&match disabled {
        true => format!("The account {name} is disabled, and its sessions and tokens have ended.\n"),
        false => format!("The account {name} is enabled. Its former sessions and tokens stay invalid.\n"),
    })
}

fn remove(Named { name, config }: &Named) -> Result<(), Error> {
    let config = config.load()?.config;
    access_work::run(&config, async |access| access.remove_account(Actor::COMMAND, name).await)?;
    output::print(&format!("The account {name} is removed with its sessions and tokens.\n"))
}

impl PasswordSource {
    fn read(&self) -> Result<String, Error> {
        match &self.password_file {
            Some(path) => secret_input::from_file(path),
            None => secret_input::from_terminal(),
        }
    }
}

fn to_json(account: &AccountInfo) -> serde_json::Value {
    json!({
        "username": account.username,
        "role": account.role.as_str(),
        "employee_id": account.employee,
        "disabled": account.is_disabled,
        "created_at": account.created_at.to_string(),
        "last_login": account.last_login.map(|moment| moment.to_string()),
    })
}

fn line(account: &AccountInfo) -> String {
    let employee = account.employee.as_ref().map(|id| format!(" of employee {id}")).unwrap_or_default();
    let state = if account.is_disabled { ", disabled" } else { "" };
    let login = match account.last_login {
        Some(moment) => format!("last login {}", access_work::shown(moment)),
        None => "no login yet".to_owned(),
    };
    format!("{}  {}{employee}{state}  {login}\n", account.username, account.role)
}
