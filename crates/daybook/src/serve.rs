//! `daybook serve`: the engine in one process or in several, by roles.

use std::{
    collections::BTreeSet,
    net::SocketAddr,
    path::PathBuf,
    process::ExitCode,
    sync::{Arc, OnceLock},
    time::Duration,
};

use anyhow::Context;
use axum::Router;
use clap::ValueEnum;
use daybook_bus::Clock;
use daybook_edge::{
    drain::Drain,
    rates::Rates,
    server::{self, ConnectionLimits, Ending, Routes},
    tokens::Keys,
};
use daybook_event_store::{Daybook, Secret};
use daybook_event_stream::KafkaSettings;
use daybook_operations::{DatabaseUrl, KafkaFlags, Topics, Usage, output, print_line, secret};
use daybook_projectors::{registry, views};
use tokio::{net::TcpListener, sync::mpsc};
use tokio_util::sync::CancellationToken;

use crate::{
    config::{self, DRAIN_DELAY, limits::Flags},
    connections::{Books, Database},
    drain::{Parts, Signals, Stage},
    health::{Health, http},
    reload::Secrets,
    role::Role,
    seat::Seat,
    settings::Settings,
    start::{self, Beginning},
    telemetry,
};

/// The most connections to the port of operators.
const OPERATORS: usize = 100;
/// The pause between two looks whether the process is ready.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// The flags of `daybook serve`.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// The parts to run.
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = Role::value_variants().to_vec())]
    roles: Vec<Role>,
    /// The address of the HTTP server.
    #[arg(long, env = "DAYBOOK_LISTEN", default_value = "127.0.0.1:8080")]
    listen: SocketAddr,
    /// The address at which other processes find this one, as host:port. By default the address that it listens on, or the one that the
    /// database sees it at.
    #[arg(long, env = "DAYBOOK_ADVERTISE", value_parser = config::host_and_port)]
    advertise: Option<String>,
    #[command(flatten)]
    operations: config::Operations,
    /// How many seconds the process serves on when it is asked to stop, while it is not ready any more. A balancer notices meanwhile.
    #[arg(long, env = "DAYBOOK_DRAIN_DELAY", default_value_t = DRAIN_DELAY.as_secs(), value_parser = clap::value_parser!(u64).range(0..=600))]
    drain_delay: u64,
    #[command(flatten)]
    database: DatabaseFlags,
    /// The Kafka brokers.
    #[arg(long, env = "KAFKA_BROKERS")]
    kafka_brokers: String,
    #[command(flatten)]
    secret: config::TokenSecret,
    /// The URL of the command-api for mutations, if it runs in another process.
    #[arg(long, env = "DAYBOOK_COMMAND_URL")]
    command_url: Option<String>,
    /// Show the GraphQL schemas to guests and customers, by introspection. Staff always sees them.
    #[arg(long, env = "DAYBOOK_INTROSPECTION")]
    introspection: bool,
    #[command(flatten)]
    storefront: config::Storefront,
    #[command(flatten)]
    shop: config::Shop,
    #[command(flatten)]
    topics: Topics,
    #[command(flatten)]
    kafka: KafkaFlags,
    #[command(flatten)]
    limits: Flags,
}

/// The database of a process, as flags.
#[derive(Debug, Clone, clap::Args)]
struct DatabaseFlags {
    #[command(flatten)]
    url: DatabaseUrl,
    /// A hot standby that query-api reads instead.
    #[arg(long, env = "DAYBOOK_READ_URL", hide_env_values = true)]
    read_url: Option<Secret>,
    /// A file that holds the URL of this standby.
    #[arg(long, env = "DAYBOOK_READ_URL_FILE", value_name = "FILE")]
    read_url_file: Option<PathBuf>,
    #[command(flatten)]
    budgets: config::ConnectionFlags,
}

impl DatabaseFlags {
    fn database(&self) -> anyhow::Result<Database> {
        let read_url = secret("read-url", self.read_url.as_ref(), self.read_url_file.as_deref())?;
        let missing = || Usage("set --database-url or --database-url-file".to_owned());
        let url = self.url.given()?.or_else(|| read_url.clone()).ok_or_else(missing)?;
        Ok(Database { url, read_url, budgets: self.budgets.budgets()? })
    }
}

/// A running process of the engine.
pub struct Running {
    /// The address of its HTTP server.
    pub address: SocketAddr,
    /// The address of its port for operators.
    pub operations: SocketAddr,
    /// The book.
    pub book: Daybook,
    /// The part in the seat, in a process with a bus that has started.
    seat: Arc<OnceLock<Seat>>,
    roles: BTreeSet<Role>,
    health: Health,
    drain: Drain,
    drain_delay: Duration,
    /// Cancelled when an operator asks for a drain.
    asked: CancellationToken,
    routes: Routes,
    parts: Parts,
    failures: mpsc::UnboundedReceiver<anyhow::Error>,
}

/// Runs until the process is asked to stop.
///
/// # Errors
/// When a port cannot be listened on, or a part fails for good.
pub async fn run(args: Args) -> anyhow::Result<ExitCode> {
    args.limits.check()?;
    let database = args.database.database()?;
    let missing = || Usage("set --secret or --secret-file".to_owned());
    let secret = args.secret.given()?.ok_or_else(missing)?;
    let keys = Keys::new(secret.expose().as_bytes())?;
    let kafka = KafkaSettings { security: args.kafka.security()?, ..args.topics.at(&args.kafka_brokers) };
    let files = [Some(&database.url), database.read_url.as_ref(), kafka.security.password()];
    let read_when_used = files.into_iter().flatten().cloned().collect();
    let settings = Settings {
        roles: args.roles.into_iter().collect(),
        listen: args.listen,
        advertise: args.advertise,
        ops_listen: args.operations.ops_listen,
        drain_delay: Duration::from_secs(args.drain_delay),
        database,
        kafka,
        keys: keys.clone(),
        secrets: Some(Secrets { read_when_used, keys: Some((secret, keys)) }),
        command_url: args.command_url,
        introspection: args.introspection,
        time_zone: args.shop.time_zone,
        storefront: args.storefront.into(),
        limits: (&args.limits).into(),
        refill_bytes: None,
        clock: Clock::system(),
    };
    let mut signals = Signals::handle()?;
    let mut running = start(settings).await?;
    print_line!("operators find the process on http://{}", running.operations);
    if running.until_ready(signals.next()).await? {
        print_line!("daybook is ready on http://{}", running.address);
        log_lost_lines();
        running.until_asked(&mut signals).await?;
    }
    running.stop_unless(&mut signals).await?;
    Ok(ExitCode::SUCCESS)
}

/// Says in the log that the lines of a start were not printed. A process serves all the same.
pub(crate) fn log_lost_lines() {
    if let Err(error) = output::ended() {
        tracing::warn!(error = %error, "the addresses of the process were not printed");
    }
}

/// Starts a process: it listens at once. Its parts start when the database is reached, which may take any time.
///
/// # Errors
/// When a port cannot be listened on, or a setting cannot be read.
pub async fn start(mut settings: Settings) -> anyhow::Result<Running> {
    let books = Books::open(&settings.database, &settings.roles)?;
    let book = books.process.clone();
    let metrics = telemetry::measure()?;
    let (public, operators) = (listen(settings.listen).await?, listen(settings.ops_listen).await?);
    let (address, operations) = (public.local_addr()?, operators.local_addr()?);
    let (drain, asked) = (Drain::over(settings.drain_delay), CancellationToken::new());
    let (parts, failures) = Parts::new();
    follow_secrets(settings.secrets.take(), &parts)?;
    let health = Health::new(settings.roles.clone(), drain.clone());
    let probes = http::public(&health, settings.keys.clone(), Rates::new(&settings.limits.rates));
    let routes = Routes::before_start(probes.clone());
    let mut limits = settings.limits.connections.clone();
    limits.connections = server::raise_file_limit(limits.connections);
    serve(&parts, Stage::Edge, public, routes.clone(), limits, &drain);
    let router = http::operations(&health, metrics.clone(), asked.clone(), operations).fallback(start::not_found);
    let limits = ConnectionLimits { connections: OPERATORS, ..ConnectionLimits::default() };
    serve(&parts, Stage::Operations, operators, router.into(), limits, &Drain::default());

    let (roles, drain_delay, seat) = (settings.roles.clone(), settings.drain_delay, Arc::default());
    let beginning = Beginning {
        settings,
        address,
        seat: Arc::clone(&seat),
        books,
        health: health.clone(),
        drain: drain.clone(),
        probes,
        routes: routes.clone(),
        parts: parts.clone(),
        metrics,
    };
    let stop = parts.stopped(Stage::Start);
    parts.spawn(Stage::Start, async move { stop.run_until_cancelled(beginning.run()).await.unwrap_or(Ok(())) });
    Ok(Running { address, operations, book, seat, roles, health, drain, drain_delay, asked, routes, parts, failures })
}

/// Reads secrets again on SIGHUP, until the process has stopped.
fn follow_secrets(secrets: Option<Secrets>, parts: &Parts) -> anyhow::Result<()> {
    if let Some(secrets) = secrets {
        let followed = secrets.follow(parts.stopped(Stage::Operations)).context("SIGHUP cannot be handled")?;
        parts.spawn(Stage::Operations, async move {
            followed.await;
            Ok(())
        });
    }
    Ok(())
}

async fn listen(address: SocketAddr) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address).await.with_context(|| format!("{address} cannot be listened on"))
}

/// Serves routes as a part of the process.
fn serve(parts: &Parts, stage: Stage, listener: TcpListener, routes: Routes, limits: ConnectionLimits, drain: &Drain) {
    let ending = Ending { drain: drain.clone(), close: parts.stopped(stage) };
    parts.spawn(stage, async move {
        server::serve(listener, routes, limits, ending).await;
        Ok(())
    });
}

impl Running {
    /// Waits until the process is ready, and its projectors have built the views that were missing. Returns false when the process is
    /// asked to stop before that.
    ///
    /// # Errors
    /// When a part fails for good.
    pub async fn until_ready(&mut self, signal: impl Future<Output = ()>) -> anyhow::Result<bool> {
        tokio::select! {
            () = is_ready(&self.health, &self.book, self.roles.contains(&Role::Projectors)) => Ok(true),
            () = signal => Ok(false),
            () = self.asked.cancelled() => Ok(false),
            Some(error) = self.failures.recv() => Err(error),
        }
    }

    /// Waits until the process is asked to stop: by a signal, or by an operator.
    ///
    /// # Errors
    /// When a part fails for good.
    pub async fn until_asked(&mut self, signals: &mut Signals) -> anyhow::Result<()> {
        tokio::select! {
            () = signals.next() => Ok(()),
            () = self.asked.cancelled() => Ok(()),
            Some(error) = self.failures.recv() => Err(error),
        }
    }

    /// Stops, at once when another signal comes.
    ///
    /// # Errors
    /// When a part failed on the way out, or another signal came.
    pub async fn stop_unless(self, signals: &mut Signals) -> anyhow::Result<()> {
        tokio::select! {
            stopped = self.stop() => stopped,
            () = signals.next() => Err(anyhow::anyhow!("a second signal has stopped the process at once")),
        }
    }

    /// Gives the seat up, so that another process decides. Returns when the other one can take it.
    pub async fn give_up_seat(&self) {
        if let Some(seat) = self.seat.get() {
            seat.give_up().await;
        }
    }

    /// Stops in order: see [`drain`](crate::drain). Open requests are answered first.
    ///
    /// # Errors
    /// When a part failed on the way out.
    pub async fn stop(mut self) -> anyhow::Result<()> {
        let serves = self.health.is_started();
        self.drain.begin();
        let delay = if serves { self.drain_delay } else { Duration::ZERO };
        tokio::join!(self.give_up_seat(), tokio::time::sleep(delay));
        for stage in Stage::ORDER {
            self.parts.stop(stage).await;
            if stage == Stage::Edge {
                // The routes hold the bus.
                self.routes.replace(Router::new());
            }
        }
        self.parts.abort();
        self.failures.try_recv().map_or(Ok(()), Err)
    }
}

/// Resolves when a process is ready, and the views of its projectors have been built.
async fn is_ready(health: &Health, book: &Daybook, builds_views: bool) {
    while !(health.is_ready() && (!builds_views || views_are_built(book).await)) {
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// Whether every view has been built. A database that does not answer says nothing, and is asked again.
async fn views_are_built(book: &Daybook) -> bool {
    let built = registry::status(book, &views::ALL).await;
    built.is_ok_and(|built| built.len() == views::ALL.len())
}
