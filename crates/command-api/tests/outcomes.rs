//! Outcomes of the bus over HTTP that no rule of the domain causes.

use axum::{body::Body, http::Request};
use chrono::TimeDelta;
use daybook_bus::{Bus, BusSettings, Clock, Tokio};
use daybook_command_api::http::CommandApi;
use daybook_domain::{Actor, Command, Role};
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
        let id = uuid::Builder::from_random_bytes(u128::to_be_bytes(number)).into_uuid();
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

#[tokio::test]
async fn a_command_needs_no_token_exactly_where_a_guest_may_send_it() {
    let database_url = "postgres://unused@localhost/nothing".to_owned();
    let book = Daybook::open(&StoreSettings { database_url, max_connections: 1 }).expect("the URL is right");
    let (bus, _work) = Bus::on(Tokio, book, Clock::system(), &BusSettings::default());
    let api = CommandApi::new(
        bus,
        Keys::new(b"the secret of a test of thirty-two bytes").expect("the secret is long enough"),
    )
    .router();
    let mut for_guests = 0;
    for contract in Command::contracts().into_iter().filter(|contract| contract.access.is_public()) {
        let send = async |token: Option<&str>| {
            let request = Request::post(format!("/commands/{}", contract.name));
            let request = token.into_iter().fold(request, |request, token| request.header("authorization", token));
            // The body is wrong, so nothing is sent to the bus.
            let request = request.body(Body::from("[]")).expect("a request");
            api.clone().oneshot(request).await.expect("a router always answers").status().as_u16()
        };
        let guest = contract.access.roles.contains(&Role::Guest);
        for_guests += usize::from(guest);
        assert_eq!(send(None).await, if guest { 400 } else { 401 }, "{}", contract.name);
        for wrong in ["Bearer ", "Bearer nonsense", "Basic YTpi"] {
            assert_eq!(send(Some(wrong)).await, 401, "{}: a wrong token is not the same as none", contract.name);
        }
    }
    assert!(for_guests > 0, "guests may send no command");
}

#[tokio::test]
async fn a_key_that_libraries_send_where_nobody_has_set_one_is_malformed() {
    let database_url = "postgres://unused@localhost/nothing".to_owned();
    let book = Daybook::open(&StoreSettings { database_url, max_connections: 1 }).expect("the URL is right");
    let (bus, _work) = Bus::on(Tokio, book, Clock::system(), &BusSettings::default());
    let keys = Keys::new(b"the secret of a test of thirty-two bytes").expect("the secret is long enough");
    let token = keys.sign(&Actor::Guest, Clock::system().now(), TimeDelta::hours(1)).expect("a token");
    let api = CommandApi::new(bus, keys).router();
    for key in [Uuid::nil(), Uuid::max()] {
        let body = json!({ "cart_id": "018f0000-0000-7000-8000-000000000001", "currency": "EUR" });
        let request = Request::post("/commands/OpenCart")
            .header("authorization", format!("Bearer {token}"))
            .header("idempotency-key", key.to_string())
            .body(Body::from(body.to_string()))
            .expect("a request");
        let response = api.clone().oneshot(request).await.expect("a router always answers");
        assert_eq!(response.status().as_u16(), 400, "{key}");
        let body = response.into_body().collect().await.expect("a body").to_bytes();
        let problem: Value = serde_json::from_slice(&body).expect("JSON");
        assert_eq!(problem["code"], "malformed_idempotency_key", "{problem}");
    }
}
