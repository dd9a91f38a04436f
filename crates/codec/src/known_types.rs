//! The event types that this program knows. A filter by any other type would find nothing, for ever.

use daybook_domain::Event;

use crate::legacy::current_name;

/// How similar a name has to be to be proposed, from 0 to 1.
const SIMILAR: f64 = 0.8;
/// How many names are proposed at most.
const MAX_PROPOSED: usize = 3;

/// There is no event type of this name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("there is no event type `{event_type}`{}", proposal(nearest))]
pub struct UnknownType {
    /// The name that was given.
    pub event_type: String,
    /// The most similar names, the nearest first.
    pub nearest: Vec<&'static str>,
}

fn proposal(nearest: &[&str]) -> String {
    if nearest.is_empty() { String::new() } else { format!("; the nearest are {}", nearest.join(", ")) }
}

/// Checks that there are event types of these names, which may be those of today or of before.
///
/// # Errors
/// [`UnknownType`] for the first name that no type has.
pub fn check_types(event_types: &[String]) -> Result<(), UnknownType> {
    let known: Vec<&'static str> = Event::contracts().into_iter().map(|contract| contract.event_type).collect();
    match event_types.iter().find(|name| !known.contains(&current_name(name))) {
        None => Ok(()),
        Some(name) => Err(UnknownType { event_type: name.clone(), nearest: nearest(name, &known) }),
    }
}

fn nearest(name: &str, known: &[&'static str]) -> Vec<&'static str> {
    let similarity = |known: &str| {
        let short = known.split_once('.').map_or(known, |(_, short)| short);
        strsim::jaro_winkler(name, known).max(strsim::jaro_winkler(name, short))
    };
    let rated = known.iter().map(|known| (similarity(known), *known));
    let mut similar: Vec<_> = rated.filter(|(similarity, _)| *similarity >= SIMILAR).collect();
    similar.sort_by(|(one, _), (other, _)| other.total_cmp(one));
    similar.into_iter().take(MAX_PROPOSED).map(|(_, known)| known).collect()
}

#[cfg(test)]
mod tests {
    use super::check_types;

    #[test]
    fn a_type_is_known_by_either_name_and_an_unknown_one_is_named_with_the_nearest() {
        let check = |names: &[&str]| check_types(&names.iter().map(ToString::to_string).collect::<Vec<_>>());
        assert_eq!(check(&["order.OrderPlaced", "OrderPlaced", "cart.CartOpened"]), Ok(()));
        for name in ["OrderPlacd", "order.OrderPlacd", "order.Orderplaced"] {
            let error = check(&["cart.CartOpened", name]).expect_err("there is no such type");
            assert_eq!((error.event_type.as_str(), error.nearest.first()), (name, Some(&"order.OrderPlaced")));
            assert!(error.to_string().contains("; the nearest are order.OrderPlaced"), "{error}");
        }
        let error = check(&["zzz"]).expect_err("there is no such type");
        assert_eq!(error.to_string(), "there is no event type `zzz`");
    }
}
