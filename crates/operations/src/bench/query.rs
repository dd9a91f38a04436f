//! GraphQL queries over HTTP: the most frequent queries of shops, alternating between both endpoints. The ceiling is the bare database
//! that finds one row by its key, over as many connections as the server has.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use daybook_bus::{Bus, BusSettings, Clock};
use daybook_projectors::{rebuild, views};
use serde_json::json;
use tokio::{sync::Mutex, task::JoinSet};
use uuid::Uuid;

use super::{
    engine::{self, PARTITIONS, Parts, Start},
    history,
    http::{Caller, keys, token},
    load::drive,
    report::{Ceiling, Report, per_second},
    shop::{self, sku},
    stage::Stage,
};

const PRODUCTS: usize = 1_000;
/// The number of events of carts and orders.
const EVENTS: i64 = 20_000;
/// The duration of the measurement of the ceiling, and its connections.
const CEILING: (Duration, usize) = (Duration::from_secs(3), 8);

/// A request: the endpoint, and the body.
type Question = (&'static str, String);

pub(super) async fn measure(stage: &Stage, start: &Start, clients: u32, time: Duration) -> anyhow::Result<Report> {
    let (bus, stopped) = Bus::start(stage.book.clone(), Clock::system(), &BusSettings::default());
    shop::stock_up(&bus, PRODUCTS, 1_000_000).await?;
    drop(bus);
    stopped.await?;
    history::write(stage, EVENTS).await?;
    let topology = daybook_projectors::topology("daybook", PARTITIONS);
    for view in views::ALL {
        rebuild::build_if_missing(&stage.book, &topology, view).await?;
    }
    let ceiling = bare_look_ups(stage).await?;
    let running = start(engine::on(stage, Parts::Queries, engine::topics().at("127.0.0.1:1"))?).await?;
    let questions = Arc::new(questions(stage).await?);
    let token = token(&keys()?)?;
    let mut callers = Vec::new();
    for _ in 0..clients {
        callers.push(Arc::new(Mutex::new(Caller::connect(running.address, &token).await?)));
    }
    let tally = drive(clients, time, |number| {
        let (questions, caller) = (Arc::clone(&questions), Arc::clone(&callers[number as usize]));
        let mut next = number as usize;
        move || {
            let (questions, caller) = (Arc::clone(&questions), Arc::clone(&caller));
            next += 1;
            let next = next;
            async move {
                let (path, body) = &questions[next % questions.len()];
                Some(caller.lock().await.ask(path, body.clone()).await)
            }
        }
    })
    .await;
    running.stop.await?;
    Ok(Report::new("query", clients, &tally, 0, ceiling).with("requests_per_s", tally.per_second()))
}

/// Ten queries are: four for a product, two for lists, two for an order, one for a page of orders, one for sales by day.
async fn questions(stage: &Stage) -> anyhow::Result<Vec<Question>> {
    let client = stage.connect().await?;
    let rows = client.query("SELECT order_id FROM read.orders ORDER BY order_id LIMIT 500", &[]).await?;
    let orders = rows.iter().map(|row| row.try_get(0)).collect::<Result<Vec<Uuid>, _>>()?;
    let mut questions = Vec::new();
    let body = |query: String| json!({ "query": query }).to_string();
    for (number, order) in orders.iter().enumerate() {
        for nr in 0..4 {
            let sku = sku((number * 4 + nr) % PRODUCTS);
            let query = format!("{{ product(sku: \"{sku}\") {{ id name description variants {{ sku }} }} }}");
            questions.push(("/graphql", body(query)));
        }
        let list =
            "{ products(first: 20) { edges { cursor node { id name variants { sku } } } pageInfo { hasNextPage } } }";
        questions.push(("/graphql", body(list.to_owned())));
        questions.push(("/graphql", body(format!("{{ search(query: \"product {number}\", first: 20) {{ products {{ edges {{ node {{ id name }} }} }} }} }}"))));
        for _ in 0..2 {
            let query = format!(
                "{{ order(id: \"{order}\") {{ phase net {{ minorUnits currency }} lines {{ sku quantity }} timeline {{ version type }} }} }}"
            );
            questions.push(("/admin/graphql", body(query)));
        }
        let page = "{ orders(first: 20) { edges { node { id phase net { minorUnits } } } } }";
        questions.push(("/admin/graphql", body(page.to_owned())));
        let sales = "{ salesByDay(from: \"2023-11-14\", to: \"2023-11-16\") { date orders units net { minorUnits } } }";
        questions.push(("/admin/graphql", body(sales.to_owned())));
    }
    Ok(questions)
}

/// The rows a second that the bare database finds by their key.
async fn bare_look_ups(stage: &Stage) -> anyhow::Result<Ceiling> {
    let (time, connections) = CEILING;
    let mut running = JoinSet::new();
    let begin = Instant::now();
    for number in 0..connections {
        let client = stage.connect().await?;
        running.spawn(async move {
            let by_key = client.prepare("SELECT * FROM read.product_variants WHERE sku = $1").await?;
            let mut found = 0;
            let mut next = number;
            while begin.elapsed() < time {
                client.query_one(&by_key, &[&sku(next % PRODUCTS).as_str()]).await?;
                next += 7;
                found += 1;
            }
            Ok::<i64, tokio_postgres::Error>(found)
        });
    }
    let mut found = 0;
    while let Some(ended) = running.join_next().await {
        found += ended??;
    }
    let what = format!("bare SELECTs of one row by its key, a second, over {connections} connections");
    Ok(Ceiling { what, events_per_s: per_second(found, begin.elapsed()) })
}
