//! `daybook up --demo`: a small shop, to look around in. It is a list of commands as anybody could send them, and goes through
//! the bus like all others; each has an id of its own, so that a second start adds nothing.

use anyhow::Context;
use daybook_bus::{Bus, BusSettings, Clock, Submission};
use daybook_domain::{Actor, Command};
use daybook_event_store::Daybook;
use serde::Deserialize;
use serde_json::Value;
use uuid::Uuid;

/// The commands, one a line, in the order in which they are sent.
const SHOP: &str = include_str!("shop.ndjson");
/// The namespace of the ids of these commands (a random UUID, fixed for ever).
const COMMANDS: Uuid = Uuid::from_u128(0x5f0a_9b1e_73c4_4d2a_9c56_e1d8_3a40_b7f2);

#[derive(Deserialize)]
struct Line {
    command: String,
    body: Value,
}

/// Loads the shop; returns how many commands were new.
///
/// # Errors
/// When a command is refused, as it is when a shop with the same names is there already, or the store fails.
pub async fn load(book: Daybook) -> anyhow::Result<usize> {
    let (bus, stopped) = Bus::start(book, Clock::system(), &BusSettings::default());
    let mut new = 0;
    for line in SHOP.lines() {
        let Line { command: name, body } = serde_json::from_str(line)?;
        let command = Command::deserialize(&name, body).with_context(|| format!("{name} is no command"))??;
        let submission =
            Submission::new(command, Uuid::new_v5(&COMMANDS, line.as_bytes()), Actor::Admin("demo".into()));
        let receipt = bus.execute(submission).await.with_context(|| format!("the demo shop: {line}"))?;
        new += usize::from(!receipt.replayed);
    }
    drop(bus);
    stopped.await?;
    Ok(new)
}
