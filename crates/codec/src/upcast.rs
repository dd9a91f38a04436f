//! Upcasters: each converts the stored JSON of one event type from one version to the next.
//!
//! An upcaster is a pure function of the event. It never changes once a book may hold events of its version.

use daybook_domain::ids::{CustomerId, CustomerRef};
use serde_json::{Map, Value};
use uuid::Uuid;

/// Converts an event type from one version to the next.
#[derive(Debug, Clone, Copy)]
pub struct Upcaster {
    /// The name of the type.
    pub event_type: &'static str,
    /// The version that it reads. It writes the next one.
    pub from: i16,
    change: fn(Map<String, Value>) -> Map<String, Value>,
}

/// Every upcaster.
pub const UPCASTERS: &[Upcaster] = &[
    Upcaster { event_type: "cart.CartOpened", from: 1, change: customer_by_id },
    Upcaster { event_type: "order.OrderPlaced", from: 1, change: customer_by_id },
    Upcaster { event_type: "order.OrderImported", from: 1, change: imported_customer_by_id },
];

/// Converts the data of an event from a version to a later one. A test checks that every version has its upcaster.
pub(crate) fn upcast(event_type: &str, from: i16, to: i16, data: Map<String, Value>) -> Map<String, Value> {
    (from..to).fold(data, |data, version| {
        match UPCASTERS.iter().find(|upcaster| upcaster.event_type == event_type && upcaster.from == version) {
            Some(upcaster) => (upcaster.change)(data),
            None => data,
        }
    })
}

/// Version 1 named a customer by a text. A UUID stays the id. From any other text the id is derived, as in an import of a customer with
/// that reference.
fn customer_by_id(mut data: Map<String, Value>) -> Map<String, Value> {
    if let Some(customer) = data.get_mut("customer_id")
        && let Some(id) = customer.as_str().and_then(|text| id_of(text).or_else(|| imported_id(text)))
    {
        *customer = id.to_string().into();
    }
    data
}

/// Version 1 named a customer by the reference of the import. The text is kept as that. The id is derived from it in every case, as
/// `ImportOrder` does, because another system may use UUIDs as references.
fn imported_customer_by_id(mut data: Map<String, Value>) -> Map<String, Value> {
    let Some(reference) = data.get("customer_id").and_then(Value::as_str).map(str::to_owned) else { return data };
    if let Some(id) = imported_id(&reference) {
        data.insert("customer_id".to_owned(), id.to_string().into());
    }
    data.insert("customer_ref".to_owned(), reference.into());
    data
}

fn id_of(text: &str) -> Option<CustomerId> {
    text.parse::<Uuid>().ok().map(CustomerId)
}

fn imported_id(text: &str) -> Option<CustomerId> {
    CustomerRef::new(text).ok().map(|reference| CustomerId::imported(&reference))
}

#[cfg(test)]
mod tests {
    use daybook_domain::{
        Event,
        cart::Event as CartEvent,
        ids::{CustomerId, CustomerRef},
        order::Event as OrderEvent,
    };

    use super::UPCASTERS;
    use crate::{DecodeError, decode};

    /// Events as the program wrote them before customers had ids of their own.
    const OPENED: &str =
        r#"{"cart_id":"018f0000-0000-7000-8000-000000000002","customer_id":"ann","channel":"web","currency":"EUR"}"#;
    const OPENED_BY_UUID: &str = r#"{"cart_id":"018f0000-0000-7000-8000-000000000002","customer_id":"018f0000-0000-7000-8000-00000000000a","channel":"web","currency":"EUR"}"#;
    const OPENED_BY_GUEST: &str =
        r#"{"cart_id":"018f0000-0000-7000-8000-000000000002","channel":"web","currency":"EUR"}"#;
    const PLACED: &str = r#"{"order_id":"018f0000-0000-7000-8000-000000000003","cart_id":"018f0000-0000-7000-8000-000000000002","customer_id":"ann","channel":"web","currency":"EUR","lines":[{"sku":"oat","product_id":"018f0000-0000-7000-8000-000000000001","name":"Oat milk","quantity":2,"unit_price":{"minor_units":199,"currency":"EUR"},"line_total":{"minor_units":398,"currency":"EUR"},"location":"main","reservation_id":"1f8f9d0e-0000-5000-8000-000000000000"}],"totals":{"gross":{"minor_units":398,"currency":"EUR"},"discount":{"minor_units":0,"currency":"EUR"},"net":{"minor_units":398,"currency":"EUR"}},"placed_at":"2026-11-21T11:30:00Z"}"#;
    const IMPORTED: &str = r#"{"order_id":"6a3fb966-05c1-51d8-b1a5-579090c343b7","external_ref":"x-1","customer_id":"900","channel":"store-1","currency":"USD","lines":[{"sku":"a","product_id":"018f0000-0000-7000-8000-000000000001","quantity":3,"line_total":{"minor_units":500,"currency":"USD"},"discount":{"minor_units":50,"currency":"USD"}}],"totals":{"gross":{"minor_units":550,"currency":"USD"},"discount":{"minor_units":50,"currency":"USD"},"net":{"minor_units":500,"currency":"USD"}},"placed_at":"2017-01-01T10:00:00Z"}"#;

    fn customer(text: &str) -> Option<CustomerId> {
        Some(CustomerId::imported(&CustomerRef::new(text).expect("a reference")))
    }

    #[test]
    fn a_customer_named_by_a_text_gets_the_id_that_an_import_of_that_text_gives() {
        let Ok(Event::Cart(CartEvent::CartOpened(opened))) = decode("cart.CartOpened", 1, OPENED.as_bytes()) else {
            panic!("the event is decoded")
        };
        assert_eq!(opened.customer_id, customer("ann"));
        let Ok(Event::Order(OrderEvent::OrderPlaced(placed))) = decode("order.OrderPlaced", 1, PLACED.as_bytes())
        else {
            panic!("the event is decoded")
        };
        assert_eq!((placed.customer_id, placed.lines.len()), (customer("ann"), 1));
        let imported = decode("order.OrderImported", 1, IMPORTED.as_bytes());
        let Ok(Event::Order(OrderEvent::OrderImported(imported))) = imported else { panic!("the event is decoded") };
        assert_eq!((imported.customer_id, imported.customer_ref), (customer("900"), CustomerRef::new("900").ok()));
    }

    #[test]
    fn a_customer_named_by_a_uuid_keeps_it_and_a_guest_stays_a_guest() {
        for (stored, expected) in [
            (OPENED_BY_UUID, "018f0000-0000-7000-8000-00000000000a".parse().map(CustomerId).ok()),
            (OPENED_BY_GUEST, None),
        ] {
            let Ok(Event::Cart(CartEvent::CartOpened(opened))) = decode("cart.CartOpened", 1, stored.as_bytes()) else {
                panic!("the event is decoded")
            };
            assert_eq!(opened.customer_id, expected);
        }
    }

    #[test]
    fn an_imported_customer_has_the_id_of_an_import_whatever_the_reference_looks_like() {
        for reference in ["018f0000-0000-7000-8000-00000000000a", "018F000000007000800000000000000A", "900"] {
            let stored = IMPORTED.replace(r#""customer_id":"900""#, &format!(r#""customer_id":"{reference}""#));
            let imported = decode("order.OrderImported", 1, stored.as_bytes());
            let Ok(Event::Order(OrderEvent::OrderImported(imported))) = imported else {
                panic!("the event is decoded")
            };
            assert_eq!(imported.customer_id, customer(reference));
            assert_eq!(imported.customer_ref, CustomerRef::new(reference).ok());
        }
    }

    #[test]
    fn a_type_name_without_its_slice_is_known() {
        let before = decode("CartOpened", 1, OPENED.as_bytes()).expect("the event is decoded");
        assert_eq!(before, decode("cart.CartOpened", 1, OPENED.as_bytes()).expect("the event is decoded"));
        assert!(matches!(decode("Nothing", 1, b"{}"), Err(DecodeError::UnknownType(name)) if name == "Nothing"));
    }

    #[test]
    fn every_earlier_version_of_every_event_has_one_upcaster() {
        for contract in Event::contracts() {
            for version in 1..contract.schema_version {
                let key = (contract.event_type, version);
                let upcasters = UPCASTERS.iter().filter(|upcaster| (upcaster.event_type, upcaster.from) == key);
                assert_eq!(upcasters.count(), 1, "{} version {version}", contract.event_type);
            }
        }
        for upcaster in UPCASTERS {
            let current = Event::current_version(upcaster.event_type);
            assert!(current.is_some_and(|current| upcaster.from < current), "{upcaster:?}");
        }
    }
}
