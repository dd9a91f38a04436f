//! Removing a category.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Category, CategoryNotFound, CategoryRemoved};
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
        match streams.get::<Category>(&category_id)? {
            Category::Absent => Err(CategoryNotFound { category_id }.into()),
            Category::Removed { .. } => Ok(Decision::unchanged()),
            Category::Node { .. } => Ok(Decision::of::<Category>(&category_id, CategoryRemoved { category_id })),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};
    use uuid::Uuid;

    use crate::spec::{Book, code};

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
        assert_eq!(book.when("RemoveCategory", removed.clone()), Ok(vec!["catalog.CategoryRemoved"]));
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
}
