//! Outcomes of the bus over HTTP that no rule of the domain causes.

use axum::{body::Body, http::Request};
use chrono::TimeDelta;
use daybook_bus::{Bus, BusSettings, Clock, Tokio};
use daybook_command_api::http::CommandApi;
use daybook_domain::Actor;
use daybook_edge::tokens::Keys;
use daybook_event_store::{Daybook, StoreSettings};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tower::ServiceExt;
use uuid::Uuid;

#[tokio::test]
async fn a_full_queue_is_answered_at_once_with_a_time_to_retry() {
    // The queue holds one command, and no task runs the bus. So it never connects to its database.
    let database_url = "postgres://unused@localhost/nothing".to_owned();
    let book = Daybook::open(&StoreSettings { database_url, max_connections: 1 }).expect("the URL is right");
    let settings = BusSettings { queue: 1, ..BusSettings::default() };
    let (bus, _work) = Bus::on(Tokio, book, Clock::system(), &settings);
    let keys = Keys::new(b"a secret of thirty-two or more bytes").expect("the secret is good");
    let token = keys.sign(&Actor::Admin("test".into()), Clock::system().now(), TimeDelta::hours(1)).expect("a token");
    let api = CommandApi::new(bus, keys).router();
    let reservation = |number| {
        let id = Uuid::from_u128(number);
        let body = json!({ "sku": "oat", "reservation_id": id, "owner": format!("buyer:{id}"), "quantity": 1 });
        let request = Request::post("/commands/ReserveStock")
            .header("authorization", format!("Bearer {token}"))
            .header("content-type", "application/json")
            .body(Body::from(body.to_string()))
            .expect("a request");
        Box::pin(api.clone().oneshot(request))
    };

    let mut waiting = reservation(1);
    assert!(futures::poll!(&mut waiting).is_pending(), "the first command is queued");
    let response = reservation(2).await.expect("a router always answers");
    assert_eq!((response.status().as_u16(), &response.headers()["retry-after"]), (503, &"1".parse().expect("a value")));
    let body = response.into_body().collect().await.expect("a body").to_bytes();
    assert_eq!(serde_json::from_slice::<Value>(&body).expect("JSON")["code"], "busy");
    assert!(futures::poll!(&mut waiting).is_pending(), "the queued command waits for its outcome");
}
