//! Keys of commands: each sender has its own.

use daybook_bus::{CommandError, Submission, clock::new_id};
use daybook_domain::{Actor, ids::CustomerId};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::{id, stock_up, submission, world};

#[tokio::test(flavor = "multi_thread")]
async fn nobody_can_use_up_the_key_of_another() {
    let world = world().await;
    let bus = world.bus();
    stock_up(&bus, 5).await;
    let key = new_id();
    let (ann, bob) = (Actor::Customer(CustomerId(id(1))), Actor::Customer(CustomerId(id(2))));
    let as_actor = |actor: &Actor, name: &str, body: Value| {
        let submission = Submission::new(submission(name, body).command, key, actor.clone());
        let bus = bus.clone();
        async move { bus.execute(submission).await }
    };
    let open = |cart: u128| json!({ "cart_id": id(cart), "currency": "EUR" });
    let admins = [Actor::Admin("ada".into()), Actor::Admin("import".into())];
    for (actor, cart) in [(Actor::Guest, 1), (Actor::Guest, 2), (ann.clone(), 3), (bob.clone(), 4)] {
        let opened = as_actor(&actor, "OpenCart", open(cart)).await.expect("the key is new to this sender");
        assert!(!opened.replayed, "{actor}");
    }
    for actor in &admins {
        let received = json!({ "sku": "oat", "quantity": 1 });
        assert!(!as_actor(actor, "ReceiveStock", received).await.expect("the key is new").replayed, "{actor}");
    }
    let events = world.events().await;
    // Each sender has its own outcome, and a stranger gets none of them.
    for (actor, cart) in [(&Actor::Guest, 1), (&Actor::Guest, 2), (&ann, 3), (&bob, 4)] {
        assert!(as_actor(actor, "OpenCart", open(cart)).await.expect("it is repeated").replayed, "{actor}");
        let other = json!({ "cart_id": id(cart), "currency": "USD" });
        let reused = as_actor(actor, "OpenCart", other).await;
        assert!(matches!(reused, Err(CommandError::KeyReused(_))), "{actor}: {reused:?}");
    }
    for stranger in [&Actor::Guest, &Actor::Customer(CustomerId(id(3)))] {
        let refused = as_actor(stranger, "OpenCart", open(3)).await;
        assert!(matches!(refused, Err(CommandError::Refused { .. })), "{stranger}: {refused:?}");
    }
    assert_eq!(world.events().await, events, "nothing was written");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guest_who_logs_in_and_repeats_a_command_gets_the_first_outcome() {
    let world = world().await;
    stock_up(&world.bus(), 5).await;
    let ann = Actor::Customer(CustomerId(id(1)));
    let commands = [
        ("OpenCart", json!({ "cart_id": id(7), "currency": "EUR" })),
        ("AddLine", json!({ "cart_id": id(7), "sku": "oat", "quantity": 1 })),
        ("PlaceOrder", json!({ "cart_id": id(7), "order_id": id(8) })),
        ("CancelOrder", json!({ "order_id": id(8), "reason": "second thoughts" })),
    ];
    let mut sent = Vec::new();
    for (name, body) in commands {
        let as_guest = Submission { actor: Actor::Guest, ..submission(name, body) };
        // Each process has an empty cache, as after a restart.
        let first = world.bus().execute(as_guest.clone()).await.expect("it is accepted");
        sent.push((as_guest, first.position));
    }
    let events = world.events().await;
    for (as_guest, position) in sent {
        let again = world.bus().execute(Submission { actor: ann.clone(), ..as_guest }).await.expect("it is repeated");
        assert_eq!((again.replayed, again.position), (true, position));
    }
    assert_eq!(world.events().await, events, "nothing was written");
}

#[tokio::test(flavor = "multi_thread")]
async fn programs_from_before_find_the_commands_of_this_one_and_the_other_way_round() {
    let world = world().await;
    stock_up(&world.bus(), 5).await;
    let open =
        Submission { actor: Actor::Guest, ..submission("OpenCart", json!({ "cart_id": id(7), "currency": "EUR" })) };
    world.bus().execute(open.clone()).await.expect("it is accepted");
    let client = world.database.connect().await;
    let append = "SELECT duplicates, first_position FROM append_batch('{}', '{}', $1, $2, $3, '{0}', '{1}', $4, '{1}',
        '{cart.CartOpened}', '{2}', ARRAY[gen_random_uuid()], '{NULL}', $2, $2, $5, '{NULL}', '{NULL}',
        ARRAY['{}'::json])";
    let key = open.command_id;
    // The program from before checks the id before it writes.
    let row = client
        .query_one(
            append,
            &[&vec![key], &vec![key], &vec![vec![1_u8]], &vec![format!("cart-{}", id(9))], &vec!["guest"]],
        )
        .await
        .expect("it answers");
    assert_eq!((row.get::<_, Option<Vec<Uuid>>>(0), row.get::<_, Option<i64>>(1)), (Some(vec![key]), None));
    // It writes a command of a guest and one of an administrator, which this program finds when they are repeated.
    let (later, cart) = (new_id(), format!("cart-{}", id(10)));
    for (actor, key) in [("guest", later), ("admin:ada", new_id())] {
        let cart = if actor == "guest" { cart.clone() } else { format!("cart-{}", id(11)) };
        let none: Vec<Uuid> = Vec::new();
        let row = client
            .query_one(append, &[&none, &vec![key], &vec![vec![1_u8]], &vec![cart.clone()], &vec![actor]])
            .await
            .expect("it writes");
        assert!(row.get::<_, Option<i64>>(1).is_some());
        let scope: String = client
            .query_one("SELECT scope FROM commands WHERE command_id = $1", &[&key])
            .await
            .expect("it is known")
            .get(0);
        assert_eq!(scope, if actor == "guest" { format!("guest:{cart}") } else { actor.to_owned() });
    }
}
