//! Refreshing what is known of a process: every second what decides, and more rarely what does not.

use std::time::{Duration, Instant};

use daybook_bus::{BusMonitor, Clock};
use daybook_event_store::Holder;
use daybook_event_stream::{Feed, KafkaSettings, Relay};
use metrics_exporter_prometheus::PrometheusHandle;
use tokio::{
    sync::watch::Receiver,
    time::{MissedTickBehavior, interval},
};

use super::{
    Health,
    archive::Archive,
    checks::{self, Check, Lags},
    writes::{Moves, Writes},
};
use crate::{connections::Books, log_limit, role::Role};

/// The time between two refreshes of what decides.
const REFRESH: Duration = Duration::from_secs(1);
/// The time between two refreshes of what does not.
const REFRESH_DETAILS: Duration = Duration::from_secs(5);

/// The parts of a process that are watched.
pub(crate) struct Watched {
    pub(crate) books: Books,
    pub(crate) kafka: KafkaSettings,
    /// What shows the metrics, and has to be tidied up now and then.
    pub(crate) metrics: PrometheusHandle,
    pub(crate) bus: Option<BusMonitor>,
    pub(crate) relay: Option<Relay>,
    /// The feed of the views.
    pub(crate) views: Option<Feed>,
    /// The feed of the reactors.
    pub(crate) reactors: Option<Feed>,
    /// Who holds the seat, in a process with a bus.
    pub(crate) seat: Option<Receiver<Holder>>,
    /// The clock of the process, compared with the database's.
    pub(crate) clock: Clock,
}

/// Refreshes what is known, without an end.
pub(crate) async fn watch(health: Health, watched: Watched) {
    tokio::join!(decide(&health, &watched), describe(&health, &watched));
}

async fn decide(health: &Health, watched: &Watched) {
    let (mut writes, mut moves) = (Writes::default(), Moves::default());
    let mut ticks = every(REFRESH);
    loop {
        ticks.tick().await;
        let (checks, dead) = tokio::join!(check(health, watched, &mut writes), async {
            let vitals = watched.bus.as_ref().and_then(BusMonitor::vitals)?;
            moves.observe(&vitals, Instant::now())
        });
        health.change(|known| (known.checks, known.dead, known.refreshed) = (checks, dead, Some(Instant::now())));
        log_limit::report();
    }
}

/// The checks that decide, for the roles of the process.
async fn check(health: &Health, watched: &Watched, writes: &mut Writes) -> Vec<Check> {
    let roles = &health.0.roles;
    let has = |role| roles.contains(&role);
    let (database, commands) = tokio::join!(
        async {
            if has(Role::QueryApi) { Some(checks::database(watched.books.of(Role::QueryApi)).await) } else { None }
        },
        async { if has(Role::CommandApi) { commands(watched, writes).await } else { None } },
    );
    let clock = has(Role::CommandApi).then(|| checks::clock(&watched.clock));
    let mut all: Vec<Check> = [database, commands, clock].into_iter().flatten().collect();
    if !has(Role::QueryApi) && !has(Role::CommandApi) {
        all.extend(joined(watched));
    }
    all
}

/// Whether commands can be written. None while the bus stops.
async fn commands(watched: &Watched, writes: &mut Writes) -> Option<Check> {
    let vitals = watched.bus.as_ref()?.vitals()?;
    if writes.observe(&vitals, Instant::now()) {
        let probe = checks::probe(watched.books.of(Role::CommandApi)).await;
        writes.note(probe.ok, probe.detail, Instant::now());
    }
    Some(writes.check(&vitals, Instant::now()))
}

/// Whether the parts that receive from the broker, or send to it, have taken their place. A broker that goes away later does not change
/// that.
fn joined(watched: &Watched) -> impl Iterator<Item = Check> + use<> {
    let place = |name, has_joined| {
        let detail = if has_joined { "it has joined, or stands by" } else { "it has not joined yet" };
        Check::new(name, has_joined, detail)
    };
    let relay = watched.relay.as_ref().map(|relay| place("relay", relay.has_joined()));
    let views = watched.views.as_ref().map(|feed| place("projectors", feed.has_joined()));
    let reactors = watched.reactors.as_ref().map(|feed| place("reactors", feed.has_joined()));
    [relay, views, reactors].into_iter().flatten()
}

async fn describe(health: &Health, watched: &Watched) {
    let roles = &health.0.roles;
    let of_broker = [Role::Relay, Role::Projectors, Role::Reactors];
    let needs_broker = of_broker.iter().any(|role| roles.contains(role));
    let (mut lags, mut archive, mut ticks) = (Lags::default(), Archive::default(), every(REFRESH_DETAILS));
    loop {
        ticks.tick().await;
        let Watched { books, kafka, metrics, .. } = watched;
        let book = &books.process;
        let (fits, broker, (views, lag), archive) = tokio::join!(
            checks::schema(book),
            async { if needs_broker { Some(checks::broker(book, kafka).await) } else { None } },
            lags.views(book),
            async { if roles.contains(&Role::Relay) { archive.check(book).await } else { None } },
        );
        let reactors =
            if roles.contains(&Role::Reactors) { Some(lags.reactors(book, &watched.clock).await) } else { None };
        let recorded = checks::recorded(&watched.clock);
        let clock = (!roles.contains(&Role::CommandApi)).then(|| checks::clock(&watched.clock));
        let seat = watched.seat.as_ref().map(|holder| checks::seated(&holder.borrow()));
        let details = [broker, Some(views), reactors, seat, clock, Some(recorded), archive]
            .into_iter()
            .flatten()
            .chain(joined(watched))
            .collect();
        health.change(|known| {
            (known.details, known.views) = (details, lag);
            // A database that does not answer says nothing about its schema.
            known.schema = fits.or(known.schema.take());
        });
        metrics.run_upkeep();
    }
}

fn every(time: Duration) -> tokio::time::Interval {
    let mut ticks = interval(time);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks
}
