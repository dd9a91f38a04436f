//! `daybook bench`: starting the engine of a measurement with the wiring of `daybook serve`.

use std::{process::ExitCode, time::Duration};

use daybook_bus::Clock;
use daybook_domain::Storefront;
use daybook_edge::rates::RateLimits;
use daybook_event_store::{Connector, Daybook, PoolSettings};
use daybook_operations::bench::{self, Args, Parts, Running, Wanted};

use crate::{
    connections::{Budgets, Database},
    role::Role,
    serve,
    settings::{Limits, Settings},
};

/// Runs a measurement.
///
/// # Errors
/// When the database cannot be made or a server fails.
pub(crate) async fn run(args: Args) -> anyhow::Result<ExitCode> {
    bench::run(args, &|wanted| Box::pin(start(wanted))).await
}

async fn start(wanted: Wanted) -> anyhow::Result<Running> {
    let roles = match wanted.parts {
        Parts::Queries => vec![Role::QueryApi],
        Parts::CommandsToViews => vec![Role::CommandApi, Role::Relay, Role::Projectors],
    };
    let connector = Connector::new(wanted.database_url.as_str(), "daybook/bench")?;
    daybook_operations::migrate(&Daybook::over(connector, &PoolSettings::of(1))?).await?;
    let mut running = serve::start(Settings {
        roles: roles.into_iter().collect(),
        listen: ([127, 0, 0, 1], 0).into(),
        advertise: None,
        ops_listen: ([127, 0, 0, 1], 0).into(),
        drain_delay: Duration::ZERO,
        database: Database { url: wanted.database_url.into(), read_url: None, budgets: Budgets::default() },
        kafka: wanted.kafka,
        keys: wanted.keys,
        secrets: None,
        command_url: None,
        introspection: false,
        time_zone: daybook_query_api::TimeZone::UTC,
        storefront: Storefront::default(),
        // A rate limit would be measured instead of the engine.
        limits: Limits { rates: RateLimits::OFF, ..Limits::default() },
        refill_bytes: None,
        clock: Clock::system(),
    })
    .await?;
    running.until_ready(std::future::pending()).await?;
    Ok(Running { address: running.address, stop: Box::pin(running.stop()) })
}
