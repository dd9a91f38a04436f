//! The connections of a process to PostgreSQL: a budget for each role, and a pool for each purpose.
//!
//! A role uses no more connections than its budget: those of its pool, and those that it keeps for itself, such as the appender's.
//! So the sum over all processes is known, and `serve` refuses to start where it would use up the server.

use std::{
    collections::{BTreeMap, BTreeSet},
    str::FromStr,
    time::Duration,
};

use clap::ValueEnum;
use daybook_event_store::{Connector, Daybook, PoolSettings, Secret, SessionLimits, StoreError};
use daybook_operations::Usage;

use crate::role::Role;

/// The connections of a process beside those of its roles: for its start and its checks.
const OF_THE_PROCESS: usize = 2;
/// The longest name of an application that PostgreSQL keeps, in bytes.
const LONGEST_NAME: usize = 63;
/// How many percent of PostgreSQL's connections the processes may have together.
const MOST_PERCENT: usize = 80;
/// How often a start looks again whether the server has room. The connections of a killed process end within some seconds.
const LOOKS: u32 = 20;
/// The pause between two looks.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

const fn seconds(seconds: u64) -> Option<Duration> {
    Some(Duration::from_secs(seconds))
}

/// How a role uses connections.
struct Use {
    /// Its budget, unless another is given.
    connections: usize,
    /// The part of its budget outside the pool.
    own: usize,
    /// How long a caller waits for a connection of the pool.
    wait: Option<Duration>,
    /// How long a statement may run.
    statement: Option<Duration>,
}

/// How long a statement waits for a lock.
const LOCK: Option<Duration> = seconds(2);

impl Role {
    const fn connections(self) -> Use {
        match self {
            // The appender, the notifier, and the seat of the writer.
            Self::CommandApi => Use { connections: 8, own: 3, wait: seconds(2), statement: seconds(30) },
            // The listener.
            Self::QueryApi => Use { connections: 16, own: 1, wait: seconds(2), statement: seconds(5) },
            // The lead and the listener.
            Self::Relay => Use { connections: 4, own: 2, wait: seconds(10), statement: seconds(60) },
            // A build of a view (three of its own, and a pool of three), and the listener.
            Self::Projectors => Use { connections: 12, own: 7, wait: seconds(10), statement: seconds(60) },
            // The appender and the notifier of a bus, and the listener.
            Self::Reactors => Use { connections: 8, own: 3, wait: seconds(10), statement: seconds(60) },
        }
    }

    /// The least budget: a pool of two.
    const fn least(self) -> usize {
        self.connections().own + 2
    }
}

/// The name of a role, as on the command line.
fn name(role: Role) -> String {
    role.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
}

/// A budget, as ROLE=N or, for every role, N.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GivenBudget {
    role: Option<Role>,
    connections: usize,
}

impl FromStr for GivenBudget {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (role, number) = match text.split_once('=') {
            Some((role, number)) => (Some(<Role as ValueEnum>::from_str(role.trim(), true)?), number),
            None => (None, text),
        };
        let connections = number.trim().parse().map_err(|_| format!("{number} is not a number of connections"))?;
        Ok(Self { role, connections })
    }
}

/// The connections of every role.
#[derive(Debug, Clone)]
pub struct Budgets(BTreeMap<Role, usize>);

impl Default for Budgets {
    fn default() -> Self {
        let all = Role::value_variants().iter();
        Self(all.map(|role| (*role, role.connections().connections)).collect())
    }
}

impl Budgets {
    /// The defaults, with these in their place.
    ///
    /// # Errors
    /// When one is too small for its role.
    pub fn with(given: &[GivenBudget]) -> Result<Self, Usage> {
        let mut budgets = Self::default();
        for &GivenBudget { role, connections } in given {
            for role in Role::value_variants().iter().filter(|one| role.is_none_or(|role| role == **one)) {
                if connections < role.least() {
                    let (name, least) = (name(*role), role.least());
                    return Err(Usage(format!("--db-connections: {name} needs at least {least} connections")));
                }
                budgets.0.insert(*role, connections);
            }
        }
        Ok(budgets)
    }

    fn of(&self, role: Role) -> usize {
        self.0.get(&role).copied().unwrap_or(role.connections().connections)
    }

    /// The most connections of a process with these roles.
    #[must_use]
    pub fn total(&self, roles: &BTreeSet<Role>) -> usize {
        roles.iter().map(|role| self.of(*role)).sum::<usize>() + OF_THE_PROCESS
    }

    fn pool(&self, role: Role) -> PoolSettings {
        let Use { own, wait, statement, .. } = role.connections();
        let connections = self.of(role).saturating_sub(own);
        PoolSettings { wait, limits: SessionLimits { statement, lock: LOCK }, ..PoolSettings::of(connections) }
    }
}

/// Where the book is, and how many connections its processes have.
#[derive(Debug, Clone)]
pub struct Database {
    /// The PostgreSQL that holds the book.
    pub url: Secret,
    /// A hot standby of it that query-api reads instead.
    pub read_url: Option<Secret>,
    /// The connections of every role.
    pub budgets: Budgets,
}

/// The book, with a pool for each purpose. Clones share the pools.
#[derive(Clone)]
pub(crate) struct Books {
    /// For the start of the process and its checks.
    pub(crate) process: Daybook,
    by_role: BTreeMap<Role, Daybook>,
    application: String,
}

impl Books {
    /// Opens the book. Connections are made when they are needed, so this works before the database is up.
    pub(crate) fn open(database: &Database, roles: &BTreeSet<Role>) -> Result<Self, StoreError> {
        let application = application(roles, &process_name());
        // A process that only reads needs no address but the one that it reads from.
        let reads_only = roles.iter().all(|role| *role == Role::QueryApi);
        let url = database.read_url.as_ref().filter(|_| reads_only).unwrap_or(&database.url);
        let limits = SessionLimits { statement: seconds(5), lock: LOCK };
        let own = PoolSettings { wait: seconds(2), limits, ..PoolSettings::of(OF_THE_PROCESS) };
        let process = Daybook::over(Connector::new(url.clone(), &application)?, &own)?;
        let mut by_role = BTreeMap::new();
        for &role in roles {
            let pool = database.budgets.pool(role);
            let book = match &database.read_url {
                Some(url) if role == Role::QueryApi && !reads_only => {
                    Daybook::over(Connector::new(url.clone(), &application)?, &pool)?
                }
                _ => process.with_pool(&pool)?,
            };
            by_role.insert(role, book);
        }
        Ok(Self { process, by_role, application })
    }

    /// The book with the pool of a role.
    pub(crate) fn of(&self, role: Role) -> &Daybook {
        self.by_role.get(&role).unwrap_or(&self.process)
    }

    /// Refuses to start where all processes together might use up the server's connections. The budgets of others are known by the
    /// names of their connections.
    pub(crate) async fn fit(&self, budgets: &Budgets, roles: &BTreeSet<Role>) -> anyhow::Result<()> {
        let own = budgets.total(roles);
        for look in 1_u32.. {
            let (most, others) = self.others(budgets).await?;
            if (own + others) * 100 <= most * MOST_PERCENT {
                tracing::info!(own, others, max_connections = most, "the connections to PostgreSQL fit");
                return Ok(());
            }
            anyhow::ensure!(
                look < LOOKS && own * 100 <= most * MOST_PERCENT,
                "this process may use {own} connections and the others of Daybook {others}, of PostgreSQL's {most} \
                 (max_connections); at most {MOST_PERCENT} % may be theirs: raise max_connections, or lower --db-connections"
            );
            tracing::warn!(own, others, max_connections = most, "PostgreSQL has no room for this process yet");
            tokio::time::sleep(LOOK_AGAIN).await;
        }
        Ok(())
    }

    /// The connections that the server allows, and those that other processes of Daybook may have.
    async fn others(&self, budgets: &Budgets) -> Result<(usize, usize), StoreError> {
        let client = self.process.pool().get().await?;
        let sql = "SELECT current_setting('max_connections')::int, ARRAY(
                       SELECT DISTINCT application_name FROM pg_stat_activity WHERE application_name LIKE 'daybook/%')";
        let row = client.query_one(sql, &[]).await?;
        let names: Vec<String> = row.try_get(1)?;
        let others = names.iter().filter(|name| **name != self.application).filter_map(|name| roles_of(name));
        Ok((usize::try_from(row.try_get::<_, i32>(0)?).unwrap_or(0), others.map(|roles| budgets.total(&roles)).sum()))
    }
}

/// The name of a process among those of its roles: its pod, or its process id. The only process of a container has the name of that.
fn process_name() -> String {
    let host = || std::env::var("HOSTNAME").ok().filter(|name| !name.is_empty());
    let in_container = std::process::id() == 1 || std::env::var_os("KUBERNETES_SERVICE_HOST").is_some();
    let pod = std::env::var("POD_NAME").ok().filter(|name| !name.is_empty());
    pod.or_else(|| host().filter(|_| in_container)).unwrap_or_else(|| std::process::id().to_string())
}

/// The name of every role together.
const ALL: &str = "all";

/// The name of a process's connections on the server: `daybook/<roles>/<process>`. Of a long name of a process the end is kept.
fn application(roles: &BTreeSet<Role>, process: &str) -> String {
    let all = roles.len() == Role::value_variants().len();
    let roles = if all { ALL.to_owned() } else { roles.iter().map(|role| name(*role)).collect::<Vec<_>>().join(",") };
    let prefix = format!("daybook/{roles}/");
    let excess = (prefix.len() + process.len()).saturating_sub(LONGEST_NAME);
    let start = (excess..process.len()).find(|at| process.is_char_boundary(*at)).unwrap_or(process.len());
    prefix + &process[start..]
}

/// The roles of a process, by the name of its connections.
fn roles_of(application: &str) -> Option<BTreeSet<Role>> {
    let (roles, _) = application.strip_prefix("daybook/")?.split_once('/')?;
    if roles == ALL {
        return Some(Role::value_variants().iter().copied().collect());
    }
    roles.split(',').map(|role| <Role as ValueEnum>::from_str(role, true).ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all() -> BTreeSet<Role> {
        Role::value_variants().iter().copied().collect()
    }

    #[test]
    fn a_budget_is_given_for_one_role_or_for_all() {
        let given =
            |text: &str| text.split(',').map(|one| one.parse().expect("a budget")).collect::<Vec<GivenBudget>>();
        let budgets = Budgets::with(&given("query-api=40,relay=6")).expect("they are large enough");
        assert_eq!((budgets.of(Role::QueryApi), budgets.of(Role::Relay), budgets.of(Role::Projectors)), (40, 6, 12));
        assert_eq!(Budgets::with(&given("20")).expect("it is large enough").total(&all()), 102);
        assert_eq!(Budgets::default().total(&all()), 50);
        let refused = Budgets::with(&given("projectors=4")).expect_err("it is too small").to_string();
        assert_eq!(refused, "--db-connections: projectors needs at least 9 connections");
        assert!("query=4".parse::<GivenBudget>().is_err());
        assert!("many".parse::<GivenBudget>().is_err_and(|error| error == "many is not a number of connections"));
    }

    #[test]
    fn the_pool_and_what_is_outside_of_it_are_the_budget() {
        let budgets = Budgets::default();
        let pools = [Role::CommandApi, Role::QueryApi, Role::Relay, Role::Projectors, Role::Reactors];
        assert_eq!(pools.map(|role| budgets.pool(role).connections), [5, 15, 2, 5, 5]);
        assert_eq!(budgets.pool(Role::QueryApi).limits.statement, Some(Duration::from_secs(5)));
        assert!(pools.iter().all(|role| budgets.pool(*role).wait.is_some()), "nobody waits for ever");
    }

    #[test]
    fn a_name_says_the_roles_and_the_process() {
        let roles = BTreeSet::from([Role::QueryApi, Role::Relay]);
        assert_eq!(application(&roles, "4711"), "daybook/query-api,relay/4711");
        assert_eq!(application(&all(), "pod-1"), "daybook/all/pod-1");
        assert_eq!(roles_of("daybook/query-api,relay/4711"), Some(roles.clone()));
        assert_eq!(roles_of("daybook/all/pod-1"), Some(all()));
        for other in ["daybook/operations", "daybook", "psql", "daybook/shop/1"] {
            assert_eq!(roles_of(other), None, "{other}");
        }
        let long = application(&roles, &format!("{}ünd-der-pod-7", "x".repeat(80)));
        assert!(long.len() <= LONGEST_NAME && long.ends_with("ünd-der-pod-7"), "{long}");
    }
}
