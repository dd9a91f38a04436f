//! `daybook bench`: the measurements are operations; what they measure is wired as `daybook serve` wires it.

use std::process::ExitCode;

use daybook_domain::Storefront;
use daybook_edge::rates::RateLimits;
use daybook_operations::bench::{self, Args, Parts, Running, Wanted};

use crate::serve::{self, Limits, Role, Settings};

/// Measures.
///
/// # Errors
/// When the stage cannot be set or a server fails.
pub(crate) async fn run(args: Args) -> anyhow::Result<ExitCode> {
    bench::run(args, &|wanted| Box::pin(start(wanted))).await
}

async fn start(wanted: Wanted) -> anyhow::Result<Running> {
    let roles = match wanted.parts {
        Parts::Queries => vec![Role::QueryApi],
        Parts::CommandsToViews => vec![Role::CommandApi, Role::Relay, Role::Projectors],
    };
    let running = serve::start(Settings {
        roles: roles.into_iter().collect(),
        listen: ([127, 0, 0, 1], 0).into(),
        database_url: wanted.database_url,
        kafka: wanted.kafka,
        keys: wanted.keys,
        command_url: None,
        introspection: false,
        storefront: Storefront::default(),
        // They would be measured instead.
        limits: Limits { rates: RateLimits::OFF, ..Limits::default() },
        refill_bytes: None,
    })
    .await?;
    Ok(Running { address: running.address, stop: Box::pin(running.stop()) })
}
