//! Moving a category to another parent.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Category, CategoryMoved, CategoryNotFound, create_category::check_place};
use crate::{Context, Decide, Decision, Reads, Rejection, Streams, ids::CategoryId};

/// Moves a category, and all that stands under it, to another parent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MoveCategory {
    /// The category.
    pub category_id: CategoryId,
    /// Its new parent; it becomes a root when left out.
    #[serde(default)]
    pub parent: Option<CategoryId>,
}

impl Decide for MoveCategory {
    fn reads(&self, reads: &mut Reads) {
        reads.add::<Category>(&self.category_id);
        reads.add_all::<Category>(&self.parent);
    }

    fn decide(&self, _context: &Context, streams: &Streams<'_>) -> Result<Decision, Rejection> {
        let Self { category_id, parent } = *self;
        let Category::Node { parent: before, .. } = streams.get::<Category>(&category_id)? else {
            return Err(CategoryNotFound { category_id }.into());
        };
        check_place(category_id, parent, streams)?;
        if *before == parent {
            return Ok(Decision::unchanged());
        }
        Ok(Decision::of::<Category>(&category_id, CategoryMoved { category_id, parent }))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use uuid::Uuid;

    use crate::spec::{Book, code};

    #[test]
    fn categories_stay_a_tree() {
        let mut book = Book::new();
        let id = Uuid::from_u128;
        let create = |number: u128, parent: Option<u128>| json!({ "category_id": id(number), "parent": parent.map(id), "name": "C" });
        book.given("CreateCategory", create(1, None)).given("CreateCategory", create(2, Some(1)));
        book.given("CreateCategory", create(3, Some(2)));
        let to = |number: u128, parent: Option<u128>| json!({ "category_id": id(number), "parent": parent.map(id) });
        assert_eq!(code(book.when("MoveCategory", to(1, Some(3)))), "category_cycle");
        assert_eq!(book.when("MoveCategory", to(3, Some(2))), Ok(vec![]), "it stands there already");
        assert_eq!(code(book.when("MoveCategory", to(9, None))), "category_not_found");
        assert_eq!(book.when("MoveCategory", to(3, Some(1))), Ok(vec!["catalog.CategoryMoved"]));
    }
}
