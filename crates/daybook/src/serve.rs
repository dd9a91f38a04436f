//! `daybook serve`: the engine in one process or in several, by roles.

use std::{collections::BTreeSet, net::SocketAddr, process::ExitCode, sync::Arc, time::Duration};

use anyhow::Context;
use axum::{
    Json, Router,
    http::{StatusCode, Uri},
    routing::get,
};
use clap::ValueEnum;
use daybook_bus::{Bus, BusSettings, Clock};
use daybook_command_api::http::CommandApi;
use daybook_domain::Storefront;
use daybook_edge::{
    problem::Problem,
    rates::RateLimits,
    server::{self, ConnectionLimits},
    tokens::Keys,
};
use daybook_event_store::{Daybook, StoreSettings};
use daybook_event_stream::{KafkaSettings, Relay, RelaySettings};
use daybook_operations::{Topics, migrate};
use daybook_reactors::{ReactorSettings, Reactors};
use tokio::{net::TcpListener, task::JoinSet};
use tokio_util::sync::CancellationToken;

use crate::{
    asyncapi,
    config::{self, limits::Flags},
    health::Health,
    role::Role,
    telemetry,
};

/// The detail of an answer to a method that a path does not support.
const ALLOWED: &str = "the header Allow lists the methods of this path";

/// The flags of `daybook serve`.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// The parts to run.
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = Role::value_variants().to_vec())]
    roles: Vec<Role>,
    /// The address of the HTTP server.
    #[arg(long, env = "DAYBOOK_LISTEN", default_value = "127.0.0.1:8080")]
    listen: SocketAddr,
    /// The PostgreSQL that holds the book.
    #[arg(long, env = "DATABASE_URL")]
    database_url: String,
    /// The Kafka brokers.
    #[arg(long, env = "KAFKA_BROKERS")]
    kafka_brokers: String,
    /// The secret that signs tokens, at least 32 bytes.
    #[arg(long, env = "DAYBOOK_SECRET", hide_env_values = true)]
    secret: String,
    /// The URL of the command-api for mutations, if it runs in another process.
    #[arg(long, env = "DAYBOOK_COMMAND_URL")]
    command_url: Option<String>,
    /// Refuse introspection of the GraphQL schemas.
    #[arg(long, env = "DAYBOOK_NO_INTROSPECTION")]
    no_introspection: bool,
    #[command(flatten)]
    storefront: config::Storefront,
    #[command(flatten)]
    topics: Topics,
    #[command(flatten)]
    limits: Flags,
}

/// The settings of a process of the engine.
pub struct Settings {
    /// The parts to run.
    pub roles: BTreeSet<Role>,
    /// The address of the HTTP server.
    pub listen: SocketAddr,
    /// The PostgreSQL that holds the book.
    pub database_url: String,
    /// The broker and its topics.
    pub kafka: KafkaSettings,
    /// The keys that check tokens.
    pub keys: Keys,
    /// The URL of the command-api for mutations. It is this process when absent.
    pub command_url: Option<String>,
    /// Whether introspection of the GraphQL schemas is allowed.
    pub introspection: bool,
    /// What guests and customers may buy.
    pub storefront: Storefront,
    /// The limits of clients.
    pub limits: Limits,
    /// The bytes of the book that lost topics are refilled with. All of it when absent.
    pub refill_bytes: Option<i64>,
}

/// The limits of clients.
#[derive(Debug, Clone)]
pub struct Limits {
    /// The limits of connections.
    pub connections: ConnectionLimits,
    /// The rate limits.
    pub rates: RateLimits,
    /// The limits of subscriptions.
    pub streams: daybook_query_api::StreamLimits,
    /// How long a query waits for its minimum position.
    pub patience: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: ConnectionLimits::default(),
            rates: RateLimits::default(),
            streams: daybook_query_api::StreamLimits::default(),
            patience: daybook_query_api::PATIENCE,
        }
    }
}

impl From<&Flags> for Limits {
    fn from(flags: &Flags) -> Self {
        Self {
            connections: flags.connections(),
            rates: flags.rates(),
            streams: flags.streams(),
            patience: flags.patience(),
        }
    }
}

/// A running process of the engine.
pub struct Running {
    /// The address of its HTTP server.
    pub address: SocketAddr,
    /// The book.
    pub book: Daybook,
    stop: CancellationToken,
    tasks: JoinSet<anyhow::Result<()>>,
}

/// Runs until the process is asked to stop.
///
/// # Errors
/// When a part cannot start, or fails for good.
pub async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let settings = Settings {
        roles: args.roles.into_iter().collect(),
        listen: args.listen,
        database_url: args.database_url,
        kafka: args.topics.at(&args.kafka_brokers),
        keys: Keys::new(args.secret.as_bytes())?,
        command_url: args.command_url,
        introspection: !args.no_introspection,
        storefront: args.storefront.into(),
        limits: (&args.limits).into(),
        refill_bytes: None,
    };
    let mut running = start(settings).await?;
    println!("daybook is ready on http://{}", running.address);
    tokio::select! {
        () = asked_to_stop() => {}
        failed = running.failed() => return Err(failed),
    }
    running.stop().await?;
    Ok(ExitCode::SUCCESS)
}

/// Resolves when the process is asked to stop, by Ctrl-C or SIGTERM.
pub async fn asked_to_stop() {
    let mut terminate = match tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()) {
        Ok(signal) => signal,
        Err(error) => {
            tracing::error!(%error, "SIGTERM cannot be handled");
            return std::future::pending().await;
        }
    };
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        _ = terminate.recv() => {}
    }
}

/// Starts the parts.
///
/// # Errors
/// When one cannot start.
pub async fn start(settings: Settings) -> anyhow::Result<Running> {
    let book = Daybook::open(&StoreSettings { database_url: settings.database_url.clone(), max_connections: 48 })?;
    migrate(&book).await?;
    let metrics = Arc::new(telemetry::measure()?);
    let health = Health::begin(settings.roles.clone(), book.clone(), settings.kafka.clone()).await?;
    let listener = TcpListener::bind(settings.listen)
        .await
        .with_context(|| format!("{} cannot be listened on", settings.listen))?;
    let address = listener.local_addr()?;
    let asyncapi = Arc::new(asyncapi::document(&settings.kafka.topology, asyncapi::Schemas::Inlined));
    let asyncapi = get(move || std::future::ready(Json((*asyncapi).clone())));
    let metrics = get(move || std::future::ready(metrics.render()));
    let router = health.router().route("/metrics", metrics).route("/asyncapi.json", asyncapi);
    let roles = settings.roles.clone();
    let mut parts = Parts { settings, book, router, stop: CancellationToken::new(), tasks: JoinSet::new() };
    if roles.contains(&Role::Projectors) {
        parts.projectors().await?;
    }
    if roles.contains(&Role::Relay) {
        parts.relay();
    }
    if roles.contains(&Role::CommandApi) || roles.contains(&Role::Reactors) {
        let bus = parts.bus();
        if roles.contains(&Role::Reactors) {
            // The reactors begin before commands are accepted, so that every cart gets a timer.
            parts.reactors(&bus).await?;
        }
        if roles.contains(&Role::CommandApi) {
            parts.command_api(bus);
        }
    }
    if roles.contains(&Role::QueryApi) {
        parts.query_api(address);
    }
    Ok(parts.served(listener, address))
}

/// The parts that have been started.
struct Parts {
    settings: Settings,
    book: Daybook,
    /// The routes of the parts.
    router: Router,
    stop: CancellationToken,
    tasks: JoinSet<anyhow::Result<()>>,
}

impl Parts {
    /// Builds the views that are missing, and starts the projectors. Nothing is served before, so every query finds its view.
    async fn projectors(&mut self) -> anyhow::Result<()> {
        let (book, kafka, stop) = (self.book.clone(), self.settings.kafka.clone(), self.stop.clone());
        for view in daybook_projectors::views::ALL {
            daybook_projectors::rebuild::build_if_missing(&book, &kafka.topology, view).await?;
        }
        self.tasks.spawn(async move {
            Ok(daybook_projectors::runner::run(&book, &kafka, &daybook_projectors::views::ALL, &stop).await?)
        });
        Ok(())
    }

    fn relay(&mut self) {
        let settings = RelaySettings { kafka: self.settings.kafka.clone(), refill_bytes: self.settings.refill_bytes };
        let (relay, stop) = (Relay::new(self.book.clone(), settings), self.stop.clone());
        self.tasks.spawn(async move {
            relay.run(stop).await;
            Ok(())
        });
    }

    /// Starts the bus, which the command-api and the reactors of a process share.
    fn bus(&mut self) -> Bus {
        let settings = BusSettings { storefront: self.settings.storefront.clone(), ..BusSettings::default() };
        let (bus, stopped) = Bus::start(self.book.clone(), Clock::system(), &settings);
        self.tasks.spawn(async move { Ok(stopped.await?) });
        bus
    }

    /// Writes the first checkpoints of the reactors, and starts them.
    async fn reactors(&mut self, bus: &Bus) -> anyhow::Result<()> {
        let (kafka, stop) = (self.settings.kafka.clone(), self.stop.clone());
        let (clock, settings) = (Clock::system(), ReactorSettings::default());
        let reactors = Reactors { book: self.book.clone(), bus: bus.clone(), clock, settings };
        reactors.begin(&kafka.topology, &daybook_reactors::ALL).await?;
        self.tasks.spawn(async move { Ok(reactors.run(&kafka, &daybook_reactors::ALL, &stop).await?) });
        Ok(())
    }

    fn command_api(&mut self, bus: Bus) {
        let api = CommandApi::new(bus, self.settings.keys.clone());
        self.merge(api.limited(&self.settings.limits.rates).router());
    }

    /// The query-api forwards mutations to this process, unless the settings name another.
    fn query_api(&mut self, address: SocketAddr) {
        let (settings, clock) = (&self.settings, Clock::system());
        let command_url = settings.command_url.clone();
        let router = daybook_query_api::router(&daybook_query_api::QuerySettings {
            book: self.book.clone(),
            keys: settings.keys.clone(),
            command_url: command_url.unwrap_or_else(|| format!("http://{address}")),
            introspection: settings.introspection,
            patience: settings.limits.patience,
            streams: settings.limits.streams,
            rates: settings.limits.rates.clone(),
            sockets: daybook_query_api::SocketLimits::default(),
            storefront: settings.storefront.clone(),
            now: Arc::new(move || clock.now()),
        });
        self.merge(router);
    }

    fn merge(&mut self, router: Router) {
        self.router = std::mem::take(&mut self.router).merge(router);
    }

    /// Serves the routes of the parts.
    fn served(mut self, listener: TcpListener, address: SocketAddr) -> Running {
        let not_allowed = async || Problem::method_not_allowed(ALLOWED);
        let router = self.router.fallback(not_found).method_not_allowed_fallback(not_allowed);
        let mut limits = self.settings.limits.connections;
        limits.connections = server::raise_file_limit(limits.connections);
        let shutdown = self.stop.clone();
        self.tasks.spawn(async move {
            server::serve(listener, router, limits, shutdown).await;
            Ok(())
        });
        Running { address, book: self.book, stop: self.stop, tasks: self.tasks }
    }
}

/// The answer for a path without a route.
async fn not_found(uri: Uri) -> Problem {
    let detail = format!("this server has no route for {}", uri.path());
    Problem::new(StatusCode::NOT_FOUND, "Not found", "not_found", &detail)
}

impl Running {
    /// Resolves when a part has failed for good.
    pub async fn failed(&mut self) -> anyhow::Error {
        loop {
            match self.tasks.join_next().await {
                Some(Ok(Ok(()))) => {}
                Some(Ok(Err(error))) => return error,
                Some(Err(error)) => return error.into(),
                None => return anyhow::anyhow!("every part has ended"),
            }
        }
    }

    /// Stops. Open requests are answered first.
    ///
    /// # Errors
    /// When a part failed on the way out.
    pub async fn stop(mut self) -> anyhow::Result<()> {
        self.stop.cancel();
        while let Some(ended) = self.tasks.join_next().await {
            ended??;
        }
        Ok(())
    }
}
