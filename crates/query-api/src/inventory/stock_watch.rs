//! Watching stock. One task of the process follows the events of stock for all subscriptions. It reads the levels of the SKUs that have
//! changed and are watched, in one statement, and hands them to their watchers. Without changes it reads nothing.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::Duration,
};

use async_graphql::Error;
use chrono::{DateTime, Utc};
use daybook_domain::{Event, Slice};
use daybook_event_store::{Filter, RecordedEvent};
use futures::StreamExt;
use serde::Deserialize;
use tokio::{sync::Notify, task::JoinHandle};

use super::{STOCK, queries::levels, types::StockLevel};
use crate::{
    graphql::environment::Now,
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
    levels: Mutex<BTreeMap<Arc<str>, Level>>,
    changed: Notify,
}

/// The level of a SKU.
#[derive(Clone, Copy)]
struct Level {
    available: i64,
    taken: bool,
}

/// One who watches SKUs, until this is dropped.
pub(super) struct Watcher {
    watch: StockWatch,
    skus: Vec<Arc<str>>,
    mailbox: Arc<Mailbox>,
}

impl StockWatch {
    pub(crate) fn new(reader: Reader, now: Now) -> Self {
        Self(Arc::new(Shared { reader, now, state: Mutex::default(), added: Notify::new() }))
    }

    /// Watches SKUs. The watcher gets their levels now, and after each change.
    pub(super) async fn watch(&self, reader: &Reader, skus: &BTreeSet<Arc<str>>) -> Result<Watcher, Error> {
        let head = self.0.reader.book.head().await.map_err(|error| failed(&error))?.position;
        let watcher = self.register(skus, head);
        // The task reads these SKUs, too, as of a position that includes every event that it has passed.
        let names: Vec<&str> = skus.iter().map(AsRef::as_ref).collect();
        let now: HashMap<String, i64> =
            levels(reader, &names, self.0.now.time()).await?.into_iter().map(|l| (l.sku, l.available)).collect();
        for sku in skus {
            watcher.mailbox.put_first(sku, now.get(&**sku).copied().unwrap_or(0));
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
    fn put_first(&self, sku: &Arc<str>, available: i64) {
        self.levels().entry(Arc::clone(sku)).or_insert(Level { available, taken: false });
        self.changed.notify_one();
    }

    fn put(&self, sku: &Arc<str>, available: i64) {
        let mut levels = self.levels();
        if levels.get(sku).is_none_or(|level| level.available != available) {
            levels.insert(Arc::clone(sku), Level { available, taken: false });
            self.changed.notify_one();
        }
    }

    fn take(&self) -> Vec<StockLevel> {
        let mut levels = self.levels();
        let new = levels.iter_mut().filter(|(_, level)| !level.taken);
        new.map(|(sku, level)| {
            level.taken = true;
            StockLevel { sku: sku.to_string(), available: level.available }
        })
        .collect()
    }

    fn levels(&self) -> MutexGuard<'_, BTreeMap<Arc<str>, Level>> {
        self.levels.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The field that every event of stock has.
#[derive(Deserialize)]
struct OfSku {
    sku: String,
}

/// Follows the book from a position, and hands levels to watchers, until it is aborted.
async fn run(shared: Weak<Shared>, mut position: i64) {
    let Some(first) = shared.upgrade() else { return };
    let (book, tail) = (first.reader.book.clone(), first.reader.tail.clone());
    drop(first);
    let filter = Filter { types: Some(types()), ..Filter::default() };
    let mut events = follow(book, tail, position, filter).ready_chunks(MAX_EVENTS).boxed();
    let mut unread = BTreeSet::new();
    let mut expiries = Expiries::default();
    while let Some(shared) = shared.upgrade() {
        tokio::select! {
            chunk = events.next() => {
                let Some(chunk) = chunk else { return };
                for event in chunk.into_iter().flatten() {
                    position = event.position;
                    unread.extend(sku(&event));
                }
            }
            () = shared.added.notified() => {}
            () = at(expiries.next(), &shared.now) => {}
        }
        unread.append(&mut std::mem::take(&mut shared.state().added));
        unread.extend(expiries.take_due(shared.now.time()));
        if let Err(error) = shared.hand_out(&mut unread, position, &mut expiries).await {
            tracing::warn!(error = error.message, "the stock that is watched could not be read");
            tokio::time::sleep(RETRY_AFTER).await;
            // What is unread is read with the next change, and now.
            shared.added.notify_one();
        }
    }
}

/// When reservations of watched SKUs expire, since no event may tell it in time.
#[derive(Default)]
struct Expiries(BTreeMap<Arc<str>, DateTime<Utc>>);

impl Expiries {
    fn next(&self) -> Option<DateTime<Utc>> {
        self.0.values().min().copied()
    }

    /// The SKUs with reservations that have expired.
    fn take_due(&mut self, now: DateTime<Utc>) -> Vec<Arc<str>> {
        self.0.extract_if(.., |_, at| *at <= now).map(|(sku, _)| sku).collect()
    }
}

/// The types of the events of stock.
fn types() -> Vec<String> {
    let contracts = Event::contracts().into_iter().filter(|contract| contract.slice == Slice::Inventory);
    let types: Vec<String> = contracts.map(|contract| contract.event_type.to_owned()).collect();
    daybook_codec::stored_names(&types)
}

/// The SKU of an event.
fn sku(event: &RecordedEvent) -> Option<Arc<str>> {
    serde_json::from_str(&event.data).ok().map(|OfSku { sku }| sku.into())
}

/// Resolves at a time; without a time it never does.
async fn at(time: Option<DateTime<Utc>>, now: &Now) {
    let Some(time) = time else { return std::future::pending().await };
    tokio::time::sleep((time - now.time()).to_std().unwrap_or_default()).await;
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads those of the SKUs that are watched, as of a position, and hands their levels to the watchers. None is left when all are
    /// read.
    async fn hand_out(
        &self,
        skus: &mut BTreeSet<Arc<str>>,
        position: i64,
        expiries: &mut Expiries,
    ) -> Result<(), Error> {
        self.keep_watched(skus, expiries);
        if skus.is_empty() {
            return Ok(());
        }
        let reader = self.reader.of_operation(Arc::clone(self.reader.share()));
        reader.require(position);
        let (now, names) = (self.now.time(), skus.iter().map(AsRef::as_ref).collect::<Vec<&str>>());
        let levels = levels(&reader, &names, now).await?.into_iter().map(|level| (level.sku, level.available));
        let levels: HashMap<String, i64> = levels.collect();
        let next = next_expiries(&reader, &names, now).await?;
        for sku in std::mem::take(skus) {
            self.put(&sku, levels.get(&*sku).copied().unwrap_or(0));
            match next.get(&*sku) {
                Some(at) => expiries.0.insert(sku, *at),
                None => expiries.0.remove(&sku),
            };
        }
        Ok(())
    }

    /// Forgets what nobody watches.
    fn keep_watched(&self, skus: &mut BTreeSet<Arc<str>>, expiries: &mut Expiries) {
        let state = self.state();
        skus.retain(|sku| state.watchers.contains_key(sku));
        expiries.0.retain(|sku, _| state.watchers.contains_key(sku));
    }

    fn put(&self, sku: &Arc<str>, available: i64) {
        let mailboxes: Vec<_> =
            self.state().watchers.get(sku).into_iter().flatten().filter_map(Weak::upgrade).collect();
        for mailbox in mailboxes {
            mailbox.put(sku, available);
        }
    }
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
