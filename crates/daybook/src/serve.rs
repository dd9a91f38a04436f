//! `daybook serve`: the engine, in one process or in several, by roles.

use std::{collections::BTreeSet, net::SocketAddr, process::ExitCode, sync::Arc, time::Duration};

use anyhow::Context;
use axum::{
    Json,
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
    server::{self, EdgeLimits},
    tokens::Keys,
};
use daybook_event_store::{Daybook, StoreSettings};
use daybook_event_stream::{KafkaSettings, Relay, RelaySettings};
use daybook_operations::{Topics, migrate};
use tokio::{net::TcpListener, task::JoinSet};
use tokio_util::sync::CancellationToken;

use crate::{
    asyncapi,
    config::{self, limits::Flags},
    health::Health,
    telemetry,
};

/// What somebody is told who asks a path by a method that it does not know.
const ALLOWED: &str = "the header Allow lists those that it knows";

/// A part of the engine that can run in a process of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub enum Role {
    /// Takes commands.
    CommandApi,
    /// Answers queries.
    QueryApi,
    /// Publishes the book to Kafka; one leads, others stand by.
    Relay,
    /// Fills the read models.
    Projectors,
}

/// The flags of `daybook serve`.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// The parts to run.
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = Role::value_variants().to_vec())]
    roles: Vec<Role>,
    /// Where to serve HTTP.
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
    /// Where mutations are sent, when command-api runs in another process.
    #[arg(long, env = "DAYBOOK_COMMAND_URL")]
    command_url: Option<String>,
    /// Refuse to tell the GraphQL schemas by introspection.
    #[arg(long, env = "DAYBOOK_NO_INTROSPECTION")]
    no_introspection: bool,
    #[command(flatten)]
    storefront: config::Storefront,
    #[command(flatten)]
    topics: Topics,
    #[command(flatten)]
    limits: Flags,
}

/// What a process of the engine is made of.
pub struct Settings {
    /// The parts to run.
    pub roles: BTreeSet<Role>,
    /// Where to serve HTTP.
    pub listen: SocketAddr,
    /// The PostgreSQL that holds the book.
    pub database_url: String,
    /// The broker and its topics.
    pub kafka: KafkaSettings,
    /// The keys that check tokens.
    pub keys: Keys,
    /// Where mutations are sent; this process when absent.
    pub command_url: Option<String>,
    /// Whether GraphQL schemas may be asked for by introspection.
    pub introspection: bool,
    /// What guests and customers may buy.
    pub storefront: Storefront,
    /// What clients may take.
    pub limits: Limits,
    /// How much of the book topics are filled with after they were lost; all of it when absent.
    pub refill_bytes: Option<i64>,
}

/// What clients may take.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Of connections.
    pub edge: EdgeLimits,
    /// How often they may ask.
    pub rates: RateLimits,
    /// How many subscriptions they may have.
    pub streams: daybook_query_api::StreamLimits,
    /// How long a query waits for the position that it asks for.
    pub patience: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            edge: EdgeLimits::default(),
            rates: RateLimits::default(),
            streams: daybook_query_api::StreamLimits::default(),
            patience: daybook_query_api::PATIENCE,
        }
    }
}

impl From<&Flags> for Limits {
    fn from(flags: &Flags) -> Self {
        Self { edge: flags.edge(), rates: flags.rates(), streams: flags.streams(), patience: flags.patience() }
    }
}

/// A running process of the engine.
pub struct Running {
    /// Where it serves HTTP.
    pub address: SocketAddr,
    /// The book.
    pub book: Daybook,
    stop: CancellationToken,
    tasks: JoinSet<anyhow::Result<()>>,
}

/// Runs until told to stop.
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
            tracing::error!(%error, "SIGTERM cannot be heard");
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
    let stop = CancellationToken::new();
    let mut tasks = JoinSet::new();
    let asyncapi = Arc::new(asyncapi::document(&settings.kafka.topology, asyncapi::Schemas::Inlined));
    let asyncapi = get(move || std::future::ready(Json((*asyncapi).clone())));
    let metrics = get(move || std::future::ready(metrics.render()));
    let mut router = health.router().route("/metrics", metrics).route("/asyncapi.json", asyncapi);
    if settings.roles.contains(&Role::Projectors) {
        // Before anything is served, so that whoever asks finds every view.
        for view in daybook_projectors::views::ALL {
            daybook_projectors::rebuild::build_if_missing(&book, &settings.kafka.topology, view).await?;
        }
        let (book, kafka, stop) = (book.clone(), settings.kafka.clone(), stop.clone());
        tasks.spawn(async move { Ok(daybook_projectors::runner::run(&book, &kafka, &stop).await?) });
    }
    if settings.roles.contains(&Role::Relay) {
        let relay_settings = RelaySettings { kafka: settings.kafka.clone(), refill_bytes: settings.refill_bytes };
        let (relay, stop) = (Relay::new(book.clone(), relay_settings), stop.clone());
        tasks.spawn(async move {
            relay.run(stop).await;
            Ok(())
        });
    }
    if settings.roles.contains(&Role::CommandApi) {
        let bus_settings = BusSettings { storefront: settings.storefront, ..BusSettings::default() };
        let (bus, stopped) = Bus::start(book.clone(), Clock::system(), &bus_settings);
        let api = CommandApi::new(bus, settings.keys.clone());
        router = router.merge(api.limited(&settings.limits.rates).router());
        tasks.spawn(async move { Ok(stopped.await?) });
    }
    if settings.roles.contains(&Role::QueryApi) {
        let clock = Clock::system();
        router = router.merge(daybook_query_api::router(&daybook_query_api::QuerySettings {
            book: book.clone(),
            keys: settings.keys.clone(),
            command_url: settings.command_url.unwrap_or_else(|| format!("http://{address}")),
            introspection: settings.introspection,
            patience: settings.limits.patience,
            streams: settings.limits.streams,
            rates: settings.limits.rates.clone(),
            sockets: daybook_query_api::SocketLimits::default(),
            now: Arc::new(move || clock.now()),
        }));
    }
    let router = router.fallback(not_found).method_not_allowed_fallback(async || Problem::method_not_allowed(ALLOWED));
    let mut limits = settings.limits.edge;
    limits.connections = server::make_room(limits.connections);
    let shutdown = stop.clone();
    tasks.spawn(async move {
        server::serve(listener, router, limits, shutdown).await;
        Ok(())
    });
    Ok(Running { address, book, stop, tasks })
}

/// What is not served here.
async fn not_found(uri: Uri) -> Problem {
    let detail = format!("{} is no address of this server", uri.path());
    Problem::new(StatusCode::NOT_FOUND, "There is nothing here", "not_found", &detail)
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

    /// Stops: requests that are under way are answered first.
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
