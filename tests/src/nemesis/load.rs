//! The load on the shop: buyers, staff and readers, who share carts, orders and one SKU that is nearly sold out.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicI64, Ordering},
    },
    time::Duration,
};

use chrono::TimeDelta;
use serde_json::{Value, json};
use uuid::Uuid;

use super::{
    client::{Client, Outcome},
    random::Random,
};

/// The scarce SKU, which most buyers want.
pub const HOT: &str = "hot";
/// The SKU by which recovery is measured.
pub const PROBE: &str = "probe";
/// How many other SKUs exist, each with plenty of stock.
pub const ITEMS: u64 = 8;
/// How many carts, orders and reservations are remembered, each.
const REMEMBERED: usize = 40;

/// The kind of a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trader {
    /// The client whose clock jumps.
    First,
    /// A client that sends commands.
    ByCommands,
    /// A client that mostly sends mutations.
    ByMutations,
}

/// What the clients know of the shop, shared by all of them.
#[derive(Default)]
struct Known {
    carts: Vec<Uuid>,
    orders: Vec<Uuid>,
    /// Reservations, each with its SKU.
    reservations: Vec<(String, Uuid)>,
    /// Changed orders, each with the position of its change.
    changed_orders: Vec<(Uuid, i64)>,
    /// The last position at which the scarce stock changed.
    hot: i64,
}

/// A shop under load.
#[derive(Clone)]
pub struct Shop {
    client: Client,
    known: Arc<Mutex<Known>>,
    stop: Arc<AtomicBool>,
    /// The error of the clock of the first buyer, in seconds.
    skew: Arc<AtomicI64>,
}

/// The actions of buyers and staff, each with its percentage.
const DEEDS: &[(u64, Deed)] = &[
    (5, Deed::SetPrice),
    (14, Deed::Reserve),
    (6, Deed::ReserveBriefly),
    (7, Deed::Release),
    (3, Deed::Commit),
    (4, Deed::Restock),
    (12, Deed::OpenCart),
    (15, Deed::AddLine),
    (4, Deed::ChangeQuantity),
    (4, Deed::MergeCarts),
    (12, Deed::PlaceOrder),
    (5, Deed::ConfirmOrder),
    (5, Deed::CancelOrder),
    (3, Deed::ImportOrder),
    (1, Deed::CreateProduct),
];

#[derive(Debug, Clone, Copy)]
enum Deed {
    SetPrice,
    Reserve,
    ReserveBriefly,
    Release,
    Commit,
    Restock,
    OpenCart,
    AddLine,
    ChangeQuantity,
    MergeCarts,
    PlaceOrder,
    ConfirmOrder,
    CancelOrder,
    ImportOrder,
    CreateProduct,
}

fn remember<T>(list: &mut Vec<T>, thing: T) {
    if list.len() == REMEMBERED {
        list.remove(0);
    }
    list.push(thing);
}

impl Shop {
    /// Opens a shop: products, prices, stock.
    ///
    /// # Errors
    /// When it cannot be opened.
    pub async fn open(client: Client, random: &mut Random) -> anyhow::Result<Self> {
        let shop = Self { client, known: Arc::default(), stop: Arc::default(), skew: Arc::default() };
        // All clients rely on these commands, so this client makes no random choices.
        let patient = shop.client.clone().plain();
        let items = (0..ITEMS).map(|nr| (item(nr), 1_000_000));
        for (sku, stock) in items.chain([(HOT.to_owned(), 5), (PROBE.to_owned(), 1)]) {
            let product = json!({ "product_id": random.id(), "name": sku, "slug": sku, "publish": true,
                                  "variants": [{ "sku": sku }] });
            let price = json!({ "sku": sku, "price": { "minor_units": 199, "currency": "EUR" } });
            let goods = json!({ "sku": sku, "quantity": stock });
            for (name, body) in [("CreateProduct", product), ("SetPrice", price), ("ReceiveStock", goods)] {
                let outcome = patient.command(random, name, body).await;
                anyhow::ensure!(outcome.position().is_some(), "the shop cannot be opened: {name} is {outcome:?}");
            }
        }
        Ok(shop)
    }

    /// Sets the error of the clock of the first buyer, in seconds.
    pub fn skew(&self, seconds: i64) {
        self.skew.store(seconds, Ordering::Relaxed);
    }

    /// Asks all clients to stop after their present action.
    pub fn close(&self) {
        self.stop.store(true, Ordering::Relaxed);
    }

    /// How many commands were acknowledged so far.
    #[must_use]
    pub fn acknowledged(&self) -> u64 {
        self.client.acknowledged()
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_open(&self) -> bool {
        !self.stop.load(Ordering::Relaxed)
    }

    /// Buys and sells until the shop closes.
    pub async fn trade(self, mut random: Random, who: Trader) {
        let is_first = who == Trader::First;
        let client = self.client.clone().by_mutations(if who == Trader::ByMutations { 60 } else { 3 });
        let me = Self { client, ..self };
        me.trade_on(&mut random, is_first).await;
    }

    async fn trade_on(&self, random: &mut Random, is_first: bool) {
        let all = DEEDS.iter().map(|(weight, _)| weight).sum();
        while self.is_open() {
            let me = Self { client: self.client(is_first), ..self.clone() };
            let mut left = random.between(0, all);
            let deed = DEEDS.iter().find(|(weight, _)| {
                let here = left < *weight;
                left = left.saturating_sub(*weight);
                here
            });
            if let Some((_, deed)) = deed {
                me.act(*deed, random).await;
            }
            tokio::time::sleep(Duration::from_millis(random.between(5, 60))).await;
        }
    }

    /// Queries until the shop closes. Each query has to show the position of a receipt.
    pub async fn look(self, mut random: Random) {
        while self.is_open() {
            let (order, hot) = {
                let known = self.known();
                (random.pick(&known.changed_orders).copied(), known.hot)
            };
            match order {
                Some((order, position)) if random.percent(50) => drop(self.client.order(order, position).await),
                _ => drop(self.client.stock(HOT, hot).await),
            }
            tokio::time::sleep(Duration::from_millis(random.between(20, 120))).await;
        }
    }

    /// Sends a command and a query that shows its effect. Returns whether both were answered.
    pub async fn is_whole(&self, random: &mut Random) -> bool {
        let body = json!({ "sku": PROBE, "quantity": 1 });
        let client = self.client.clone().plain();
        match client.command(random, "ReceiveStock", body).await {
            Outcome::Accepted(position) => client.stock(PROBE, position).await.is_some(),
            _ => false,
        }
    }

    async fn act(&self, deed: Deed, random: &mut Random) {
        match deed {
            Deed::SetPrice | Deed::CreateProduct | Deed::ImportOrder => {
                self.mind_the_catalog(deed, random).await;
            }
            Deed::Reserve | Deed::ReserveBriefly | Deed::Release | Deed::Commit | Deed::Restock => {
                self.fight_for_stock(deed, random).await;
            }
            Deed::OpenCart | Deed::AddLine | Deed::ChangeQuantity | Deed::MergeCarts => {
                self.fill_carts(deed, random).await;
            }
            Deed::PlaceOrder | Deed::ConfirmOrder | Deed::CancelOrder => self.order(deed, random).await,
        }
    }

    async fn mind_the_catalog(&self, deed: Deed, random: &mut Random) {
        let (name, body) = match deed {
            Deed::SetPrice => {
                let price = json!({ "minor_units": random.between(100, 1_000), "currency": "EUR" });
                ("SetPrice", json!({ "sku": any_sku(random), "price": price }))
            }
            Deed::CreateProduct => {
                let id = random.id();
                let body = json!({ "product_id": id, "name": "New", "variants": [{ "sku": format!("new-{id}") }] });
                ("CreateProduct", body)
            }
            _ => {
                // Sometimes the same order is imported twice, and sometimes its time is in the future.
                let placed_at = self.client.clock() - TimeDelta::seconds(30);
                let line = json!({ "sku": any_sku(random), "quantity": random.between(1, 4), "line_total": 1_000,
                                   "discount": random.between(0, 100) });
                let number = random.between(0, 5_000);
                let body = json!({ "external_ref": format!("old-{number}"), "placed_at": placed_at, "currency": "EUR",
                                   "lines": [line] });
                ("ImportOrder", body)
            }
        };
        self.client.command(random, name, body).await;
    }

    /// A client with its clock.
    fn client(&self, is_first: bool) -> Client {
        let skew = if is_first { self.skew.load(Ordering::Relaxed) } else { 0 };
        self.client.clone().with_skew(skew)
    }

    async fn fight_for_stock(&self, deed: Deed, random: &mut Random) {
        let known = random.pick(&self.known().reservations).cloned();
        let (sku, reservation) = known.unwrap_or_else(|| (HOT.to_owned(), Uuid::nil()));
        let id = random.id();
        let mut reserved = HOT.to_owned();
        let (name, body) = match deed {
            Deed::Release => ("ReleaseStock", json!({ "sku": sku, "reservation_id": reservation })),
            Deed::Commit => ("CommitReservation", json!({ "sku": sku, "reservation_id": reservation })),
            // There is plenty of it, so no other claim displaces this one. A reactor ends it, unless a client does before.
            Deed::ReserveBriefly => {
                reserved = item(random.between(0, ITEMS));
                let until = self.client.clock() + TimeDelta::milliseconds(random.between(500, 4_000).cast_signed());
                let body = json!({ "sku": reserved, "reservation_id": id, "owner": format!("buyer:{id}"),
                                   "quantity": random.between(1, 3), "expires_at": until });
                ("ReserveStock", body)
            }
            Deed::Restock => ("ReceiveStock", json!({ "sku": HOT, "quantity": random.between(1, 4) })),
            _ => {
                let mut body = json!({ "sku": HOT, "reservation_id": id, "owner": format!("buyer:{id}"),
                                       "quantity": random.between(1, 3) });
                if random.percent(20) {
                    let until = self.client.clock() + TimeDelta::seconds(5);
                    body["expires_at"] = json!(until);
                }
                ("ReserveStock", body)
            }
        };
        if let Outcome::Accepted(position) = self.client.command(random, name, body).await {
            let mut known = self.known();
            known.hot = known.hot.max(position);
            if name == "ReserveStock" {
                remember(&mut known.reservations, (reserved, id));
            }
        }
    }

    async fn fill_carts(&self, deed: Deed, random: &mut Random) {
        let (cart, other) = {
            let known = self.known();
            (random.pick(&known.carts).copied(), random.pick(&known.carts).copied())
        };
        let id = random.id();
        let (name, body): (_, Value) = match (deed, cart, other) {
            (Deed::AddLine, Some(cart), _) => {
                let line = json!({ "sku": any_sku(random), "quantity": random.between(1, 4) });
                ("AddLines", json!({ "cart_id": cart, "lines": [line] }))
            }
            (Deed::ChangeQuantity, Some(cart), _) => {
                ("ChangeQuantity", json!({ "cart_id": cart, "sku": any_sku(random), "quantity": random.between(1, 9) }))
            }
            (Deed::MergeCarts, Some(from), Some(into)) => ("MergeCarts", json!({ "from": from, "into": into })),
            _ => ("OpenCart", json!({ "cart_id": id, "currency": "EUR" })),
        };
        let outcome = self.client.command(random, name, body).await;
        if name == "OpenCart" && outcome.position().is_some() {
            remember(&mut self.known().carts, id);
        }
    }

    async fn order(&self, deed: Deed, random: &mut Random) {
        let (cart, order) = {
            let known = self.known();
            (random.pick(&known.carts).copied(), random.pick(&known.orders).copied())
        };
        let id = random.id();
        let (name, order, body) = match (deed, cart, order) {
            (Deed::ConfirmOrder, _, Some(order)) => ("ConfirmOrder", order, json!({ "order_id": order })),
            (Deed::CancelOrder, _, Some(order)) => {
                ("CancelOrder", order, json!({ "order_id": order, "reason": "changed my mind" }))
            }
            (_, Some(cart), _) => ("PlaceOrder", id, json!({ "cart_id": cart, "order_id": id })),
            _ => return,
        };
        if let Outcome::Accepted(position) = self.client.command(random, name, body).await {
            let mut known = self.known();
            remember(&mut known.changed_orders, (order, position));
            if name == "PlaceOrder" {
                remember(&mut known.orders, order);
            }
        }
    }
}

/// A SKU of the shop. One in ten is the scarce one.
fn any_sku(random: &mut Random) -> String {
    match random.between(0, 10) {
        0 => HOT.to_owned(),
        _ => item(random.between(0, ITEMS)),
    }
}

/// The SKU of which plenty exists, by its number.
#[must_use]
pub fn item(number: u64) -> String {
    format!("item-{number}")
}
