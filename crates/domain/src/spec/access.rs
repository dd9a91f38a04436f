//! Who may send which command.

use chrono::TimeDelta;
use serde_json::{Value, json};

use super::{Book, cart, code, command, customer, customer_id, engine, examples::example, order};
use crate::{
    Actor, Command, CommandContract, Refusal, Rejection, Storefront, Streams, authorise, general,
    ids::{Channel, LocationId, OrderId},
};

/// An actor of each role.
fn actors() -> [Actor; 5] {
    [Actor::Guest, customer("ann"), Actor::Support("sue".into()), Actor::Admin("ada".into()), engine()]
}

#[test]
fn the_matrix_of_roles_and_commands_is_pinned_and_decided() {
    let book = Book::with_order_of("ann");
    let row = |contract: &CommandContract| {
        let command = example(contract);
        assert_eq!((command.name(), command.access()), (contract.name, contract.access));
        let decided = actors().map(|actor| {
            let streams = Streams::over(&book);
            let authorised = authorise(&command, &actor, &Storefront::default(), &streams);
            let is_forbidden =
                matches!(authorised, Err(Rejection::Refused(Refusal::General(general::Refusal::RoleForbidden(_)))));
            assert_ne!(contract.access.roles.contains(&actor.role()), is_forbidden, "{} by {actor}", contract.name);
            assert!(
                !is_forbidden || streams.reads().is_empty(),
                "{} reads before the check of the role",
                contract.name
            );
            format!("{} {}", actor.role(), if is_forbidden { "-" } else { "may" })
        });
        format!("{}: {}", contract.name, decided.join(", "))
    };
    insta::assert_json_snapshot!(Command::contracts().iter().map(row).collect::<Vec<_>>());
}

#[test]
fn every_command_that_a_buyer_may_send_names_an_owner() {
    for contract in Command::contracts() {
        let access = contract.access;
        let for_buyers = access.roles.iter().any(|role| role.is_buyer());
        let is_bound = !access.own.is_empty() || access.customer.is_some();
        assert!(!for_buyers || is_bound, "{} binds no buyer", contract.name);
    }
}

/// The commands of buyers about cart 1. Cart 2 is an open cart of a guest.
fn about_cart_1() -> [(&'static str, Value); 8] {
    [
        ("AddLine", json!({ "cart_id": cart(1), "sku": "a", "quantity": 1 })),
        ("AddLines", json!({ "cart_id": cart(1), "lines": [{ "sku": "a", "quantity": 1 }] })),
        ("ChangeQuantity", json!({ "cart_id": cart(1), "sku": "a", "quantity": 9 })),
        ("RemoveLine", json!({ "cart_id": cart(1), "sku": "a" })),
        ("MergeCarts", json!({ "from": cart(2), "into": cart(1) })),
        ("MergeCarts", json!({ "from": cart(1), "into": cart(2) })),
        ("PlaceOrder", json!({ "cart_id": cart(1), "order_id": order(1) })),
        ("AbandonCart", json!({ "cart_id": cart(1) })),
    ]
}

#[test]
fn a_buyer_touches_only_their_own_cart() {
    let mut book = Book::with_product("a", 9);
    book.with_customer_cart(1, "ann", &[("a", 1)]).with_cart(2, &[("a", 1)]);
    for (name, body) in about_cart_1() {
        for other in [customer("bob"), Actor::Guest] {
            assert_eq!(code(book.when_as(other, name, body.clone())), "cart_not_yours", "{name}");
        }
    }
    let open = json!({ "cart_id": cart(3), "currency": "EUR", "customer_id": customer_id("ann") });
    assert_eq!(code(book.when_as(customer("bob"), "OpenCart", open)), "for_another_customer");
}

/// Ends cart 1.
type End = fn(&mut Book) -> Result<Vec<&'static str>, Refusal>;

#[test]
fn a_closed_cart_keeps_its_owner() {
    let ends: [(End, &str); 4] = [
        (|book| book.when("PlaceOrder", json!({ "cart_id": cart(1), "order_id": order(9) })), "cart_closed"),
        (|book| book.when("MergeCarts", json!({ "from": cart(1), "into": cart(3) })), "cart_closed"),
        (|book| book.when("AbandonCart", json!({ "cart_id": cart(1) })), "cart_closed"),
        (
            |book| book.pass(TimeDelta::days(30)).when_as(engine(), "ExpireCart", json!({ "cart_id": cart(1) })),
            "cart_expired",
        ),
    ];
    for (end, closed) in ends {
        for owner in [Some("ann"), None] {
            let mut book = Book::with_product("a", 9);
            match owner {
                Some(owner) => book.with_customer_cart(1, owner, &[("a", 1)]).with_customer_cart(3, owner, &[]),
                None => book.with_cart(1, &[("a", 1)]).with_cart(3, &[]),
            };
            end(&mut book).expect("the cart ends");
            book.with_cart(2, &[("a", 1)]);
            let for_others = if owner.is_some() { "cart_not_yours" } else { closed };
            for (actor, expected) in [
                (Actor::Guest, for_others),
                (customer("bob"), for_others),
                (customer("ann"), closed),
                (Actor::Support("sue".into()), closed),
                (Actor::Admin("ada".into()), closed),
            ] {
                for (name, body) in about_cart_1() {
                    assert_eq!(code(book.when_as(actor.clone(), name, body)), expected, "{name} by {actor}");
                }
            }
        }
    }
}

#[test]
fn an_imported_order_without_a_customer_belongs_to_staff_and_others_cannot_tell_it_from_none() {
    for (reference, for_ann) in [(None, "order_not_found"), (Some("ann"), "illegal_move")] {
        let mut book = Book::with_product("a", 1);
        let lines = json!([{ "sku": "a", "quantity": 1, "line_total": 1 }]);
        let import = json!({ "external_ref": "x-1", "customer_ref": reference, "placed_at": "2017-01-01T10:00:00Z",
                             "currency": "EUR", "lines": lines });
        book.given("ImportOrder", import);
        let order_id = OrderId::imported(&"x-1".parse().expect("a reference"));
        for (actor, expected) in [
            (Actor::Guest, "order_not_found"),
            (customer("bob"), "order_not_found"),
            (customer("ann"), for_ann),
            (Actor::Support("sue".into()), "illegal_move"),
            (Actor::Admin("ada".into()), "illegal_move"),
        ] {
            let cancel = json!({ "order_id": order_id, "reason": "because" });
            assert_eq!(code(book.when_as(actor.clone(), "CancelOrder", cancel)), expected, "{reference:?} by {actor}");
        }
    }
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
