//! The categories of a row: a department and a category below it. Their ids derive from their names, so the same names are the same
//! categories in every file.

use daybook_domain::{catalog::CreateCategory, ids::CategoryId, text::Name};
use uuid::Uuid;

use super::IMPORTED;

/// Between the names of a path. No name holds a control character.
const BETWEEN: char = '\u{1f}';

/// A category as a row names it.
#[derive(Debug, Clone)]
pub(super) struct Named {
    /// The command that creates it.
    pub(super) create: CreateCategory,
    /// The id that it had before names with `/` had ids of their own.
    pub(super) former_id: CategoryId,
}

/// The category of a row and the department above it, the root first. A category without a department is a root.
pub(super) fn path(department: Option<Name>, category: Option<Name>) -> Vec<Named> {
    let mut names: Vec<Name> = Vec::new();
    let mut path: Vec<Named> = Vec::new();
    for name in department.into_iter().chain(category) {
        names.push(name.clone());
        let parent = path.last().map(|named| named.create.category_id);
        let former_id = joined(&names, '/');
        // A path of names without `/` has one reading only, and keeps its id.
        let category_id =
            if names.iter().any(|name| name.as_str().contains('/')) { joined(&names, BETWEEN) } else { former_id };
        path.push(Named { create: CreateCategory { category_id, parent, name }, former_id });
    }
    path
}

fn joined(names: &[Name], between: char) -> CategoryId {
    let mut path = String::from("category");
    for name in names {
        path.push(between);
        path.push_str(name.as_str());
    }
    CategoryId(Uuid::new_v5(&IMPORTED, path.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(department: &str, category: &str) -> Vec<CategoryId> {
        let name = |text: &str| (!text.is_empty()).then(|| text.parse().expect("a name"));
        path(name(department), name(category)).into_iter().map(|named| named.create.category_id).collect()
    }

    #[test]
    fn each_path_of_names_has_an_id_of_its_own() {
        let (slash, below) = (ids("A/B", ""), ids("A", "B"));
        assert_eq!((slash.len(), below.len()), (1, 2));
        assert_ne!(slash[0], below[1]);
        assert_ne!(ids("A", "B/C")[1], ids("A/B", "C")[1]);
        assert_eq!(ids("", "B"), ids("B", ""), "a category without a department is a root");
        let pinned = Uuid::new_v5(&IMPORTED, b"category/A/B");
        assert_eq!(below[1], CategoryId(pinned), "the id is the one of before");
    }
}
