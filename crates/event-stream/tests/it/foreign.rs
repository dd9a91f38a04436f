//! Other clients on our topics: the default partitioner of a Java client, and a plain CloudEvents consumer in Python.

use std::{
    collections::BTreeMap,
    io::Write,
    path::Path,
    process::{Command, Stdio},
};

use daybook_test_needs::{Need, skipped};

use crate::{
    broker::{Topics, real},
    world::world,
};

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");

/// The output of a subcommand of `.ci/kafka`. None when the subcommand fails.
fn kafka(subcommand: &str) -> Option<String> {
    let answer = Command::new(Path::new(ROOT).join(".ci/kafka")).arg(subcommand).output().expect("a script");
    answer.status.success().then(|| String::from_utf8_lossy(&answer.stdout).trim().to_owned())
}

/// Runs a program to its end with this standard input, and returns its standard output.
async fn output(mut program: Command, input: String) -> String {
    let run = move || {
        let mut child = program.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("a program starts");
        let mut stdin = child.stdin.take().expect("the input is piped");
        let fed = std::thread::spawn(move || stdin.write_all(input.as_bytes()));
        let ended = child.wait_with_output().expect("the program ends");
        fed.join().expect("no panic").expect("the program has read its input");
        assert!(ended.status.success(), "{program:?} has failed");
        String::from_utf8(ended.stdout).expect("text")
    };
    tokio::task::spawn_blocking(run).await.expect("no panic")
}

#[tokio::test]
async fn keys_are_in_the_partitions_that_java_clients_choose() {
    if real().is_none() {
        return skipped(Need::RealBroker, "the Java client is compared on a real broker only");
    }
    let Some(classpath) = kafka("classpath") else { return skipped(Need::Java, "the Java client cannot be fetched") };
    let topics = Topics::new(12).await;
    let kinds = ["order", "cart", "product", "sku", "stock", "slug", "Größe", "価格", "🛒"];
    let keys: Vec<String> = (0..5_000_u64)
        .map(|nr| {
            format!(
                "{}-{:x}",
                kinds[usize::try_from(nr % 9).expect("a small number")],
                nr.wrapping_mul(0x9e37_79b9_7f4a_7c15)
            )
        })
        // Keys of every length are tried, since the hash reads four bytes at a time.
        .chain((0..40).map(|length| "k".repeat(length)))
        .collect();
    let mut java = Command::new("java");
    java.args([
        "-Xmx256m",
        "-XX:TieredStopAtLevel=1",
        "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
        "-cp",
        &classpath,
    ]);
    java.arg(Path::new(ROOT).join("tests/kafka/Keys.java"));
    java.args([&topics.settings.brokers, &topics.settings.topology.topic("order")]);
    let partitions = output(java, keys.iter().map(|key| format!("{key}\n")).collect()).await;
    let partitions: Vec<i32> = partitions.lines().map(|line| line.parse().expect("a number")).collect();
    assert_eq!(partitions.len(), keys.len());
    for (key, partition) in keys.iter().zip(partitions) {
        assert_eq!(topics.settings.topology.partition_of(key), partition, "{key}");
    }
}

#[tokio::test]
async fn a_plain_cloud_events_consumer_gets_every_event_once_and_in_order_per_key() {
    if real().is_none() {
        return skipped(Need::RealBroker, "the Python consumer reads from a real broker only");
    }
    let Some(packages) = kafka("python") else { return skipped(Need::Python, "the Python consumer cannot be fetched") };
    let world = world().await;
    let relay = world.relay();
    world.append_many(2_000).await;
    world.published().await;
    relay.stop().await;

    let mut consumer = Command::new("python3");
    consumer.env("PYTHONPATH", packages);
    consumer.arg(Path::new(ROOT).join("tests/kafka/read_cloud_events.py")).arg(&world.kafka.brokers);
    consumer.args(world.kafka.topology.topics());
    let found = output(consumer, String::new()).await;
    let found: BTreeMap<String, Vec<(i64, i32)>> =
        serde_json::from_str(&found).expect("the output of the consumer is JSON");
    let mut expected: BTreeMap<String, Vec<(i64, i32)>> = BTreeMap::new();
    for event in world.events().await {
        expected.entry(event.stream_id).or_default().push((event.position, event.version));
    }
    assert_eq!(found, expected);
}
