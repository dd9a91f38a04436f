//! A broker that asks for TLS and a login. `.ci/kafka secured` runs one.

use std::time::Duration;

use daybook_event_stream::{KafkaSecurity, KafkaSettings};
use daybook_test_needs::{Need, skipped};

use crate::{
    broker::{PARTITIONS, real, secured, topology},
    world::world,
};

#[tokio::test(flavor = "multi_thread")]
async fn only_the_right_login_at_the_right_broker_is_let_in() {
    let (Some(brokers), Ok(ca_file)) = (real(), std::env::var("KAFKA_CA")) else {
        skipped(Need::RealBroker, "no broker asks for TLS and a login");
        return;
    };
    let password = std::env::var("KAFKA_PASSWORD").expect("the login has a password");
    let answers = async |security: KafkaSecurity| {
        let (brokers, topology) = (brokers.clone(), topology("secured".to_owned(), PARTITIONS));
        let kafka = KafkaSettings {
            brokers,
            topology,
            replication: 1,
            fetch_wait: Duration::from_millis(500),
            security,
            group_suffix: None,
        };
        kafka.answers(Duration::from_secs(10)).await
    };
    answers(secured(&ca_file, &password)).await.expect("the login is right");
    answers(secured(&ca_file, "another password")).await.expect_err("the password is wrong");
    // The system's authorities have not signed the certificate of this broker.
    let others = ["/etc/ssl/certs/ca-certificates.crt", "/etc/ssl/cert.pem"];
    if let Some(other) = others.into_iter().find(|file| std::path::Path::new(file).exists()) {
        answers(secured(other, &password)).await.expect_err("the broker is another one");
    }
    answers(KafkaSecurity::default()).await.expect_err("the broker takes nobody without TLS");

    // Relay and consumers get through.
    let world = world().await;
    let relay = world.relay();
    world.append_many(30).await;
    world.published().await;
    world.assert_published_once().await;
    relay.stop().await;
}
