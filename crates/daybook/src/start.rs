//! How a process starts: it listens already. Now it reaches the database, starts the parts of its roles, and serves their routes.

use std::{
    net::SocketAddr,
    sync::{Arc, OnceLock},
    time::Duration,
};

use axum::{Router, http::Uri};
use daybook_bus::{Bus, BusMonitor, BusSettings, Clock};
use daybook_command_api::http::CommandApi;
use daybook_edge::{document, drain::Drain, problem::Problem, rates::Rates, server::Routes};
use daybook_event_store::{Daybook, SchemaError, StoreError, error_chain};
use daybook_event_stream::{Backoff, Feed, Relay, RelaySettings};
use daybook_operations::schema;
use daybook_projectors::{runner, views};
use daybook_query_api::{CommandTarget, QueryLimits};
use daybook_reactors::{ReactorSettings, Reactors};
use metrics_exporter_prometheus::PrometheusHandle;

use crate::{
    asyncapi,
    connections::Books,
    drain::{Parts, Stage},
    health::{
        Health,
        watch::{Watched, watch},
    },
    role::Role,
    seat::{self, Seat},
    settings::Settings,
};

/// The longest pause between two attempts to reach the database.
const LONGEST_PAUSE: Duration = Duration::from_secs(2);
/// The detail of an answer to a method that a path does not support.
const ALLOWED: &str = "the header Allow lists the methods of this path";

/// A process that listens, and whose parts have not started yet.
pub(crate) struct Beginning {
    pub(crate) settings: Settings,
    /// The address of the HTTP server.
    pub(crate) address: SocketAddr,
    /// Is filled with the part in the seat, if the process has a bus.
    pub(crate) seat: Arc<OnceLock<Seat>>,
    pub(crate) books: Books,
    pub(crate) health: Health,
    pub(crate) drain: Drain,
    /// The routes of the probes, which the parts' routes are added to.
    pub(crate) probes: Router,
    /// The routes that are served.
    pub(crate) routes: Routes,
    pub(crate) parts: Parts,
    pub(crate) metrics: PrometheusHandle,
}

impl Beginning {
    /// Starts the parts. A database that is away is waited for.
    ///
    /// # Errors
    /// When the schema does not fit this program, or the database has no room for its connections.
    pub(crate) async fn run(self) -> anyhow::Result<()> {
        self.reach().await?;
        let clock = self.compare_clocks().await;
        let asyncapi = asyncapi::document(&self.settings.kafka.topology, asyncapi::Schemas::Inlined);
        let rates = Rates::new(&self.settings.limits.rates);
        let mut router = self.probes.clone().merge(document::route("/asyncapi.json", &asyncapi, rates));
        let mut watched = Watched {
            books: self.books.clone(),
            kafka: self.settings.kafka.clone(),
            metrics: self.metrics.clone(),
            bus: None,
            relay: None,
            views: None,
            reactors: None,
            seat: None,
            clock: clock.clone(),
        };
        if self.has(Role::Projectors) {
            watched.views = Some(self.projectors());
        }
        if self.has(Role::Relay) {
            watched.relay = Some(self.relay());
        }
        let mut commands = None;
        if self.decides() {
            let seat = self.take_part(&clock).await;
            let (bus, monitor) = self.bus(&clock);
            let bus = bus.with_elsewhere(seat.forwarder());
            (watched.bus, watched.seat) = (Some(monitor), Some(seat.holder()));
            if self.has(Role::Reactors) {
                // The reactors begin before commands are accepted, so that every cart gets a timer.
                watched.reactors = Some(self.reactors(&bus, &clock).await);
            }
            if self.has(Role::CommandApi) {
                // The commands of other processes end with the public port.
                let receiver = seat.receiver(self.parts.stopped(Stage::Edge));
                let api = CommandApi::new(bus, self.settings.keys.clone()).receiving(receiver);
                let api = api.limited(&self.settings.limits.rates).router();
                router = router.merge(api.clone());
                commands = Some(api);
            }
            self.seat.set(seat).ok();
        }
        if self.has(Role::QueryApi) {
            router = router.merge(self.query_api(commands, clock));
        }
        let not_allowed = async || Problem::method_not_allowed(ALLOWED);
        self.routes.replace(router.fallback(not_found).method_not_allowed_fallback(not_allowed));
        self.health.has_started();
        let (health, stop) = (self.health.clone(), self.parts.stopped(Stage::Operations));
        self.parts.spawn(Stage::Operations, async move {
            stop.run_until_cancelled(watch(health, watched)).await;
            Ok(())
        });
        Ok(())
    }

    fn has(&self, role: Role) -> bool {
        self.settings.roles.contains(&role)
    }

    /// Waits before the next attempt: longer and longer, and never in step with other processes.
    async fn pause_after(&self, error: &anyhow::Error, backoff: &mut Backoff) {
        let reason = error_chain(error.as_ref());
        tracing::warn!(reason, "the start waits for the database");
        self.health.waits_for(format!("the database: {reason}"));
        backoff.wait().await;
    }

    /// Reaches the database, and checks that its schema fits and that it has room for the connections of this process.
    async fn reach(&self) -> anyhow::Result<()> {
        let mut backoff = Backoff::up_to(LONGEST_PAUSE);
        loop {
            let Err(error) = self.fits().await else { return Ok(()) };
            if !is_away(&error) {
                self.health.waits_for(error_chain(error.as_ref()));
                return Err(error);
            }
            self.pause_after(&error, &mut backoff).await;
        }
    }

    async fn fits(&self) -> anyhow::Result<()> {
        let version = schema().check(&self.books.process).await?;
        tracing::info!(schema = version, program = schema().program(), "the schema fits");
        self.books.fit(&self.settings.database.budgets, &self.settings.roles).await
    }

    /// Compares the clock of this process with the database's, now and from now on.
    async fn compare_clocks(&self) -> Clock {
        let clock = self.settings.clock.clone().within(self.settings.limits.clock);
        let book = if self.decides() { self.of_bus() } else { &self.books.process }.clone();
        let mut backoff = Backoff::up_to(LONGEST_PAUSE);
        while let Err(error) = clock.compare(&book).await {
            self.pause_after(&error.into(), &mut backoff).await;
        }
        let (compared, stop) = (clock.clone(), self.parts.stopped(Stage::Operations));
        self.parts.spawn(Stage::Operations, async move {
            stop.run_until_cancelled(compared.keep_compared(&book)).await;
            Ok(())
        });
        clock
    }

    /// Whether the process has a bus.
    fn decides(&self) -> bool {
        self.has(Role::CommandApi) || self.has(Role::Reactors)
    }

    /// Starts the projectors. They build missing views beside traffic.
    fn projectors(&self) -> Feed {
        let (book, kafka, stop) = (
            self.books.of(Role::Projectors).clone(),
            self.settings.kafka.clone(),
            self.parts.stopped(Stage::Projectors),
        );
        let feed = Feed::default();
        let receiving = feed.clone();
        self.parts.spawn(Stage::Projectors, async move {
            Ok(runner::run_on(receiving, &book, &kafka, &views::ALL, &stop).await?)
        });
        feed
    }

    /// The book with the connections of the bus.
    fn of_bus(&self) -> &Daybook {
        self.books.of(if self.has(Role::CommandApi) { Role::CommandApi } else { Role::Reactors })
    }

    /// Takes part in the seat. A process without the command-api only forwards its own commands.
    async fn take_part(&self, clock: &Clock) -> Seat {
        let advertised = self.settings.advertise.clone();
        let address = self.has(Role::CommandApi).then_some(seat::Address { listens: self.address, advertised });
        Seat::take_part(self.of_bus().clone(), address, clock).await
    }

    fn relay(&self) -> Relay {
        let settings = RelaySettings { kafka: self.settings.kafka.clone(), refill_bytes: self.settings.refill_bytes };
        let (relay, stop) =
            (Relay::new(self.books.of(Role::Relay).clone(), settings), self.parts.stopped(Stage::Relay));
        let running = relay.clone();
        self.parts.spawn(Stage::Relay, async move {
            running.run(stop).await;
            Ok(())
        });
        relay
    }

    /// Starts the bus, which the command-api and the reactors of a process share. It stops when both have dropped it.
    fn bus(&self, clock: &Clock) -> (Bus, BusMonitor) {
        let Settings { storefront, limits, .. } = &self.settings;
        let settings =
            BusSettings { storefront: storefront.clone(), cache_bytes: limits.cache_bytes, ..BusSettings::default() };
        let (bus, stopped) = Bus::start(self.of_bus().clone(), clock.clone(), &settings);
        self.parts.spawn(Stage::Bus, async move { Ok(stopped.await?) });
        let monitor = bus.monitor();
        (bus, monitor)
    }

    /// Writes the first checkpoints of the reactors, and starts them.
    async fn reactors(&self, bus: &Bus, clock: &Clock) -> Feed {
        let (kafka, stop) = (self.settings.kafka.clone(), self.parts.stopped(Stage::Reactors));
        let (clock, settings) = (clock.clone(), ReactorSettings::default());
        let reactors = Reactors { book: self.books.of(Role::Reactors).clone(), bus: bus.clone(), clock, settings };
        let mut backoff = Backoff::up_to(LONGEST_PAUSE);
        while let Err(error) = reactors.begin(&kafka.topology, &daybook_reactors::ALL).await {
            self.pause_after(&error.into(), &mut backoff).await;
        }
        let feed = Feed::default();
        let receiving = feed.clone();
        self.parts.spawn(Stage::Reactors, async move {
            Ok(reactors.run_on(receiving, &kafka, &daybook_reactors::ALL, &stop).await?)
        });
        feed
    }

    /// The query-api sends mutations to the command-api of this process, unless the settings name another.
    fn query_api(&self, commands: Option<Router>, clock: Clock) -> Router {
        let (settings, own) = (&self.settings, clock.clone());
        let commands = match (&settings.command_url, commands) {
            (None, Some(commands)) => CommandTarget::InProcess(commands),
            (url, _) => CommandTarget::At(url.clone().unwrap_or_default()),
        };
        let (book, limits) = (self.books.of(Role::QueryApi).clone(), QueryLimits::default());
        // One connection stays free for what reads the book itself.
        let statements = limits.statements.min(book.pool().status().max_size.saturating_sub(1)).max(1);
        daybook_query_api::router(&daybook_query_api::QuerySettings {
            book,
            keys: settings.keys.clone(),
            commands,
            introspection: settings.introspection,
            time_zone: settings.time_zone,
            limits: QueryLimits { statements, ..limits },
            patience: settings.limits.patience,
            streams: settings.limits.streams,
            rates: settings.limits.rates.clone(),
            sockets: daybook_query_api::SocketLimits::default(),
            drain: self.drain.clone(),
            storefront: settings.storefront.clone(),
            now: Arc::new(move || own.now()),
            database_now: Arc::new(move || clock.database_now()),
        })
    }
}

/// Whether an error says that the database is away. Another one is final.
fn is_away(error: &anyhow::Error) -> bool {
    error.is::<StoreError>() || matches!(error.downcast_ref(), Some(SchemaError::Store(_)))
}

/// The answer for a path without a route.
pub(crate) async fn not_found(uri: Uri) -> Problem {
    Problem::not_found(uri.path())
}
