//! What lists without pages weigh in the cost of a query: what they may hold. The numbers are the limits of the domain, where it has one.
//!
//! A test walks both schemas: a list that has neither a page nor a weight fails it.

use async_graphql::{Pos, ServerResult};
use daybook_domain::{cart, catalog, order};

use crate::graphql::connection::list_size;

/// The variants of a product.
pub(crate) const VARIANTS: usize = catalog::policy::MAX_VARIANTS;
/// The attributes of a product.
pub(crate) const ATTRIBUTES: usize = catalog::policy::MAX_ATTRIBUTES;
/// The categories of a product.
pub(crate) const CATEGORIES: usize = catalog::policy::MAX_CATEGORIES;
/// The lines of a cart.
pub(crate) const CART_LINES: usize = cart::policy::MAX_LINES;
/// The lines of an order.
pub(crate) const ORDER_LINES: usize = order::policy::MAX_IMPORTED_LINES;
/// The options of a variant.
pub(crate) const OPTIONS: usize = catalog::policy::MAX_OPTIONS;
/// The prices of a SKU: a few channels, each with a few currencies.
pub(crate) const PRICES: usize = 20;
/// The nodes of the category tree that a query answers with.
pub(crate) const CATEGORY_TREE: usize = 10_000;
/// The values of a facet.
pub(crate) const FACET_VALUES: usize = 20;
/// The moves of an order, and the roles of a move.
pub(crate) const MOVES: usize = 10;
/// The reasons why a mutation is refused, or why a cart cannot be ordered: several for each line of a cart.
pub(crate) const USER_ERRORS: usize = 3 * CART_LINES;
/// The reasons why a SKU cannot be ordered: one for each location that is not served, and a few others.
pub(crate) const PROBLEMS: usize = 3 + order::policy::MAX_LOCATIONS;
/// The locations that the units of one line come from.
pub(crate) const PARTS: usize = 1;
/// The read models.
pub(crate) const VIEWS: usize = 50;
/// The locations of a SKU. Each has its reservations.
pub(crate) const LOCATIONS: usize = 200;
/// The reservations of a SKU at a location: nothing bounds them, and they are seldom many.
pub(crate) const RESERVATIONS: usize = 1_000;
/// A list for staff that nothing bounds: the timeline of an order, days.
pub(crate) const UNBOUNDED: usize = 10_000;

/// The highest cost that is told from others. It keeps sums of costs within 64 bits.
const MOST: usize = 1 << 40;

/// The cost of a list, by how many elements it may hold and the cost of each.
pub(crate) fn list(elements: usize, of_each: usize) -> usize {
    1_usize.saturating_add(elements.saturating_mul(of_each.max(1))).min(MOST)
}

/// The cost of a list that a query may cut short. A bad size is refused here, so it is named before the cost is.
pub(crate) fn first(first: Option<i32>, elements: usize, of_each: usize) -> ServerResult<usize> {
    let asked = list_size(first).map_err(|error| error.into_server_error(Pos::default()))?;
    Ok(list(asked.min(elements), of_each))
}

#[cfg(test)]
mod tests {
    use async_graphql::{
        OutputType,
        registry::{MetaType, Registry},
    };

    use super::*;
    use crate::graphql::{
        connection::refuses_page,
        schema::{AdminMutation, AdminQuery, ShopMutation, StorefrontQuery},
        user_error,
    };

    /// Lists inside pages, whose weight is that of the page; lists that the library describes itself with; and the data of a refusal,
    /// which comes out of one command.
    fn is_weighed_elsewhere(parent: &str) -> bool {
        parent.starts_with("__") || parent.ends_with("Connection") || user_error::is_refusal(parent)
    }

    fn unweighed<T: OutputType>() -> Vec<String> {
        let mut registry = Registry::default();
        T::create_type_info(&mut registry);
        let objects = registry.types.values().filter(|ty| matches!(ty, MetaType::Object { .. }));
        let fields = objects.flat_map(|ty| ty.fields().into_iter().flatten().map(move |(_, field)| (ty, field)));
        let lists = fields.filter(|(ty, field)| field.ty.starts_with('[') && !is_weighed_elsewhere(ty.name()));
        let without = lists.filter(|(_, field)| field.compute_complexity.is_none());
        without.map(|(ty, field)| format!("{}.{}: {}", ty.name(), field.name, field.ty)).collect()
    }

    #[test]
    fn every_list_has_a_weight_or_a_page() {
        let found = [
            unweighed::<StorefrontQuery>(),
            unweighed::<AdminQuery>(),
            unweighed::<ShopMutation>(),
            unweighed::<AdminMutation>(),
        ];
        assert_eq!(found.concat(), Vec::<String>::new());
    }

    #[test]
    fn no_cost_overflows() {
        assert_eq!(list(250, 3), 751);
        assert_eq!(list(usize::MAX, usize::MAX), MOST);
        assert_eq!(first(Some(3), 250, 2), Ok(7));
        assert!(first(Some(-1), 250, 2).is_err_and(|error| refuses_page(&error.message)));
        assert_eq!(first(None, 250, 2), Ok(501));
    }
}
