//! Removing a category.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    Category, CategoryNotFound, CategoryRemoved,
    tree::{Ancestors, Heights},
};
use crate::{Context, Decide, Decision, Reads, Rejection, Streams, ids::CategoryId};

/// Removes a category from the tree. What stood under it stands under its parent, or becomes a root. Products that stood in it count
/// as standing in its parent, and stay on sale. Its id is not used again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RemoveCategory {
    /// The category.
    pub category_id: CategoryId,
}

impl Decide for RemoveCategory {
    fn reads(&self, reads: &mut Reads) {
        reads.add::<Category>(&self.category_id);
    }

    fn decide(&self, _context: &Context, streams: &Streams<'_>) -> Result<Decision, Rejection> {
        let category_id = self.category_id;
        let category = streams.get::<Category>(&category_id)?;
        match category {
            Category::Absent => return Err(CategoryNotFound { category_id }.into()),
            Category::Removed { .. } => return Ok(Decision::unchanged()),
            Category::Node { .. } => {}
        }
        let ancestors = Ancestors::of_old_place(category.parent(), streams)?;
        let mut heights = Heights::default();
        heights.set(category_id, category.height() - category.own_levels(), &ancestors);
        Ok(heights.written(Decision::of::<Category>(&category_id, CategoryRemoved { category_id })))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};
    use uuid::Uuid;

    use crate::{
        catalog::{Category, policy::MAX_CATEGORY_DEPTH},
        ids::CategoryId,
        spec::{Book, code},
    };

    fn create(number: u128, parent: Option<u128>) -> Value {
        json!({ "category_id": Uuid::from_u128(number), "parent": parent.map(Uuid::from_u128), "name": "C" })
    }

    fn to(number: u128, parent: u128) -> Value {
        json!({ "category_id": Uuid::from_u128(number), "parent": Uuid::from_u128(parent) })
    }

    #[test]
    fn what_stood_under_a_removed_category_stands_under_its_parent() {
        let mut book = Book::new();
        book.given("CreateCategory", create(1, None)).given("CreateCategory", create(2, Some(1)));
        book.given("CreateCategory", create(3, Some(2)));
        let removed = json!({ "category_id": Uuid::from_u128(2) });
        assert_eq!(
            book.when("RemoveCategory", removed.clone()),
            Ok(vec!["catalog.CategoryRemoved", "catalog.CategoryChildChanged"])
        );
        assert_eq!(book.when("RemoveCategory", removed), Ok(vec![]), "it is removed already");
        assert_eq!(
            code(book.when("RemoveCategory", json!({ "category_id": Uuid::from_u128(9) }))),
            "category_not_found"
        );
        assert_eq!(code(book.when("MoveCategory", to(1, 3))), "category_cycle", "3 stands under 1 still");
        for refused in [("CreateCategory", create(4, Some(2))), ("MoveCategory", to(3, 2)), ("MoveCategory", to(2, 1))]
        {
            assert_eq!(code(book.when(refused.0, refused.1)), "category_not_found");
        }
        assert_eq!(code(book.when("CreateCategory", create(2, None))), "category_exists");
        book.given("CreateCategory", create(4, Some(3)));
    }
    #[test]
    fn a_removed_category_counts_as_no_level() {
        let mut book = Book::new();
        book.given("CreateCategory", create(1, None));
        for number in 2..=MAX_CATEGORY_DEPTH as u128 {
            book.given("CreateCategory", create(number, Some(number - 1)));
        }
        let lowest = MAX_CATEGORY_DEPTH as u128;
        let height = |book: &Book| book.state::<Category>(&CategoryId(Uuid::from_u128(1))).height();
        assert_eq!(code(book.when("CreateCategory", create(100, Some(lowest)))), "category_too_deep");
        for (number, left) in [(2, lowest - 1), (5, lowest - 2), (lowest, lowest - 3)] {
            book.given("RemoveCategory", json!({ "category_id": Uuid::from_u128(number) }));
            assert_eq!(height(&book) as u128, left, "after {number}");
        }
        for number in 101..=103 {
            book.given("CreateCategory", create(number, Some(if number == 101 { lowest - 1 } else { number - 1 })));
        }
        assert_eq!(height(&book), MAX_CATEGORY_DEPTH);
        assert_eq!(code(book.when("CreateCategory", create(104, Some(103)))), "category_too_deep");
    }

    #[test]
    fn removed_categories_above_a_place_are_bounded_too() {
        let mut book = Book::new();
        book.given("CreateCategory", create(1, None));
        let refused = (2_u128..).find(|number| {
            let created = book.when("CreateCategory", create(*number, Some(number - 1)));
            if let Err(refusal) = created {
                assert_eq!(refusal.code(), "category_too_deep");
                return true;
            }
            book.given("RemoveCategory", json!({ "category_id": Uuid::from_u128(number - 1) }));
            *number > 1_000
        });
        assert_eq!(refused, Some(2 * MAX_CATEGORY_DEPTH as u128 + 2));
    }
}
