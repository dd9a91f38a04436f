//! Durable commands of two events on new streams: a product is created and its slug claimed, through the bus.

use std::time::Duration;

use daybook_bus::{Bus, BusSettings, Clock, Submission, clock::new_id};
use daybook_domain::{Actor, catalog::CreateProduct, ids::ProductId};

use super::{
    ceiling,
    load::{Call, drive},
    report::Report,
    stage::Stage,
};

/// The size of an average event. Comparable engines have 300 to 400 bytes, too.
const EVENT_BYTES: usize = 340;
/// The duration of the measurement of the ceiling.
const CEILING_TIME: Duration = Duration::from_secs(3);

pub(super) async fn measure(stage: &Stage, clients: u32, time: Duration) -> anyhow::Result<Report> {
    let ceiling = ceiling::batches(stage, EVENT_BYTES, CEILING_TIME).await?;
    let bare_commit_p50_ms = ceiling::single(stage, EVENT_BYTES, CEILING_TIME).await?;
    let (bus, stopped) = Bus::start(stage.book.clone(), Clock::system(), &BusSettings::default());
    let before = stage.book.head().await?.position;
    let tally = drive(clients, time, |_| {
        let bus = bus.clone();
        move || {
            let bus = bus.clone();
            async move { Some(create(&bus).await) }
        }
    })
    .await;
    let conflicts = bus.conflicts();
    drop(bus);
    stopped.await?;
    let events = stage.book.head().await?.position - before;
    let ratio = tally.per_second() * 2.0 / ceiling.events_per_s;
    Ok(Report::new("append", clients, &tally, events, ceiling)
        .conflicting(conflicts)
        .with("of_ceiling", ratio)
        .with("bare_commit_p50_ms", bare_commit_p50_ms))
}

async fn create(bus: &Bus) -> Call {
    let id = new_id();
    let slug = format!("a-product-of-the-bench-whose-slug-is-long-enough-to-make-an-event-of-a-usual-size-{id}");
    let command = CreateProduct {
        product_id: ProductId(id),
        name: "A product of the bench".parse().expect("a valid name"),
        slug: Some(slug.parse().expect("a valid slug")),
        description: Some("What is said of it is as long as such texts are. ".repeat(4).parse().expect("a valid text")),
        brand: None,
        categories: Vec::new(),
        attributes: std::collections::BTreeMap::new(),
        variants: Vec::new(),
        publish: false,
    };
    match bus.execute(Submission::new(command, new_id(), Actor::Admin("bench".to_owned()))).await {
        Ok(_) => Call::Done,
        Err(error) => {
            tracing::debug!(%error, "a command failed");
            Call::Failed
        }
    }
}
