//! Idle WebSockets, the short form. The long form is `cargo run --release -p daybook-tests --bin idle_sockets`.

use std::time::Duration;

use daybook_tests::{
    Shop, directory,
    idle_sockets::{self, Plan},
    sell,
};

#[tokio::test(flavor = "multi_thread")]
async fn five_hundred_idle_sockets_cost_little_memory_and_the_shop_answers_meanwhile() {
    let directory = directory();
    let shop = Shop::up(directory.path()).await;
    sell(&shop).await;
    let plan = Plan { silent: 400, subscribed: 100, asked: 5, idle: Duration::from_secs(1) };
    let report = idle_sockets::run(&shop, &plan).await.expect("every subscriber gets every event");
    assert_eq!((report.answers.len(), report.delivered.len()), (10, 5));
    // A superfluous buffer of the library, of 128 kB, would exceed this.
    assert!(report.kb_per_socket < 100.0, "{} kB a socket", report.kb_per_socket);
    assert!(shop.stop().success());
}
