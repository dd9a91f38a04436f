//! `daybook up --demo`: a small shop to try. It is a list of ordinary commands that go through the bus. Each has a fixed id, so a second
//! start adds nothing.

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

/// Loads the shop. Returns the number of new commands.
///
/// # Errors
/// When a command is refused, for example because the book has products of the same names, or when the store fails.
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
