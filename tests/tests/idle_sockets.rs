//! WebSockets that wait, in a short form. The long one is `cargo run --release -p daybook-tests --bin idle_sockets`.

use std::time::Duration;

use daybook_tests::{
    Shop, directory,
    idle_sockets::{self, Plan},
    sell,
};

#[tokio::test(flavor = "multi_thread")]
async fn five_hundred_sockets_that_wait_cost_little_and_the_shop_answers_meanwhile() {
    let directory = directory();
    let shop = Shop::up(directory.path()).await;
    sell(&shop).await;
    let plan = Plan { silent: 400, subscribed: 100, asked: 5, idle: Duration::from_secs(1) };
    let report = idle_sockets::run(&shop, &plan).await.expect("all of them are told everything");
    assert_eq!((report.answers.len(), report.told.len()), (10, 5));
    // A buffer too many of the library, of 128 kB each, would show.
    assert!(report.kb_per_socket < 100.0, "{} kB a socket", report.kb_per_socket);
    assert!(shop.stop().success());
}
