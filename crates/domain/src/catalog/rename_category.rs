//! Calling a category otherwise.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Category, CategoryNotFound, CategoryRenamed};
use crate::{Context, Decide, Decision, Reads, Rejection, Streams, ids::CategoryId, text::Name};

/// Gives a category another name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RenameCategory {
    /// The category.
    pub category_id: CategoryId,
    /// What it is called from now on.
    pub name: Name,
}

impl Decide for RenameCategory {
    fn reads(&self, reads: &mut Reads) {
        reads.add::<Category>(&self.category_id);
    }

    fn decide(&self, _context: &Context, streams: &Streams<'_>) -> Result<Decision, Rejection> {
        let Self { category_id, name } = self.clone();
        match streams.get::<Category>(&category_id)? {
            Category::Absent | Category::Removed { .. } => Err(CategoryNotFound { category_id }.into()),
            Category::Node { name: before, .. } if *before == name => Ok(Decision::unchanged()),
            Category::Node { .. } => Ok(Decision::of::<Category>(&category_id, CategoryRenamed { category_id, name })),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::spec::{Book, code, product};

    #[test]
    fn a_category_gets_another_name_once() {
        let mut book = Book::new();
        let named = |number: u128, name: &str| -> Value { json!({ "category_id": product(number), "name": name }) };
        book.given("CreateCategory", named(1, "Drink"));
        assert_eq!(book.when("RenameCategory", named(1, "Drinks")), Ok(vec!["catalog.CategoryRenamed"]));
        assert_eq!(book.when("RenameCategory", named(1, "Drinks")), Ok(vec![]), "it is called that already");
        assert_eq!(code(book.when("RenameCategory", named(2, "Food"))), "category_not_found");
    }
}
