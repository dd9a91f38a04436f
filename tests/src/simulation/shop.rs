//! The clients of a run: few goods, few carts and one SKU that is nearly sold out, so that everybody is in each other's way.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use chrono::TimeDelta;
use daybook_bus::{Bus, CommandError, Receipt as BusReceipt, Runtime, Submission};
use daybook_domain::{Actor, Command};
use serde_json::{Value, json};
use uuid::Uuid;

use super::scheduler::Place;
use crate::nemesis::{
    ACTOR,
    history::{Answer, Attempt, Call, History, Receipt, ReceivedEvent, ReceivedStream, Via},
    load::HOT,
    random::Random,
};

/// A SKU of which there is plenty.
const ITEM: &str = "item";
/// How often a command is tried before it is left open.
const ATTEMPTS: u64 = 12;

/// The buses that can be asked; none where the process is dead.
pub type Buses = Arc<Mutex<Vec<Option<Bus>>>>;

/// What the clients know of the shop together.
#[derive(Default)]
struct Known {
    carts: Vec<Uuid>,
    orders: Vec<Uuid>,
    reservations: Vec<Uuid>,
}

/// A shop, and what its clients saw.
#[derive(Clone)]
pub struct Shop {
    place: Place,
    buses: Buses,
    known: Arc<Mutex<Known>>,
    history: Arc<History>,
}

fn lock<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shop {
    /// An empty one.
    #[must_use]
    pub fn new(place: Place, buses: Buses) -> Self {
        Self { place, buses, known: Arc::default(), history: Arc::default() }
    }

    /// What was seen.
    #[must_use]
    pub const fn history(&self) -> &Arc<History> {
        &self.history
    }

    /// Puts goods on the shelves.
    pub async fn open(&self, random: &mut Random) {
        for (sku, stock) in [(ITEM, 1_000), (HOT, 3)] {
            let product = json!({ "product_id": random.id(), "name": sku, "slug": sku, "publish": true,
                                  "variants": [{ "sku": sku }] });
            let price = json!({ "sku": sku, "price": { "minor_units": 199, "currency": "EUR" } });
            let goods = json!({ "sku": sku, "quantity": stock });
            for (name, body) in [("CreateProduct", product), ("SetPrice", price), ("ReceiveStock", goods)] {
                self.command(random, name, body).await;
            }
        }
        let cart = random.id();
        self.command(random, "OpenCart", json!({ "cart_id": cart, "currency": "EUR" })).await;
        lock(&self.known).carts.push(cart);
    }

    /// Buys and sells so many times.
    pub async fn trade(self, mut random: Random, deeds: u64) {
        for _ in 0..deeds {
            let (name, body) = self.deed(&mut random);
            let fresh = name_of_new(name, &body);
            let accepted = self.command(&mut random, name, body).await;
            if let (true, Some(id)) = (accepted, fresh) {
                let mut known = lock(&self.known);
                match name {
                    "OpenCart" => known.carts.push(id),
                    "PlaceOrder" => known.orders.push(id),
                    _ => known.reservations.push(id),
                }
            }
            self.place.sleep(Duration::from_micros(random.between(0, 2_000))).await;
        }
    }

    /// Something to do, and what it says.
    fn deed(&self, random: &mut Random) -> (&'static str, Value) {
        let known = lock(&self.known);
        let cart = random.pick(&known.carts).copied().unwrap_or_default();
        let other = random.pick(&known.carts).copied().unwrap_or_default();
        let reservation = random.pick(&known.reservations).copied().unwrap_or_default();
        let order = random.pick(&known.orders).copied().unwrap_or_default();
        let id = random.id();
        let sku = if random.percent(60) { HOT } else { ITEM };
        match random.between(0, 100) {
            0..24 => ("ReserveStock", self.reservation(random, id)),
            24..32 => ("ReleaseStock", json!({ "sku": HOT, "reservation_id": reservation })),
            32..36 => ("CommitReservation", json!({ "sku": HOT, "reservation_id": reservation })),
            36..42 => ("ReceiveStock", json!({ "sku": HOT, "quantity": random.between(1, 3) })),
            42..48 => {
                let price = json!({ "minor_units": random.between(100, 1_000), "currency": "EUR" });
                ("SetPrice", json!({ "sku": sku, "price": price }))
            }
            48..54 => ("OpenCart", json!({ "cart_id": id, "currency": "EUR" })),
            54..72 => ("AddLine", json!({ "cart_id": cart, "sku": sku, "quantity": random.between(1, 3) })),
            72..75 => ("MergeCarts", json!({ "from": cart, "into": other })),
            75..90 => ("PlaceOrder", json!({ "cart_id": cart, "order_id": id })),
            90..95 => ("ConfirmOrder", json!({ "order_id": order })),
            _ => ("CancelOrder", json!({ "order_id": order, "reason": "changed my mind" })),
        }
    }

    fn reservation(&self, random: &mut Random, id: Uuid) -> Value {
        let mut body = json!({ "sku": HOT, "reservation_id": id, "owner": format!("buyer:{id}"),
                               "quantity": random.between(1, 3) });
        if random.percent(30) {
            body["expires_at"] = json!(self.place.now() + TimeDelta::milliseconds(random.between(1, 30).cast_signed()));
        }
        body
    }

    /// Sends a command until its outcome is known, or patience is over; says whether it was accepted.
    async fn command(&self, random: &mut Random, name: &'static str, body: Value) -> bool {
        let mut call = Call { key: random.id(), name, body, attempts: Vec::new() };
        // Some give up soon, and some ask again although it was accepted. A refusal is not written down: to ask again after one
        // is to want it anew.
        let attempts = if random.percent(8) { 1 } else { ATTEMPTS };
        let again = random.percent(15);
        for _ in 0..attempts {
            if !matches!(self.attempt(&mut call, random).await, Answer::Unknown(_)) {
                break;
            }
            self.place.sleep(Duration::from_micros(random.between(0, 20_000))).await;
        }
        let accepted = call.receipt().is_some();
        if again && accepted {
            self.attempt(&mut call, random).await;
        }
        self.history.call(call);
        accepted
    }

    /// Sends it once. Impatient ones do not wait for an answer, so that the next attempt meets the one before.
    async fn attempt(&self, call: &mut Call, random: &mut Random) -> Answer {
        let patience = match random.between(0, 10) {
            0 => random.between(0, 1_000),
            1..3 => random.between(0, 20_000),
            _ => 1_000_000,
        };
        let via = usize::from(random.percent(50));
        let (sent, at) = (self.history.tick(), self.place.now());
        let bus = lock(&self.buses)[via].clone();
        let answer = match bus {
            None => Answer::Unknown("nobody is there".to_owned()),
            Some(bus) => {
                let asking = bus.execute(submission(call));
                match self.place.within(Duration::from_micros(patience), asking).await {
                    None => Answer::Unknown("timeout".to_owned()),
                    Some(outcome) => understood(outcome),
                }
            }
        };
        let answered = self.history.tick();
        self.place.tell(|| format!("{} {} by bus {via}: {}", call.name, call.key, told(&answer)));
        let (via, until, expired) = (Via::Command(via), self.place.now(), false);
        call.attempts.push(Attempt { sent, at, answered, until, via, expired, answer: answer.clone() });
        answer
    }
}

fn submission(call: &Call) -> Submission {
    let command = Command::deserialize(call.name, call.body.clone()).and_then(Result::ok);
    let command = command.expect("the simulation sends what there is");
    Submission::new(command, call.key, Actor::Admin(ACTOR.to_owned()))
}

/// The id of what a command makes, where others may want to use it.
fn name_of_new(name: &str, body: &Value) -> Option<Uuid> {
    let field = match name {
        "OpenCart" => "cart_id",
        "PlaceOrder" => "order_id",
        "ReserveStock" => "reservation_id",
        _ => return None,
    };
    body[field].as_str()?.parse().ok()
}

fn understood(outcome: Result<BusReceipt, CommandError>) -> Answer {
    match outcome {
        Ok(receipt) => Answer::Accepted(received(receipt)),
        Err(CommandError::Refused { refusal, .. }) => {
            Answer::Refused { code: refusal.code().to_string(), detail: refusal.to_string() }
        }
        Err(
            unknown @ (CommandError::Contended
            | CommandError::Busy
            | CommandError::Failed(_)
            | CommandError::Lost
            | CommandError::Stopped),
        ) => Answer::Unknown(unknown.to_string()),
        Err(wrong @ (CommandError::KeyReused(_) | CommandError::Unreadable(_) | CommandError::Unwritable(_))) => {
            panic!("{wrong}")
        }
    }
}

fn received(receipt: BusReceipt) -> Receipt {
    let streams = receipt.streams.iter();
    let streams = streams.map(|stream| ReceivedStream { id: stream.id.to_string(), version: stream.version }).collect();
    let event = |event: daybook_bus::WrittenEvent| ReceivedEvent {
        position: event.position,
        stream: event.stream.to_string(),
        version: event.version,
        event_type: event.event_type,
        event_id: event.event_id,
        data: serde_json::from_str(&event.data).unwrap_or_default(),
    };
    let events = receipt.events.into_iter().map(event).collect();
    Receipt { position: receipt.position, streams, events, replayed: receipt.replayed }
}

fn told(answer: &Answer) -> String {
    match answer {
        Answer::Accepted(receipt) if receipt.replayed => format!("accepted before, up to {}", receipt.position),
        Answer::Accepted(receipt) => format!("accepted, up to {}", receipt.position),
        Answer::Shown(position) => format!("shown, up to {position}"),
        Answer::Refused { detail, .. } => format!("refused: {detail}"),
        Answer::Unknown(why) => format!("unknown: {why}"),
    }
}
