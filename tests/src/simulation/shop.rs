//! The clients of a run. They share few goods, few carts and one SKU that is nearly sold out, so their commands conflict.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use chrono::TimeDelta;
use daybook_bus::{Bus, CommandError, Receipt as BusReceipt, Runtime, Submission};
use daybook_domain::{Actor, Command};
use serde_json::{Value, json};
use uuid::Uuid;

use super::scheduler::Process;
use crate::nemesis::{
    ACTOR,
    history::{Answer, Attempt, Call, History, Receipt, ReceivedEvent, ReceivedStream, Via},
    load::HOT,
    random::Random,
};

/// A SKU with a large stock.
const ITEM: &str = "item";
/// The most attempts of a command before its outcome is left open.
const ATTEMPTS: u64 = 12;

/// The answer of a client that finds no bus.
pub(super) const NO_BUS: &str = "the bus is not running";

/// The buses. None where the process was killed.
pub type Buses = Arc<Mutex<Vec<Option<Bus>>>>;

/// The ids that the clients have created.
#[derive(Default)]
struct CreatedIds {
    carts: Vec<Uuid>,
    orders: Vec<Uuid>,
    reservations: Vec<Uuid>,
}

/// A shop, and the history of its clients.
#[derive(Clone)]
pub struct Shop {
    process: Process,
    buses: Buses,
    created: Arc<Mutex<CreatedIds>>,
    history: Arc<History>,
}

fn lock<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shop {
    /// An empty shop.
    #[must_use]
    pub fn new(process: Process, buses: Buses) -> Self {
        Self { process, buses, created: Arc::default(), history: Arc::default() }
    }

    /// The commands that clients have sent, with their answers.
    #[must_use]
    pub const fn history(&self) -> &Arc<History> {
        &self.history
    }

    /// Creates the products with prices and stock, and one cart.
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
        lock(&self.created).carts.push(cart);
    }

    /// Sends a number of random commands.
    pub async fn trade(self, mut random: Random, commands: u64) {
        for _ in 0..commands {
            let (name, body) = self.random_command(&mut random);
            let created_id = created_id(name, &body);
            let accepted = self.command(&mut random, name, body).await;
            if let (true, Some(id)) = (accepted, created_id) {
                let mut created = lock(&self.created);
                match name {
                    "OpenCart" => created.carts.push(id),
                    "PlaceOrder" => created.orders.push(id),
                    _ => created.reservations.push(id),
                }
            }
            self.process.sleep(Duration::from_micros(random.between(0, 2_000))).await;
        }
    }

    /// The name and the body of a random command.
    fn random_command(&self, random: &mut Random) -> (&'static str, Value) {
        let created = lock(&self.created);
        let cart = random.pick(&created.carts).copied().unwrap_or_default();
        let other = random.pick(&created.carts).copied().unwrap_or_default();
        let reservation = random.pick(&created.reservations).copied().unwrap_or_default();
        let order = random.pick(&created.orders).copied().unwrap_or_default();
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
            body["expires_at"] =
                json!(self.process.now() + TimeDelta::milliseconds(random.between(1, 30).cast_signed()));
        }
        body
    }

    /// Sends a command until its outcome is known, or the client gives up. Returns whether it was accepted.
    async fn command(&self, random: &mut Random, name: &'static str, body: Value) -> bool {
        let mut call = Call { key: random.id(), name, body, attempts: Vec::new() };
        // Some clients give up soon, and some repeat an accepted command. A refused command is not recorded, so a repetition would be
        // a new command.
        let attempts = if random.percent(8) { 1 } else { ATTEMPTS };
        let repeats = random.percent(15);
        for _ in 0..attempts {
            if !matches!(self.attempt(&mut call, random).await, Answer::Unknown(_)) {
                break;
            }
            self.process.sleep(Duration::from_micros(random.between(0, 20_000))).await;
        }
        let accepted = call.receipt().is_some();
        if repeats && accepted {
            self.attempt(&mut call, random).await;
        }
        self.history.call(call);
        accepted
    }

    /// Sends a command once. Some clients do not wait for the answer, so that the next attempt runs beside this one.
    async fn attempt(&self, call: &mut Call, random: &mut Random) -> Answer {
        let timeout = match random.between(0, 10) {
            0 => random.between(0, 1_000),
            1..3 => random.between(0, 20_000),
            _ => 1_000_000,
        };
        let via = usize::try_from(random.between(0, lock(&self.buses).len().max(1) as u64)).unwrap_or(0);
        let (sent, at) = (self.history.tick(), self.process.now());
        let bus = lock(&self.buses).get(via).cloned().flatten();
        let answer = match bus {
            None => Answer::Unknown(NO_BUS.to_owned()),
            Some(bus) => {
                let execution = bus.execute(submission(call));
                match self.process.within(Duration::from_micros(timeout), execution).await {
                    None => Answer::Unknown("timeout".to_owned()),
                    Some(outcome) => answer_of(outcome),
                }
            }
        };
        let answered = self.history.tick();
        self.process.log(|| format!("{} {} by bus {via}: {}", call.name, call.key, describe(&answer)));
        let (via, until, expired) = (Via::Command(via), self.process.now(), false);
        call.attempts.push(Attempt { sent, at, answered, until, via, expired, answer: answer.clone() });
        answer
    }
}

fn submission(call: &Call) -> Submission {
    let command = Command::deserialize(call.name, call.body.clone()).and_then(Result::ok);
    let command = command.expect("the simulation sends valid commands");
    Submission::new(command, call.key, Actor::Admin(ACTOR.to_owned()))
}

/// The id of the cart, order or reservation that a command creates.
fn created_id(name: &str, body: &Value) -> Option<Uuid> {
    let field = match name {
        "OpenCart" => "cart_id",
        "PlaceOrder" => "order_id",
        "ReserveStock" => "reservation_id",
        _ => return None,
    };
    body[field].as_str()?.parse().ok()
}

fn answer_of(outcome: Result<BusReceipt, CommandError>) -> Answer {
    match outcome {
        Ok(receipt) => Answer::Accepted(receipt_of(receipt)),
        Err(CommandError::Refused { refusal, .. }) => {
            Answer::Refused { code: refusal.code().to_string(), detail: refusal.to_string() }
        }
        Err(
            unknown @ (CommandError::Contended
            | CommandError::Busy
            | CommandError::NotWritten(_)
            | CommandError::Failed(_)
            | CommandError::Lost
            | CommandError::WrongClock(_)
            | CommandError::Stopped),
        ) => Answer::Unknown(unknown.to_string()),
        Err(wrong @ (CommandError::KeyReused(_) | CommandError::Unreadable(_) | CommandError::Unwritable(_))) => {
            panic!("{wrong}")
        }
    }
}

fn receipt_of(receipt: BusReceipt) -> Receipt {
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

fn describe(answer: &Answer) -> String {
    match answer {
        Answer::Accepted(receipt) if receipt.replayed => format!("accepted before, up to {}", receipt.position),
        Answer::Accepted(receipt) => format!("accepted, up to {}", receipt.position),
        Answer::Shown(position) => format!("shown, up to {position}"),
        Answer::Refused { detail, .. } => format!("refused: {detail}"),
        Answer::Unknown(why) => format!("unknown: {why}"),
    }
}
