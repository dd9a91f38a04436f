//! Compares imported files with the book. Every good record is in the book once, as in the file. No bad record is in the book, and each is
//! among the rejected ones. The orders of a file have the total of its lines.

mod sent;

use std::collections::{BTreeMap, HashMap};

use daybook_domain::ids::CustomerId;
use serde_json::{Value, json};

pub use self::sent::calls;
use super::Check;
use crate::nemesis::{
    book::{Book, Event},
    imports::{
        Outcome,
        file::{Delivery, File},
    },
};

/// Compares every file with the book.
#[must_use]
pub fn checks(book: &Book, outcomes: &[Outcome]) -> Vec<Check> {
    let there = Records::of(book);
    vec![
        good(&there, outcomes).done(),
        bad(&there, outcomes).done(),
        rejected(outcomes).done(),
        money(&there, outcomes).done(),
    ]
}

/// The events of imported records, by event type and by the key of the record.
struct Records<'b>(HashMap<(&'b str, &'b str), Vec<&'b Value>>);

impl<'b> Records<'b> {
    fn of(book: &'b Book) -> Self {
        let mut records: HashMap<_, Vec<_>> = HashMap::new();
        for event in &book.events {
            if let Some(known_by) = known_by(event) {
                records.entry((event.event_type.as_str(), known_by)).or_default().push(&event.data);
            }
        }
        Self(records)
    }

    fn all(&self, event_type: &'b str, known_by: &'b str) -> &[&'b Value] {
        self.0.get(&(event_type, known_by)).map_or(&[], Vec::as_slice)
    }
}

/// The event types of imported records, each with the field that holds the key of the record.
const KNOWN_BY: [(&str, &str); 5] = [
    ("order.OrderImported", "external_ref"),
    ("catalog.ProductCreated", "name"),
    ("catalog.SkuClaimed", "sku"),
    ("catalog.PriceSet", "sku"),
    ("inventory.StockReceived", "reference"),
];

fn known_by(event: &Event) -> Option<&str> {
    let (_, field) = KNOWN_BY.into_iter().find(|(event_type, _)| *event_type == event.event_type)?;
    event.data[field].as_str()
}

fn good(there: &Records<'_>, outcomes: &[Outcome]) -> Check {
    let mut check = Check::new("every good record of an imported file is in the book once, as the file says");
    for File { name, orders, products, deliveries, .. } in outcomes.iter().map(|outcome| &outcome.file) {
        for (reference, order) in orders {
            let found = there.all("order.OrderImported", reference);
            let right = matches!(found, [one] if is_order(one, order));
            check.holds(right, || {
                format!("order {reference} of {name} is in the book {} times: {found:?}", found.len())
            });
        }
        for (sku, product) in products {
            let (claimed, priced) = (there.all("catalog.SkuClaimed", sku), there.all("catalog.PriceSet", sku));
            let created = there.all("catalog.ProductCreated", &product.name);
            let right = (created.len(), claimed.len(), priced.len()) == (1, 1, 1)
                && created[0]["product_id"] == claimed[0]["product_id"]
                && priced[0]["price"] == json!({ "minor_units": product.price, "currency": "EUR" });
            check.holds(right, || format!("product {sku} of {name}: {created:?}, {claimed:?}, {priced:?}"));
        }
        for (reference, Delivery { sku, quantity, times }) in deliveries {
            let found = there.all("inventory.StockReceived", reference);
            let right = found.len() as u64 == *times
                && found.iter().all(|event| event["sku"] == json!(sku) && event["quantity"] == json!(quantity));
            check.holds(right, || format!("delivery {reference} of {name}, {quantity} of {sku}: {found:?}"));
        }
    }
    check
}

/// The id of the customer of an order, which derives from the reference in the file.
fn customer_id(order: &Value) -> Value {
    let reference = order["customer_ref"].as_str().and_then(|text| text.parse().ok());
    json!(reference.map(|reference| CustomerId::imported(&reference)))
}

/// Whether an event of the book equals the record of the file.
fn is_order(event: &Value, order: &Value) -> bool {
    let compared = |line: &Value| {
        json!({ "sku": line["sku"], "quantity": line["quantity"], "line_total": line["line_total"]["minor_units"],
                "discount": line["discount"]["minor_units"] })
    };
    let lines: Value = event["lines"].as_array().into_iter().flatten().map(compared).collect();
    lines == order["lines"]
        && event["customer_ref"] == order["customer_ref"]
        && event["customer_id"] == customer_id(order)
        && event["currency"] == order["currency"]
        && event["placed_at"] == order["placed_at"]
}

fn bad(there: &Records<'_>, outcomes: &[Outcome]) -> Check {
    let mut check = Check::new("no bad record of an imported file is in the book");
    for File { name, forbidden, .. } in outcomes.iter().map(|outcome| &outcome.file) {
        for known_by in forbidden {
            let found = KNOWN_BY.into_iter().find(|(event_type, _)| !there.all(event_type, known_by).is_empty());
            check.holds(found.is_none(), || format!("{known_by} of {name} is in the book: {found:?}"));
        }
    }
    check
}

fn rejected(outcomes: &[Outcome]) -> Check {
    let mut check = Check::new("every bad record of an imported file is named among the rejected, once, and no other");
    for Outcome { file, rejected } in outcomes {
        let mut times: BTreeMap<_, (u64, u64)> = BTreeMap::new();
        file.bad.iter().for_each(|bad| times.entry(bad).or_default().0 += 1);
        rejected.iter().for_each(|named| times.entry(named).or_default().1 += 1);
        for (record, (bad, named)) in times {
            let wrong = || format!("{record:?} is bad {bad} times in {} and named {named} times", file.name);
            check.holds(bad == named, wrong);
        }
    }
    check
}

fn money(there: &Records<'_>, outcomes: &[Outcome]) -> Check {
    let mut check = Check::new("the orders of an imported file come to the sum of its lines");
    for File { name, orders, .. } in outcomes.iter().map(|outcome| &outcome.file).filter(|file| !file.orders.is_empty())
    {
        let lines = orders.values().flat_map(|order| order["lines"].as_array().into_iter().flatten());
        let wanted = lines.fold((0, 0), |(net, discount), line| {
            (net + line["line_total"].as_i64().unwrap_or(0), discount + line["discount"].as_i64().unwrap_or(0))
        });
        let totals = orders
            .keys()
            .flat_map(|reference| there.all("order.OrderImported", reference))
            .map(|event| &event["totals"]);
        let cents = |totals: &Value, name: &str| totals[name]["minor_units"].as_i64().unwrap_or(0);
        let got = totals
            .fold((0, 0), |(net, discount), totals| (net + cents(totals, "net"), discount + cents(totals, "discount")));
        check.holds(got == wanted, || format!("{name} comes to {wanted:?} (net, discount), in the book to {got:?}"));
    }
    check
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;
    use uuid::Uuid;

    use super::{sent::IMPORTER, *};
    use crate::nemesis::{
        book::Command,
        check::checks_of,
        imports::file::{Rejection, What},
        random::Random,
    };

    /// A file of each kind, and a book that has imported them.
    struct Story {
        book: Book,
        outcomes: Vec<Outcome>,
    }

    impl Story {
        fn true_one() -> Self {
            let outcomes = [What::Products, What::Orders, What::Stock].map(|what| {
                let file = File::generated(what, 0, &mut Random::new(7));
                Outcome { rejected: file.bad.clone(), file }
            });
            let mut story = Self { book: Book::default(), outcomes: outcomes.to_vec() };
            for (sku, product) in &outcomes[0].file.products {
                let id = Uuid::from_u128(story.book.events.len() as u128);
                story.writes("catalog.ProductCreated", json!({ "name": product.name, "product_id": id }));
                story.writes("catalog.SkuClaimed", json!({ "sku": sku, "product_id": id }));
                story.writes("catalog.PriceSet", json!({ "sku": sku, "price": euros(&json!(product.price)) }));
            }
            outcomes[1].file.orders.values().for_each(|order| story.writes("order.OrderImported", imported(order)));
            for (reference, Delivery { sku, quantity, times }) in &outcomes[2].file.deliveries {
                let goods = json!({ "sku": sku, "quantity": quantity, "reference": reference });
                (0..*times).for_each(|_| story.writes("inventory.StockReceived", goods.clone()));
            }
            story
        }

        fn writes(&mut self, event_type: &str, data: Value) {
            let (position, time) = (self.book.head() + 1, DateTime::UNIX_EPOCH);
            let id = Uuid::from_u128(u128::try_from(position).expect("it is positive"));
            self.book.commands.insert(id, Command { first: position, events: 1 });
            self.book.events.push(Event {
                position,
                stream: format!("stream-{position}"),
                version: 1,
                event_type: event_type.to_owned(),
                schema_version: 1,
                event_id: id,
                recorded_at: time,
                effective_at: time,
                correlation_id: id,
                causation_id: id,
                actor: IMPORTER.to_owned(),
                data,
            });
        }

        fn one(&mut self, event_type: &str) -> usize {
            self.book.events.iter().position(|event| event.event_type == event_type).expect("the book has one")
        }

        fn found(&self) -> Vec<String> {
            let checks = checks(&self.book, &self.outcomes);
            checks.into_iter().filter(|check| check.violations > 0).map(|check| check.name).collect()
        }

        fn assert_found(&self, wanted: &[&str]) {
            let found = self.found();
            let same = found.len() == wanted.len() && found.iter().zip(wanted).all(|(name, part)| name.contains(part));
            assert!(same, "{found:?} and not {wanted:?}");
        }
    }

    fn euros(cents: &Value) -> Value {
        json!({ "minor_units": cents, "currency": "EUR" })
    }

    /// The event that the engine writes for an imported order.
    fn imported(order: &Value) -> Value {
        let lines: Vec<_> = order["lines"].as_array().expect("the order has lines").clone();
        let sum = |name: &str| euros(&json!(lines.iter().filter_map(|line| line[name].as_i64()).sum::<i64>()));
        let compared = |line: &Value| {
            json!({ "sku": line["sku"], "quantity": line["quantity"], "line_total": euros(&line["line_total"]),
                    "discount": euros(&line["discount"]) })
        };
        json!({ "external_ref": order["external_ref"], "customer_ref": order["customer_ref"],
                "customer_id": customer_id(order), "currency": "EUR",
                "placed_at": order["placed_at"], "lines": lines.iter().map(compared).collect::<Vec<_>>(),
                "totals": { "net": sum("line_total"), "discount": sum("discount") } })
    }

    const GOOD: &str = "every good record";
    const BAD: &str = "no bad record";
    const REJECTED: &str = "every bad record";
    const MONEY: &str = "come to the sum";

    #[test]
    fn imported_files_pass_and_no_files_fail_every_check() {
        let mut story = Story::true_one();
        story.assert_found(&[]);
        story.outcomes.clear();
        story.assert_found(&[GOOD, BAD, REJECTED, MONEY]);
    }

    #[test]
    fn a_lost_and_a_doubled_order_are_found_and_their_money_as_well() {
        let mut story = Story::true_one();
        let order = story.one("order.OrderImported");
        let lost = story.book.events.remove(order);
        story.assert_found(&[GOOD, MONEY]);
        story.writes("order.OrderImported", lost.data.clone());
        story.assert_found(&[]);
        story.writes("order.OrderImported", lost.data);
        story.assert_found(&[GOOD, MONEY]);
    }

    #[test]
    fn an_order_that_differs_from_its_file_is_found() {
        for (pointer, wrong) in [("/lines/0/quantity", json!(77)), ("/customer_id", json!("another"))] {
            let mut story = Story::true_one();
            let order = story.one("order.OrderImported");
            *story.book.events[order].data.pointer_mut(pointer).expect("the event has the field") = wrong;
            story.assert_found(&[GOOD]);
        }
        let mut story = Story::true_one();
        let order = story.one("order.OrderImported");
        story.book.events[order].data["totals"]["net"]["minor_units"] = json!(-5);
        story.assert_found(&[MONEY]);
    }

    #[test]
    fn a_product_half_imported_doubled_or_at_another_price_is_found() {
        for event_type in ["catalog.ProductCreated", "catalog.SkuClaimed", "catalog.PriceSet"] {
            let mut story = Story::true_one();
            let event = story.one(event_type);
            let lost = story.book.events.remove(event);
            story.assert_found(&[GOOD]);
            story.writes(event_type, lost.data.clone());
            story.writes(event_type, lost.data);
            story.assert_found(&[GOOD]);
        }
        let mut story = Story::true_one();
        let price = story.one("catalog.PriceSet");
        story.book.events[price].data["price"]["minor_units"] = json!(1);
        story.assert_found(&[GOOD]);
    }

    #[test]
    fn a_delivery_that_is_lost_doubled_or_different_is_found() {
        let mut story = Story::true_one();
        let event = story.one("inventory.StockReceived");
        let lost = story.book.events.remove(event);
        story.assert_found(&[GOOD]);
        story.writes("inventory.StockReceived", lost.data.clone());
        story.assert_found(&[]);
        story.writes("inventory.StockReceived", lost.data);
        story.assert_found(&[GOOD]);
        for (field, wrong) in [("sku", json!("another")), ("quantity", json!(77))] {
            let mut story = Story::true_one();
            let event = story.one("inventory.StockReceived");
            story.book.events[event].data[field] = wrong;
            story.assert_found(&[GOOD]);
        }
    }

    #[test]
    fn a_bad_record_in_the_book_is_found() {
        let mut story = Story::true_one();
        let bad = story.outcomes[1].file.forbidden.first().cloned().expect("the book has one");
        story.writes("order.OrderImported", json!({ "external_ref": bad }));
        story.assert_found(&[BAD]);
    }

    #[test]
    fn a_bad_record_that_is_not_named_or_named_twice_or_for_another_reason_is_found() {
        let mut story = Story::true_one();
        let named = story.outcomes[1].rejected.pop().expect("the book has one");
        story.assert_found(&[REJECTED]);
        let another = Rejection { code: "bad_luck".to_owned(), ..named.clone() };
        story.outcomes[1].rejected.push(another);
        story.assert_found(&[REJECTED]);
        story.outcomes[1].rejected.pop();
        story.outcomes[1].rejected.extend([named.clone(), named]);
        story.assert_found(&[REJECTED]);
    }

    #[test]
    fn an_event_from_no_line_of_a_file_counts_as_sent_by_no_client() {
        let unsent = |story: &Story| {
            let checks = checks_of(&story.book, &calls(&story.book, &story.outcomes), &[]);
            let check = checks.into_iter().find(|check| check.name.contains("was sent by a client"));
            check.expect("the check exists").violations
        };
        let mut story = Story::true_one();
        let whole = ["order.OrderImported", "inventory.StockReceived"];
        story.book.events.retain(|event| whole.contains(&event.event_type.as_str()));
        let orders = story.book.events.clone();
        story.book = Book::default();
        orders.into_iter().for_each(|event| story.writes(&event.event_type, event.data));
        assert_eq!(unsent(&story), 0);
        story.writes("order.OrderImported", json!({ "external_ref": "from nowhere" }));
        story.writes("catalog.PriceSet", json!({ "sku": "from nowhere" }));
        story.writes("inventory.StockReceived", json!({ "reference": "from nowhere" }));
        assert_eq!(unsent(&story), 3);
    }
}
