//! Creating a category.

use daybook_kernel::refusals;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    Category, CategoryCreated,
    tree::{Ancestors, Heights, check_parent},
};
use crate::{Context, Decide, Decision, Reads, Rejection, Streams, ids::CategoryId, text::Name};

/// Creates a category.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateCategory {
    /// The id of the new category, chosen by the caller.
    #[serde(deserialize_with = "daybook_kernel::ids::real")]
    pub category_id: CategoryId,
    /// The category it stands under; a root when left out.
    #[serde(default)]
    pub parent: Option<CategoryId>,
    /// What it is called.
    pub name: Name,
}

refusals! {
    /// The id is in use.
    "category_exists" CategoryExists: Rule at "category_id" = "category {category_id} exists already", {
        /// The category.
        category_id: CategoryId,
    }
}

impl Decide for CreateCategory {
    fn reads(&self, reads: &mut Reads) {
        reads.add_all::<Category>(&self.parent);
    }

    fn decide(&self, _context: &Context, streams: &Streams<'_>) -> Result<Decision, Rejection> {
        let Self { category_id, parent, name } = self.clone();
        if streams.assume_absent::<Category>(&category_id)?.is_some_and(|category| *category != Category::Absent) {
            return Err(CategoryExists { category_id }.into());
        }
        check_parent(parent, streams)?;
        let ancestors = Ancestors::of_new_place(category_id, parent, 1, streams)?;
        let mut heights = Heights::default();
        heights.enter(category_id, 1, &ancestors);
        Ok(heights.written(Decision::of::<Category>(&category_id, CategoryCreated { category_id, parent, name })))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};
    use uuid::Uuid;

    use crate::{
        catalog::policy::MAX_CATEGORY_DEPTH,
        spec::{Book, code},
    };

    fn create(number: usize, parent: Option<usize>) -> Value {
        let id = |number: usize| Uuid::from_u128(number as u128);
        json!({ "category_id": id(number), "parent": parent.map(id), "name": "C" })
    }

    #[test]
    fn a_category_stands_under_one_that_exists() {
        let mut book = Book::new();
        book.given("CreateCategory", create(1, None)).given("CreateCategory", create(2, Some(1)));
        assert_eq!(code(book.when("CreateCategory", create(2, None))), "category_exists");
        assert_eq!(code(book.when("CreateCategory", create(4, Some(9)))), "category_not_found");
    }

    #[test]
    fn categories_nest_up_to_the_limit() {
        let mut book = Book::new();
        book.given("CreateCategory", create(1, None));
        for depth in 2..=MAX_CATEGORY_DEPTH {
            book.given("CreateCategory", create(depth, Some(depth - 1)));
        }
        let below = create(MAX_CATEGORY_DEPTH + 1, Some(MAX_CATEGORY_DEPTH));
        assert_eq!(code(book.when("CreateCategory", below)), "category_too_deep");
    }
}
