//! `category`: the tree of categories.

use daybook_domain::{Event, Slice, catalog, ids::CategoryId, text::Name};
use futures::FutureExt;
use serde::{Deserialize, Serialize};

use crate::engine::{recorded::Recorded, store::Row, view::ViewSpec};

pub(in crate::views) static VIEW: ViewSpec = ViewSpec {
    name: "category",
    slices: &[Slice::Catalog],
    tables: &["categories"],
    revision: 2,
    ddl: "CREATE TABLE categories (category_id uuid PRIMARY KEY, parent_id uuid, name text NOT NULL, position bigint NOT NULL);
          CREATE INDEX ON categories (name, category_id);",
    project: |store, events| async move { store.fold(events, key, fold).await.map(drop) }.boxed(),
};

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
struct Key {
    category_id: CategoryId,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Category {
    category_id: CategoryId,
    parent_id: Option<CategoryId>,
    name: Name,
    position: i64,
}

impl Row for Category {
    type Key = Key;
    const TABLE: &'static str = "categories";
    const KEY: &'static [&'static str] = &["category_id"];
    const COLUMNS: &'static [&'static str] = &["parent_id", "name", "position"];
}

fn key(recorded: &Recorded) -> Option<Key> {
    let Event::Catalog(event) = &recorded.event else { return None };
    match event {
        catalog::Event::CategoryCreated(e) => Some(Key { category_id: e.category_id }),
        catalog::Event::CategoryMoved(e) => Some(Key { category_id: e.category_id }),
        catalog::Event::ProductCreated(_)
        | catalog::Event::ProductRevised(_)
        | catalog::Event::VariantAdded(_)
        | catalog::Event::ProductPublished(_)
        | catalog::Event::ProductArchived(_)
        | catalog::Event::SkuClaimed(_)
        | catalog::Event::PriceSet(_)
        | catalog::Event::SlugClaimed(_)
        | catalog::Event::SlugReleased(_) => None,
    }
}

fn fold(row: Option<Category>, recorded: &Recorded) -> Option<Category> {
    let position = recorded.record.position;
    match (&recorded.event, row) {
        (Event::Catalog(catalog::Event::CategoryCreated(e)), _) => {
            Some(Category { category_id: e.category_id, parent_id: e.parent, name: e.name.clone(), position })
        }
        (Event::Catalog(catalog::Event::CategoryMoved(e)), Some(row)) => {
            Some(Category { parent_id: e.parent, position, ..row })
        }
        (_, row) => row,
    }
}
