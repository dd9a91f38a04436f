//! The names of event types in books from before a type carried the name of its slice.
//!
//! The table is complete. A type that is added later has its full name from the beginning, so nothing is added here.

/// Each bare name with the name of today, sorted by the bare name.
const NAMES: &[(&str, &str)] = &[
    ("BackordersAllowed", "inventory.BackordersAllowed"),
    ("BackordersForbidden", "inventory.BackordersForbidden"),
    ("CartAbandoned", "cart.CartAbandoned"),
    ("CartCheckedOut", "cart.CartCheckedOut"),
    ("CartMerged", "cart.CartMerged"),
    ("CartMergedInto", "cart.CartMergedInto"),
    ("CartOpened", "cart.CartOpened"),
    ("CategoryCreated", "catalog.CategoryCreated"),
    ("CategoryMoved", "catalog.CategoryMoved"),
    ("FulfilmentStarted", "order.FulfilmentStarted"),
    ("LineAdded", "cart.LineAdded"),
    ("LineRemoved", "cart.LineRemoved"),
    ("NoteAdded", "order.NoteAdded"),
    ("OrderCancelled", "order.OrderCancelled"),
    ("OrderConfirmed", "order.OrderConfirmed"),
    ("OrderDelivered", "order.OrderDelivered"),
    ("OrderHeld", "order.OrderHeld"),
    ("OrderImported", "order.OrderImported"),
    ("OrderPlaced", "order.OrderPlaced"),
    ("OrderRefunded", "order.OrderRefunded"),
    ("OrderResumed", "order.OrderResumed"),
    ("OrderReturned", "order.OrderReturned"),
    ("OrderShipped", "order.OrderShipped"),
    ("PriceSet", "catalog.PriceSet"),
    ("ProductArchived", "catalog.ProductArchived"),
    ("ProductCreated", "catalog.ProductCreated"),
    ("ProductPublished", "catalog.ProductPublished"),
    ("ProductRevised", "catalog.ProductRevised"),
    ("QuantityChanged", "cart.QuantityChanged"),
    ("ReservationCommitted", "inventory.ReservationCommitted"),
    ("ReservationReleased", "inventory.ReservationReleased"),
    ("SkuClaimed", "catalog.SkuClaimed"),
    ("SlugClaimed", "catalog.SlugClaimed"),
    ("SlugReleased", "catalog.SlugReleased"),
    ("StockAdjusted", "inventory.StockAdjusted"),
    ("StockReceived", "inventory.StockReceived"),
    ("StockReserved", "inventory.StockReserved"),
    ("StockTransferredIn", "inventory.StockTransferredIn"),
    ("StockTransferredOut", "inventory.StockTransferredOut"),
    ("VariantAdded", "catalog.VariantAdded"),
];

/// The name that an event type has today. A name that is not in the table stays as it is. Every surface shows this name.
#[must_use]
pub fn current_name(event_type: &str) -> &str {
    match NAMES.binary_search_by_key(&event_type, |(before, _)| before) {
        Ok(found) => NAMES[found].1,
        Err(_) => event_type,
    }
}

/// Gives a type the name that it has today.
pub fn rename(event_type: &mut String) {
    let name = current_name(event_type);
    if name != event_type.as_str() {
        *event_type = name.to_owned();
    }
}

/// The names by which the book may hold events of these types. A filter by type looks for all of them, whichever it was given.
#[must_use]
pub fn stored_names(event_types: &[String]) -> Vec<String> {
    let mut names = Vec::new();
    for event_type in event_types {
        let current = current_name(event_type);
        let before = NAMES.iter().filter(|(_, name)| *name == current).map(|(before, _)| *before);
        for name in before.chain([current]).map(str::to_owned) {
            if !names.contains(&name) {
                names.push(name);
            }
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use daybook_domain::Event;

    use super::{NAMES, current_name};
    use crate::{DecodeError, decode};

    /// The types of each slice in the last program that wrote bare names. This list never changes.
    const WRITTEN_BARE: &[(&str, &str)] = &[
        (
            "cart",
            "CartAbandoned CartCheckedOut CartMerged CartMergedInto CartOpened LineAdded LineRemoved QuantityChanged",
        ),
        (
            "catalog",
            "CategoryCreated CategoryMoved PriceSet ProductArchived ProductCreated ProductPublished ProductRevised \
             SkuClaimed SlugClaimed SlugReleased VariantAdded",
        ),
        (
            "inventory",
            "BackordersAllowed BackordersForbidden ReservationCommitted ReservationReleased StockAdjusted \
             StockReceived StockReserved StockTransferredIn StockTransferredOut",
        ),
        (
            "order",
            "FulfilmentStarted NoteAdded OrderCancelled OrderConfirmed OrderDelivered OrderHeld OrderImported \
             OrderPlaced OrderRefunded OrderResumed OrderReturned OrderShipped",
        ),
    ];

    #[test]
    fn the_bare_names_are_pinned_and_each_means_a_type_of_today() {
        let mut pinned: Vec<(&str, String)> = WRITTEN_BARE
            .iter()
            .flat_map(|(slice, names)| names.split(' ').map(move |name| (name, format!("{slice}.{name}"))))
            .collect();
        pinned.sort_unstable();
        let table: Vec<_> = NAMES.iter().map(|(before, today)| (*before, (*today).to_owned())).collect();
        assert_eq!(table, pinned);
        for (before, today) in NAMES {
            assert_eq!(current_name(before), *today);
            assert!(Event::current_version(today).is_some(), "{today} exists");
        }
    }

    #[test]
    fn a_bare_name_that_was_never_written_is_no_type() {
        let bare = |name: &'static str| name.split_once('.').map_or(name, |(_, bare)| bare);
        let types = Event::contracts().into_iter().map(|contract| contract.event_type);
        let later: Vec<_> = types.map(bare).filter(|bare| NAMES.iter().all(|(before, _)| before != bare)).collect();
        assert!(later.contains(&"CartExpired"), "{later:?}");
        for bare in later {
            assert!(matches!(decode(bare, 1, b"{}"), Err(DecodeError::UnknownType(name)) if name == bare));
        }
    }

    #[test]
    fn a_filter_finds_a_type_by_either_name() {
        let names = |types: &[&str]| super::stored_names(&types.iter().map(ToString::to_string).collect::<Vec<_>>());
        assert_eq!(names(&["order.OrderPlaced"]), ["OrderPlaced", "order.OrderPlaced"]);
        assert_eq!(names(&["OrderPlaced", "order.OrderPlaced"]), ["OrderPlaced", "order.OrderPlaced"]);
        assert_eq!(names(&["cart.CartExpired", "Unknown"]), ["cart.CartExpired", "Unknown"]);
    }
}
