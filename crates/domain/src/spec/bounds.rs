//! How many streams a command loads on an empty cache: never more than a command may read, however large its body is.
//! [`Book::decide`] checks that for the commands of every test; these are the largest.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::{Book, cart, command, order, product, sizes::listed};
use crate::{
    Actor, Command, CommandContract, MAX_STREAMS, Role, cart::policy::MAX_LINES, catalog::policy::MAX_CATEGORY_DEPTH,
    order::policy::MAX_LOCATIONS,
};

/// More elements than any list may have. A body of 1 MiB has room for some 36,000.
const FAR_TOO_MANY: usize = 20_000;
/// What a command may load before the length of a list refuses it: the thing that has to be the buyer's own.
const A_HANDFUL: usize = 2;

/// The fields of a command that are lists, each with its limit.
fn lists(contract: &CommandContract) -> Vec<(String, usize)> {
    let schema = serde_json::to_value(&contract.schema).expect("a schema is JSON");
    let fields = schema["properties"].as_object().expect("a command is an object").clone();
    let lists = fields.into_iter().filter(|(_, field)| is_list(field)).map(|(name, field)| {
        let limit = field["maxItems"].as_u64().unwrap_or_else(|| panic!("{}.{name} has no limit", contract.name));
        (name, usize::try_from(limit).expect("a small number"))
    });
    lists.collect()
}

fn is_list(schema: &Value) -> bool {
    let is_array = |kind: &Value| kind == "array";
    is_array(&schema["type"]) || schema["type"].as_array().is_some_and(|kinds| kinds.iter().any(is_array))
}

/// The most elements that a list of a command may have.
fn limit(command: &str, list: &str) -> usize {
    let contract = Command::contracts().into_iter().find(|contract| contract.name == command).expect("a command");
    lists(&contract).into_iter().find(|(name, _)| name == list).expect("a list").1
}

/// A body of a command, without its lists.
fn body(command: &str) -> Value {
    match command {
        "AddLines" => json!({ "cart_id": cart(1) }),
        "PlaceOrder" => json!({ "cart_id": cart(1), "order_id": order(1) }),
        // Its name has many slugs that are taken.
        "CreateProduct" => json!({ "product_id": product(9_000), "name": "P" }),
        "ReviseProduct" => json!({ "product_id": product(9_000), "slug": "q" }),
        "ImportOrder" => json!({ "external_ref": "X", "currency": "EUR", "placed_at": "2020-01-01T00:00:00Z" }),
        other => panic!("{other} has a list; how large can its body be?"),
    }
}

/// An element of a list. As few of them as possible are of the same stream.
fn element(command: &str, list: &str, number: usize) -> Value {
    match (command, list) {
        ("AddLines", "lines") => json!({ "sku": sku(number % MAX_LINES), "quantity": 1 }),
        ("ImportOrder", "lines") => json!({ "sku": sku(number), "quantity": 1, "line_total": 1 }),
        ("PlaceOrder", "locations") => json!(location(number)),
        ("CreateProduct", "variants") => json!({ "sku": format!("variant-{number}") }),
        ("CreateProduct", "categories") => json!(category(number)),
        ("ReviseProduct", "categories") => json!(category(1_000 + number)),
        (command, list) => panic!("what is an element of {command}.{list}?"),
    }
}

fn sku(number: usize) -> String {
    format!("s{number}")
}

/// The last of the locations that may be named holds the goods.
fn location(number: usize) -> String {
    if number + 1 == MAX_LOCATIONS { "main".to_owned() } else { format!("l{number}") }
}

fn category(number: usize) -> Value {
    json!(product(number as u128 + 1))
}

fn with(command: &str, list: &str, count: usize) -> Value {
    let mut body = body(command);
    body[list] = (0..count).map(|number| element(command, list, number)).collect();
    body
}

/// A book in which the largest commands are accepted.
fn full_book() -> Book {
    let mut book = Book::new();
    for number in 0..MAX_LINES {
        book.put_on_sale(number as u128 + 1, &sku(number), 100, 9);
    }
    // The SKUs that only an import names need no price and no stock.
    let imported: Vec<_> = (MAX_LINES..limit("ImportOrder", "lines")).collect();
    for (skus, number) in imported.chunks(limit("CreateProduct", "variants")).zip(8_000..) {
        let variants: Vec<_> = skus.iter().map(|number| json!({ "sku": sku(*number) })).collect();
        book.given("CreateProduct", json!({ "product_id": product(number), "name": "P", "variants": variants }));
    }
    let roots = (0..limit("CreateProduct", "categories")).chain(1_000..1_000 + limit("ReviseProduct", "categories"));
    for number in roots {
        book.given("CreateCategory", json!({ "category_id": category(number), "name": "C" }));
    }
    // A chain of categories, as deep as it can be with one more below.
    for number in 5_000..5_000 + MAX_CATEGORY_DEPTH - 1 {
        let parent = (number > 5_000).then(|| category(number - 1));
        book.given("CreateCategory", json!({ "category_id": category(number), "name": "C", "parent": parent }));
    }
    book
}

/// The largest bodies, in an order in which all are accepted.
fn largest() -> Vec<(&'static str, Value)> {
    let all = |command: &str, lists: &[&str]| {
        let mut all = body(command);
        for list in lists {
            all[*list] = with(command, list, limit(command, list))[*list].take();
        }
        all
    };
    let open = |number: u128| ("OpenCart", json!({ "cart_id": cart(number), "currency": "EUR" }));
    let lines = |number: u128, count: usize| {
        let mut lines = with("AddLines", "lines", count);
        lines["cart_id"] = json!(cart(number));
        ("AddLines", lines)
    };
    let most_lines = limit("AddLines", "lines");
    let moved = |number: u128, reason: bool| {
        if reason { json!({ "order_id": order(number), "reason": "r" }) } else { json!({ "order_id": order(number) }) }
    };
    let place = |number: u128| ("PlaceOrder", json!({ "cart_id": cart(number), "order_id": order(number) }));
    let mut from_everywhere = all("PlaceOrder", &["locations"]);
    (from_everywhere["cart_id"], from_everywhere["order_id"]) = (json!(cart(4)), json!(order(4)));
    let deepest = category(5_000 + MAX_CATEGORY_DEPTH - 2);
    vec![
        ("CreateProduct", all("CreateProduct", &["categories", "variants"])),
        ("ReviseProduct", all("ReviseProduct", &["categories"])),
        ("CreateCategory", json!({ "category_id": category(6_000), "name": "C", "parent": deepest })),
        ("MoveCategory", json!({ "category_id": category(0), "parent": deepest })),
        ("ImportOrder", all("ImportOrder", &["lines"])),
        open(1),
        lines(1, most_lines),
        open(2),
        ("MergeCarts", json!({ "from": cart(1), "into": cart(2) })),
        place(2),
        ("CancelOrder", moved(2, true)),
        open(3),
        lines(3, most_lines),
        place(3),
        ("ConfirmOrder", moved(3, false)),
        ("StartFulfilment", moved(3, false)),
        ("ShipOrder", moved(3, false)),
        open(4),
        lines(4, (MAX_STREAMS - 2) / (2 + MAX_LOCATIONS)),
        ("PlaceOrder", from_everywhere),
    ]
}

#[test]
fn no_command_at_its_largest_body_loads_more_streams_than_a_command_may_read() {
    let mut book = full_book();
    let mut most = 0;
    let mut sent = BTreeSet::new();
    for (name, body) in largest() {
        book.given(name, body);
        assert!(book.loaded.get() <= MAX_STREAMS, "{name} loads {} streams", book.loaded.get());
        most = most.max(book.loaded.get());
        sent.insert(name);
    }
    assert!(most > MAX_STREAMS * 9 / 10, "the largest command loads only {most} streams, so this test shows little");
    let with_lists = Command::contracts().into_iter().filter(|contract| !lists(contract).is_empty());
    let missing: Vec<_> = with_lists.map(|contract| contract.name).filter(|name| !sent.contains(name)).collect();
    assert!(missing.is_empty(), "how large can the bodies of {missing:?} be?");
}

#[test]
fn a_command_with_too_long_a_list_is_refused_before_more_than_a_handful_is_loaded() {
    for contract in Command::contracts() {
        let name = contract.name;
        let actor =
            if contract.access.roles.contains(&Role::Guest) { Actor::Guest } else { Actor::Admin("ada".into()) };
        for (list, limit) in lists(&contract) {
            for count in [limit + 1, FAR_TOO_MANY] {
                let mut book = Book::new();
                let refused = book.decide(actor.clone(), &command(name, with(name, &list, count)));
                assert!(refused.is_err(), "{name} with {count} {list} is accepted");
                assert!(book.loaded.get() <= A_HANDFUL, "{name} with {count} {list} loads {}", book.loaded.get());
            }
        }
    }
}

#[test]
fn every_list_map_and_text_within_a_command_has_a_limit() {
    for contract in Command::contracts() {
        let schema = serde_json::to_value(&contract.schema).expect("a schema is JSON");
        let mut open = vec![&schema];
        while let Some(part) = open.pop() {
            assert!(!is_list(part) || part["maxItems"].is_u64(), "a list of {} has no limit: {part}", contract.name);
            let is_map = part.get("patternProperties").is_some_and(Value::is_object);
            let keys = &part["propertyNames"]["maxLength"];
            assert!(!is_map || part["maxProperties"].is_u64(), "a map of {} has no limit: {part}", contract.name);
            assert!(!is_map || keys.is_u64(), "the keys of a map of {} have no limit: {part}", contract.name);
            let is_text = part["type"] == "string" && part["format"].is_null() && part["const"].is_null();
            let is_bounded = part["maxLength"].is_u64() || listed(part).is_some();
            assert!(!is_text || is_bounded, "a text of {} has no limit: {part}", contract.name);
            match part {
                Value::Object(fields) => open.extend(fields.values()),
                Value::Array(parts) => open.extend(parts),
                _ => {}
            }
        }
    }
}
