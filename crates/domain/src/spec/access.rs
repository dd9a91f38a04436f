//! Who may send which command.

use serde_json::json;

use super::{Book, cart, code, command, customer, customer_id, engine, order};
use crate::{
    Actor, Command, Role, Storefront, Streams, authorise,
    ids::{Channel, LocationId},
};

/// An actor of each role.
fn actors() -> [Actor; 5] {
    [Actor::Guest, customer("ann"), Actor::Support("sue".into()), Actor::Admin("ada".into()), engine()]
}

#[test]
fn the_matrix_of_roles_and_commands_is_pinned_and_decided() {
    let matrix = Command::contracts().into_iter().map(|contract| {
        let row: Vec<_> = actors()
            .iter()
            .map(|actor| {
                let allowed = contract.access.check_role(contract.name, actor.role()).is_ok();
                format!("{} {}", actor.role(), if allowed { "may" } else { "-" })
            })
            .collect();
        format!("{}: {}", contract.name, row.join(", "))
    });
    insta::assert_json_snapshot!(matrix.collect::<Vec<_>>());
}

#[test]
fn a_command_of_another_role_is_refused_before_anything_is_read() {
    let book = Book::with_order_of("ann");
    let confirm = command("ConfirmOrder", json!({ "order_id": order(1) }));
    for actor in actors() {
        let streams = Streams::over(&book);
        let authorised = authorise(&confirm, &actor, &Storefront::default(), &streams);
        assert_eq!(authorised.is_ok(), matches!(actor.role(), Role::Support | Role::Admin), "{actor}");
        assert_eq!(streams.reads(), []);
    }
}

#[test]
fn every_command_about_a_cart_or_an_order_that_buyers_send_names_whose_it_is() {
    for contract in Command::contracts() {
        let access = contract.access;
        let for_buyers = access.roles.contains(&Role::Guest);
        let is_bound = !access.own.is_empty() || access.customer.is_some();
        assert!(!for_buyers || is_bound, "{} binds no buyer", contract.name);
    }
}

#[test]
fn a_buyer_touches_only_their_own_cart() {
    let mut book = Book::with_product("a", 9);
    book.with_customer_cart(1, "ann", &[("a", 1)]).with_cart(2, &[("a", 1)]);
    let own = [
        ("AddLine", json!({ "cart_id": cart(1), "sku": "a", "quantity": 1 })),
        ("AddLines", json!({ "cart_id": cart(1), "lines": [{ "sku": "a", "quantity": 1 }] })),
        ("ChangeQuantity", json!({ "cart_id": cart(1), "sku": "a", "quantity": 9 })),
        ("RemoveLine", json!({ "cart_id": cart(1), "sku": "a" })),
        ("MergeCarts", json!({ "from": cart(2), "into": cart(1) })),
        ("MergeCarts", json!({ "from": cart(1), "into": cart(2) })),
        ("PlaceOrder", json!({ "cart_id": cart(1), "order_id": order(1) })),
        ("AbandonCart", json!({ "cart_id": cart(1) })),
    ];
    for (name, body) in own {
        for other in [customer("bob"), Actor::Guest] {
            assert_eq!(code(book.when_as(other, name, body.clone())), "cart_not_yours", "{name}");
        }
    }
    let open = json!({ "cart_id": cart(3), "currency": "EUR", "customer_id": customer_id("ann") });
    assert_eq!(code(book.when_as(customer("bob"), "OpenCart", open)), "for_somebody_else");
}

#[test]
fn buyers_have_the_channels_and_locations_of_the_storefront_and_staff_has_all() {
    let open =
        |channel: &str| command("OpenCart", json!({ "cart_id": cart(1), "channel": channel, "currency": "EUR" }));
    let place = |locations: &[&str]| {
        command("PlaceOrder", json!({ "cart_id": cart(1), "order_id": order(1), "locations": locations }))
    };
    let berlin = LocationId::new("berlin").expect("a location");
    let storefront =
        Storefront { channels: vec![Channel::default()], locations: Some(vec![LocationId::default(), berlin]) };
    let mut book = Book::with_product("a", 9);
    book.with_cart(1, &[]);
    let check = |command: &Command, actor: &Actor, storefront: &Storefront| {
        let checked = authorise(command, actor, storefront, &Streams::over(&book));
        checked.map_err(|rejection| match rejection {
            crate::Rejection::Refused(refusal) => (refusal.code(), refusal.pointer(command)),
            crate::Rejection::NotLoaded => panic!("everything is loaded"),
        })
    };
    for buyer in [Actor::Guest, customer("ann")] {
        for served in [open("web"), place(&["main"]), place(&["berlin", "main"])] {
            assert_eq!(check(&served, &buyer, &storefront), Ok(()));
        }
        let refused = check(&open("b2b"), &buyer, &storefront).expect_err("it is not served");
        assert_eq!(refused, ("channel_not_served", Some("/channel".to_owned())));
        let refused = check(&place(&["main", "outlet"]), &buyer, &storefront).expect_err("it is not served");
        assert_eq!(refused, ("location_not_served", Some("/locations/1".to_owned())));
        assert_eq!(check(&place(&["outlet"]), &buyer, &Storefront::default()), Ok(()), "all are served by default");
    }
    for staff in [Actor::Support("sue".into()), Actor::Admin("ada".into())] {
        assert_eq!(check(&open("b2b"), &staff, &storefront), Ok(()));
        assert_eq!(check(&place(&["outlet"]), &staff, &storefront), Ok(()));
    }
}
