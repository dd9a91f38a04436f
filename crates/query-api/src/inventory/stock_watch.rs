//! Watching stock. One task of the process follows the events of stock for all subscriptions. It reads the levels of the SKUs that have
//! changed and are watched, in one statement, and hands them to their watchers. Without changes it reads nothing. Whether a SKU is on
//! sale is part of its level.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::Duration,
};

use async_graphql::Error;
use chrono::{DateTime, Utc};
use daybook_domain::{
    Actor, Event, Quantity, Slice, Storefront,
    ids::Channel,
    inventory::{Availability, Demand, Line, Supply, availability},
};
use daybook_event_store::{Filter, RecordedEvent};
use futures::StreamExt;
use serde::Deserialize;
use tokio::{sync::Notify, task::JoinHandle};
use uuid::Uuid;

use super::{
    STOCK,
    queries::{Watched, watched},
    types::StockLevel,
};
use crate::{
    graphql::{environment::Now, scalars::Long},
    reader::{Reader, Statement, failed, follow::follow},
};

/// How many events are taken together.
const MAX_EVENTS: usize = 500;
/// The pause before the levels are read again after a failure.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// The stock that is watched in this process.
#[derive(Clone)]
pub(crate) struct StockWatch(Arc<Shared>);

struct Shared {
    /// The reader of the process.
    reader: Reader,
    now: Now,
    storefront: Arc<Storefront>,
    state: Mutex<State>,
    /// Wakes the task when a watcher was added.
    added: Notify,
}

#[derive(Default)]
struct State {
    /// The watchers of each SKU.
    watchers: HashMap<Arc<str>, Vec<Weak<Mailbox>>>,
    /// The SKUs that a watcher was added for since they were read.
    added: BTreeSet<Arc<str>>,
    /// The task that follows the book, while there are watchers.
    task: Option<JoinHandle<()>>,
}

/// The levels that a watcher has yet to take.
#[derive(Default)]
struct Mailbox {
    /// Each with whether it was taken.
    levels: Mutex<BTreeMap<Arc<str>, (Level, bool)>>,
    changed: Notify,
}

/// The level of a SKU: what a checkout of one unit would find. Of a SKU that no product has, nothing is available.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Level {
    available: i64,
    backorder: bool,
}

impl Level {
    fn of(row: Watched, storefront: &Storefront) -> Self {
        let (sku, sale, stocks) = (row.sku.clone(), row.sale(), row.stocks());
        let demand = Demand {
            sku: &sku,
            quantity: Quantity::ONE,
            // Prices are not asked for.
            channel: &Channel::default(),
            currency: None,
            locations: &storefront.locations_for(1),
            actor: &Actor::Guest,
            storefront,
            line: Line::None,
        };
        let supply = Supply { sale, price: None, stocks: Some(&stocks) };
        let Availability { available, backorder, .. } = availability(&demand, &supply);
        Self { available, backorder }
    }
}

/// One who watches SKUs, until this is dropped.
pub(super) struct Watcher {
    watch: StockWatch,
    skus: Vec<Arc<str>>,
    mailbox: Arc<Mailbox>,
}

impl StockWatch {
    pub(crate) fn new(reader: Reader, now: Now, storefront: Arc<Storefront>) -> Self {
        Self(Arc::new(Shared { reader, now, storefront, state: Mutex::default(), added: Notify::new() }))
    }

    /// Watches SKUs. The watcher gets their levels now, and after each change.
    pub(super) async fn watch(&self, reader: &Reader, skus: &BTreeSet<Arc<str>>) -> Result<Watcher, Error> {
        let head = self.0.reader.book.head().await.map_err(|error| failed(&error))?.position;
        let watcher = self.register(skus, head);
        // The task reads these SKUs, too, as of a position that includes every event that it has passed.
        let names: Vec<&str> = skus.iter().map(AsRef::as_ref).collect();
        let mut now = self.0.read(reader, &names, self.0.now.time()).await?;
        for sku in skus {
            watcher.mailbox.put_first(sku, now.remove(&**sku).unwrap_or_default().level);
        }
        Ok(watcher)
    }

    /// Adds a watcher. The first one starts the task, which follows the book from `head`.
    fn register(&self, skus: &BTreeSet<Arc<str>>, head: i64) -> Watcher {
        let mailbox = Arc::new(Mailbox::default());
        let mut state = self.state();
        for sku in skus {
            state.watchers.entry(Arc::clone(sku)).or_default().push(Arc::downgrade(&mailbox));
            state.added.insert(Arc::clone(sku));
        }
        if state.task.is_none() {
            let shared = Arc::downgrade(&self.0);
            state.task = Some(tokio::spawn(run(shared, head)));
        }
        drop(state);
        self.0.added.notify_one();
        Watcher { watch: self.clone(), skus: skus.iter().cloned().collect(), mailbox }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Watcher {
    /// The levels that have changed since they were taken, as soon as one has.
    pub(super) async fn changed(&self) -> Vec<StockLevel> {
        loop {
            let levels = self.mailbox.take();
            if !levels.is_empty() {
                return levels;
            }
            self.mailbox.changed.notified().await;
        }
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        let mut state = self.watch.state();
        let own = Arc::downgrade(&self.mailbox);
        for sku in &self.skus {
            if let Some(watchers) = state.watchers.get_mut(sku) {
                watchers.retain(|watcher| !watcher.ptr_eq(&own));
                if watchers.is_empty() {
                    state.watchers.remove(sku);
                    state.added.remove(sku);
                }
            }
        }
        if state.watchers.is_empty()
            && let Some(task) = state.task.take()
        {
            task.abort();
        }
    }
}

impl Mailbox {
    /// The level of a SKU, unless a later one has come before.
    fn put_first(&self, sku: &Arc<str>, level: Level) {
        self.levels().entry(Arc::clone(sku)).or_insert((level, false));
        self.changed.notify_one();
    }

    fn put(&self, sku: &Arc<str>, level: Level) {
        let mut levels = self.levels();
        if levels.get(sku).is_none_or(|(before, _)| *before != level) {
            levels.insert(Arc::clone(sku), (level, false));
            self.changed.notify_one();
        }
    }

    fn take(&self) -> Vec<StockLevel> {
        let mut levels = self.levels();
        let new = levels.iter_mut().filter(|(_, (_, taken))| !taken);
        new.map(|(sku, (Level { available, backorder }, taken))| {
            *taken = true;
            let orderable = *available > 0 || *backorder;
            StockLevel { sku: sku.to_string(), available: Long(*available), backorder: *backorder, orderable }
        })
        .collect()
    }

    fn levels(&self) -> MutexGuard<'_, BTreeMap<Arc<str>, (Level, bool)>> {
        self.levels.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What an event is about: a SKU, or a product as a whole.
#[derive(Deserialize)]
struct About {
    sku: Option<Arc<str>>,
    product_id: Option<Uuid>,
}

/// Follows the book from a position, and hands levels to watchers, until it is aborted.
async fn run(shared: Weak<Shared>, mut position: i64) {
    let Some(first) = shared.upgrade() else { return };
    let (book, tail) = (first.reader.book.clone(), first.reader.tail.clone());
    drop(first);
    let filter = Filter { types: Some(types()), ..Filter::default() };
    let mut events = follow(book, tail, position, filter).ready_chunks(MAX_EVENTS).boxed();
    let mut unread = BTreeSet::new();
    let mut known = Known::default();
    while let Some(shared) = shared.upgrade() {
        tokio::select! {
            chunk = events.next() => {
                let Some(chunk) = chunk else { return };
                for event in chunk.into_iter().flatten() {
                    position = event.position;
                    unread.extend(known.concerned(&event));
                }
            }
            () = shared.added.notified() => {}
            () = shared.now.reaches(known.next_expiry()) => {}
        }
        unread.append(&mut std::mem::take(&mut shared.state().added));
        unread.extend(known.take_due(shared.now.time()));
        if let Err(error) = shared.hand_out(&mut unread, position, &mut known).await {
            tracing::warn!(error = error.message, "the stock that is watched could not be read");
            tokio::time::sleep(RETRY_AFTER).await;
            // What is unread is read with the next change, and now.
            shared.added.notify_one();
        }
    }
}

/// What is known of the SKUs that are watched.
#[derive(Default)]
struct Known {
    /// When their next reservation expires, since no event may tell it in time.
    expiries: BTreeMap<Arc<str>, DateTime<Utc>>,
    /// Their products.
    products: BTreeMap<Arc<str>, Uuid>,
}

impl Known {
    fn next_expiry(&self) -> Option<DateTime<Utc>> {
        self.expiries.values().min().copied()
    }

    /// The SKUs with reservations that have expired.
    fn take_due(&mut self, now: DateTime<Utc>) -> Vec<Arc<str>> {
        self.expiries.extract_if(.., |_, at| *at <= now).map(|(sku, _)| sku).collect()
    }

    /// The SKUs that an event may concern.
    fn concerned(&self, event: &RecordedEvent) -> Vec<Arc<str>> {
        match serde_json::from_str(&event.data) {
            Ok(About { sku: Some(sku), .. }) => vec![sku],
            Ok(About { sku: None, product_id: Some(product) }) => {
                self.products.iter().filter(|(_, of)| **of == product).map(|(sku, _)| Arc::clone(sku)).collect()
            }
            // An event that this program cannot read may concern any.
            Ok(About { sku: None, product_id: None }) | Err(_) => self.products.keys().cloned().collect(),
        }
    }

    /// Forgets what is not watched.
    fn keep(&mut self, is_watched: impl Fn(&Arc<str>) -> bool) {
        self.expiries.retain(|sku, _| is_watched(sku));
        self.products.retain(|sku, _| is_watched(sku));
    }
}

/// The types of the events that change levels: those of stock, and those by which a SKU goes on sale or out of it.
fn types() -> Vec<String> {
    const OF_SALE: [&str; 4] =
        ["catalog.ProductPublished", "catalog.ProductArchived", "catalog.VariantAdded", "catalog.VariantRemoved"];
    let contracts = Event::contracts().into_iter();
    let contracts = contracts.filter(|c| c.slice == Slice::Inventory || OF_SALE.contains(&c.event_type));
    let types: Vec<String> = contracts.map(|contract| contract.event_type.to_owned()).collect();
    daybook_codec::stored_names(&types)
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads those of the SKUs that are watched, as of a position, and hands their levels to the watchers. None is left when all are
    /// read.
    async fn hand_out(&self, skus: &mut BTreeSet<Arc<str>>, position: i64, known: &mut Known) -> Result<(), Error> {
        self.keep_watched(skus, known);
        if skus.is_empty() {
            return Ok(());
        }
        let reader = self.reader.of_operation(Arc::clone(self.reader.share()));
        reader.require(position);
        // Levels and expiries are those of one time. Otherwise a reservation that expires in between would be in neither.
        let (now, names) = (self.now.time(), skus.iter().map(AsRef::as_ref).collect::<Vec<&str>>());
        let mut found = self.read(&reader, &names, now).await?;
        let next = next_expiries(&reader, &names, now).await?;
        for sku in std::mem::take(skus) {
            let Found { level, product_id } = found.remove(&*sku).unwrap_or_default();
            self.put(&sku, level);
            change(&mut known.expiries, &sku, next.get(&*sku).copied());
            change(&mut known.products, &sku, product_id);
        }
        Ok(())
    }

    /// The levels of SKUs at a time, and their products.
    async fn read(&self, reader: &Reader, skus: &[&str], now: DateTime<Utc>) -> Result<HashMap<String, Found>, Error> {
        let rows = watched(reader, skus, now).await?;
        let found = rows.into_iter().map(|row| {
            let (sku, product_id) = (row.sku.to_string(), Some(row.product_id));
            (sku, Found { level: Level::of(row, &self.storefront), product_id })
        });
        Ok(found.collect())
    }

    /// Forgets what nobody watches.
    fn keep_watched(&self, skus: &mut BTreeSet<Arc<str>>, known: &mut Known) {
        let state = self.state();
        skus.retain(|sku| state.watchers.contains_key(sku));
        known.keep(|sku| state.watchers.contains_key(sku));
    }

    fn put(&self, sku: &Arc<str>, level: Level) {
        let mailboxes: Vec<_> =
            self.state().watchers.get(sku).into_iter().flatten().filter_map(Weak::upgrade).collect();
        for mailbox in mailboxes {
            mailbox.put(sku, level);
        }
    }
}

/// What is read of a SKU.
#[derive(Default)]
struct Found {
    level: Level,
    product_id: Option<Uuid>,
}

fn change<V>(map: &mut BTreeMap<Arc<str>, V>, sku: &Arc<str>, value: Option<V>) {
    match value {
        Some(value) => map.insert(Arc::clone(sku), value),
        None => map.remove(sku),
    };
}

/// When the next reservation of each of these SKUs expires. SKUs without such a reservation are left out.
async fn next_expiries(
    reader: &Reader,
    skus: &[&str],
    now: DateTime<Utc>,
) -> Result<HashMap<String, DateTime<Utc>>, Error> {
    const NEXT: Statement = Statement::new(
        &[STOCK],
        "SELECT json_build_array(sku, min(expires_at)) FROM read.reservations
         WHERE sku = ANY ($1) AND expires_at > $2 GROUP BY sku",
    );
    let rows: Vec<(String, DateTime<Utc>)> = reader.rows(&NEXT, &[&skus, &now]).await?;
    Ok(rows.into_iter().collect())
}
