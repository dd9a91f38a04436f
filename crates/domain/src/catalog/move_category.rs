//! Moving a category to another parent.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    Category, CategoryMoved, CategoryNotFound,
    tree::{Ancestors, Heights, check_parent},
};
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
        let category = streams.get::<Category>(&category_id)?;
        if !category.exists() {
            return Err(CategoryNotFound { category_id }.into());
        }
        check_parent(parent, streams)?;
        if category.parent() == parent {
            return Ok(Decision::unchanged());
        }
        let height = category.height();
        // Both walks ask for what they lack, so that they are loaded together.
        let new = Ancestors::of_new_place(category_id, parent, height, streams);
        let old = Ancestors::of_old_place(category.parent(), streams);
        let (new, old) = (new?, old?);
        let mut heights = Heights::default();
        heights.leave(category_id, &old);
        heights.enter(category_id, height, &new);
        Ok(heights.written(Decision::of::<Category>(&category_id, CategoryMoved { category_id, parent })))
    }
}

#[cfg(test)]
mod tests {
    use std::ops::RangeInclusive;

    use serde_json::{Value, json};
    use uuid::Uuid;

    use crate::{
        catalog::{Category, CategoryCreated, policy::MAX_CATEGORY_DEPTH},
        ids::CategoryId,
        spec::{Book, code},
    };

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
        let heights = vec!["catalog.CategoryChildChanged"; 3];
        assert_eq!(book.when("MoveCategory", to(3, Some(1))), Ok([vec!["catalog.CategoryMoved"], heights].concat()));
    }

    /// Category `number`, under another one or as a root.
    fn create(number: usize, parent: Option<usize>) -> Value {
        json!({ "category_id": id(number), "parent": parent.map(id), "name": "C" })
    }

    fn to(number: usize, parent: Option<usize>) -> Value {
        json!({ "category_id": id(number), "parent": parent.map(id) })
    }

    fn id(number: usize) -> CategoryId {
        CategoryId(Uuid::from_u128(number as u128))
    }

    /// A chain of categories, of which the first is a root.
    fn chain(book: &mut Book, numbers: RangeInclusive<usize>) {
        for number in numbers.clone() {
            book.given("CreateCategory", create(number, (number > *numbers.start()).then(|| number - 1)));
        }
    }

    #[test]
    fn a_subtree_is_moved_as_deep_as_its_deepest_category_may_stand() {
        let mut book = Book::new();
        chain(&mut book, 1..=20);
        chain(&mut book, 101..=120);
        assert_eq!(code(book.when("MoveCategory", to(101, Some(20)))), "category_too_deep");
        assert_eq!(code(book.when("MoveCategory", to(101, Some(13)))), "category_too_deep");
        book.given("MoveCategory", to(101, Some(12)));
        assert_eq!(book.state::<Category>(&id(1)).height(), MAX_CATEGORY_DEPTH);
        assert_eq!(code(book.when("CreateCategory", create(200, Some(120)))), "category_too_deep");
        book.given("CreateCategory", create(201, Some(119)));
    }

    #[test]
    fn a_height_falls_again_when_the_deepest_subtree_leaves() {
        let mut book = Book::new();
        chain(&mut book, 1..=30);
        chain(&mut book, 101..=103);
        let heights = |book: &Book| [1, 2, 101].map(|number| book.state::<Category>(&id(number)).height());
        assert_eq!(heights(&book), [30, 29, 3]);
        book.given("MoveCategory", to(4, None));
        assert_eq!(heights(&book), [3, 2, 3]);
        book.given("MoveCategory", to(101, Some(3)));
        assert_eq!(heights(&book), [6, 5, 3]);
        assert_eq!(code(book.when("MoveCategory", to(4, Some(103)))), "category_too_deep");
        book.given("MoveCategory", to(30, None)).given("MoveCategory", to(4, Some(103)));
        assert_eq!(heights(&book), [32, 31, 29]);
    }

    #[test]
    fn a_move_within_one_tree_changes_the_heights_of_the_ancestors_that_both_places_share() {
        let mut book = Book::new();
        chain(&mut book, 1..=5);
        book.given("CreateCategory", create(6, Some(1)));
        book.given("MoveCategory", to(4, Some(6)));
        let height = |number| book.state::<Category>(&id(number)).height();
        assert_eq!([1, 2, 3, 4, 6].map(height), [4, 2, 1, 2, 3]);
    }

    #[test]
    fn a_tree_from_before_heights_were_written_learns_them_from_what_is_added() {
        let mut book = Book::new();
        for number in 1..=20_usize {
            let (category_id, parent) = (id(number), (number > 1).then(|| id(number - 1)));
            let name = "C".parse().expect("a name");
            book.happened::<Category>(&category_id, CategoryCreated { category_id, parent, name });
        }
        assert_eq!(book.state::<Category>(&id(1)).height(), 1, "nothing is known");
        book.given("CreateCategory", create(21, Some(20)));
        assert_eq!(book.state::<Category>(&id(1)).height(), 21);
        book.given("MoveCategory", to(20, None));
        assert_eq!(book.state::<Category>(&id(1)).height(), 19);
    }
}
