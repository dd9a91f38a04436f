//! `daybook token`: a signed token.

use std::{path::PathBuf, process::ExitCode};

use anyhow::Context;
use chrono::TimeDelta;
use daybook_bus::Clock;
use daybook_domain::{Actor, Role, ids::CustomerId, text::Name};
use daybook_edge::tokens::{Keys, MAX_LIFETIME, TokenError};

use crate::config::TokenSecret;
use daybook_operations::print_line;

/// The flags of `daybook token`.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// The role: guest, customer, support or admin.
    #[arg(long)]
    role: Role,
    /// The customer, for the role customer.
    #[arg(long, required_if_eq("role", "customer"))]
    customer: Option<CustomerId>,
    /// The name of the holder, which is recorded with their events.
    #[arg(long, default_value = "cli")]
    name: Name,
    /// The lifetime in hours.
    #[arg(long, default_value_t = 24, value_parser = clap::value_parser!(i64).range(1..=MAX_LIFETIME.num_hours()))]
    hours: i64,
    /// The data directory of the `daybook up` whose secret signs it.
    #[arg(long, default_value = "./.daybook")]
    data: PathBuf,
    #[command(flatten)]
    secret: TokenSecret,
}

/// Prints a token.
///
/// # Errors
/// When the secret is missing, or the role customer has no customer.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let secret = match args.secret.given()? {
        Some(secret) => secret.expose(),
        None => {
            let file = args.data.join("secret");
            std::fs::read_to_string(&file)
                .with_context(|| format!("{} cannot be read; run `daybook up` once, or say --secret", file.display()))?
        }
    };
    let actor = match args.role {
        Role::Guest => Actor::Guest,
        Role::Customer => Actor::Customer(args.customer.ok_or(TokenError::CustomerMissing)?),
        Role::Support => Actor::Support(args.name.to_string()),
        Role::Admin => Actor::Admin(args.name.to_string()),
        Role::System => anyhow::bail!("no token carries the role system"),
    };
    let keys = Keys::new(secret.as_bytes())?;
    print_line!("{}", keys.sign(&actor, Clock::system().now(), TimeDelta::hours(args.hours))?);
    Ok(ExitCode::SUCCESS)
}
