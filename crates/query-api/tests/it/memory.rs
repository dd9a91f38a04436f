//! A measurement: what a guest's large queries cost the process and an honest client. It asserts the bound of memory, and prints the rest.
//!
//! `cargo test --release -p daybook-query-api --test it memory -- --ignored --nocapture`

use std::time::{Duration, Instant};

use axum::http::StatusCode;
use futures::future::join_all;
use serde_json::json;
use tokio::task::JoinSet;
use tower::ServiceExt;

use crate::shop::Shop;

/// The stated bound of answers in flight, of which the counts are estimates.
const BOUND: u64 = (2 * 576) << 20;
/// A page of 100 products with all that they have: 25,000 variants.
const LARGE: &str = "{ products(first: 100) { edges { node { id name attributes { name value } variants { sku name
                     options { name value } available prices { channel price { minorUnits currency formatted } } } } } } }";
/// What an honest client asks for.
const SMALL: &str =
    r#"{ product(sku: "SKU-7-3") { name slug variants(first: 5) { sku prices { price { formatted } } } } }"#;
/// A page of products without their variants, as a list of the storefront shows it.
const LIST: &str = "{ products(first: 24) { edges { node { id name slug brand } } } }";

async fn fill(shop: &Shop) {
    shop.connect()
        .await
        .batch_execute(
            "INSERT INTO read.products (product_id, slug, name, status, category_ids, attributes, skus, search, sales,
                                        created_at, updated_at, position)
             SELECT md5('p' || p)::uuid, 'product-' || p, 'Product ' || p, 'published', '{}',
                    (SELECT jsonb_object_agg('attribute ' || a, repeat('x', 40)) FROM generate_series(1, 20) a),
                    '{}', '', '[]', now(), now(), p
             FROM generate_series(1, 100) p;
             INSERT INTO read.product_variants (sku, product_id, ordinal, name, options, removed, sales, position)
             SELECT 'SKU-' || p || '-' || v, md5('p' || p)::uuid, v, 'Variant ' || v,
                    (SELECT jsonb_object_agg('option ' || o, repeat('y', 30)) FROM generate_series(1, 10) o), false, '[]', v
             FROM generate_series(1, 100) p, generate_series(1, 250) v;
             INSERT INTO read.sku_prices (sku, channel, currency, minor_units, since, changes, position)
             SELECT sku, 'web', currency, 250, now(), '[]', 1
             FROM read.product_variants, unnest(ARRAY['EUR', 'USD', 'CHF']) AS currency;",
        )
        .await
        .expect("the tables can be filled");
}

/// The resident memory of this process.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.trim().split(' ').next()?.parse::<u64>().ok()).unwrap_or_default() << 10
}

/// The times of an honest client's requests: half of them and 99 of 100 are faster. And how many were not answered.
async fn honest(shop: &Shop, requests: usize) -> (Duration, Duration, usize) {
    let (mut times, mut failed) = (Vec::with_capacity(requests), 0);
    for nr in 0..requests {
        let begin = Instant::now();
        let answer = shop.guest_from("192.0.2.1", if nr % 2 == 0 { SMALL } else { LIST }).await;
        failed += usize::from(answer.json().get("errors").is_some());
        times.push(begin.elapsed());
    }
    times.sort_unstable();
    (times[requests / 2], times[requests * 99 / 100], failed)
}

/// One attacker: large queries, twenty at once, each in a task of its own, as each connection has one. Returns how many were answered
/// and how many refused.
async fn attack(shop: &Shop, address: &str, rounds: usize) -> (usize, usize) {
    let (mut answered, mut refused) = (0, 0);
    for _ in 0..rounds {
        let mut requests = JoinSet::new();
        for _ in 0..20 {
            requests.spawn(shop.router().oneshot(shop.request_from(address, &json!({ "query": LARGE }))));
        }
        for answer in requests.join_all().await {
            match answer.expect("a router always answers").status() {
                StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => refused += 1,
                // An answer that grew too large is an error of GraphQL, whose status is 200 for this media type.
                _ => answered += 1,
            }
        }
    }
    (answered, refused)
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "a measurement"]
async fn memory_and_an_honest_client_beside_large_queries() {
    let shop = Shop::open().await;
    fill(&shop).await;
    let alone = honest(&shop, 500).await;
    let before = resident();
    for attackers in [1, 8] {
        let highest = std::sync::atomic::AtomicU64::new(0);
        let watch = async {
            loop {
                highest.fetch_max(resident(), std::sync::atomic::Ordering::Relaxed);
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        let addresses: Vec<String> = (0..attackers).map(|nr| format!("198.51.100.{nr}")).collect();
        let attacks = join_all(addresses.iter().map(|address| attack(&shop, address, 10)));
        let beside = tokio::select! {
            (attacks, beside) = async { tokio::join!(attacks, honest(&shop, 500)) } => {
                let (answered, refused) = attacks.iter().fold((0, 0), |all, one| (all.0 + one.0, all.1 + one.1));
                println!("{attackers} attackers: {answered} answered or ended, {refused} refused");
                beside
            }
            () = watch => unreachable!("it watches for ever"),
        };
        let grown = highest.into_inner().saturating_sub(before);
        println!(
            "  honest p50, p99 and failures alone {alone:?}, beside {beside:?}; memory {} MB and {} MB more",
            before >> 20,
            grown >> 20
        );
        assert!(grown < BOUND, "{grown} bytes");
        assert!(attackers > 1 || beside.2 == 0, "one attacker keeps an honest client from its answers");
    }
}
