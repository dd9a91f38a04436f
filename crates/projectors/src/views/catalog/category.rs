//! `category`: the tree of categories.

use daybook_domain::{Event, Slice, catalog, ids::CategoryId, text::Name};
use futures::FutureExt;

use crate::{
    engine::{recorded::Recorded, store::Row, view::ViewSpec},
    row,
};

pub(in crate::views) static VIEW: ViewSpec = ViewSpec {
    name: "category",
    slices: &[Slice::Catalog],
    tables: &[Category::TABLE],
    revision: 4,
    project: |store, events| async move { store.fold(events, key, fold).await.map(drop) }.boxed(),
};

row! {
    /// A category.
    pub(in crate::views) struct Category in categories {
        key CategoryKey { category_id: CategoryId }
        parent_id: Option<CategoryId>,
        name: Name,
        /// Whether it was removed. What stands under it or in it counts as standing under or in its parent.
        removed: bool,
        position: i64,
    }
    sorted { name }
    indexes { "(name, category_id)", "(parent_id)" }
}

fn key(recorded: &Recorded) -> Option<CategoryKey> {
    let Event::Catalog(event) = &recorded.event else { return None };
    match event {
        catalog::Event::CategoryCreated(e) => Some(CategoryKey { category_id: e.category_id }),
        catalog::Event::CategoryRenamed(e) => Some(CategoryKey { category_id: e.category_id }),
        catalog::Event::CategoryMoved(e) => Some(CategoryKey { category_id: e.category_id }),
        catalog::Event::CategoryRemoved(e) => Some(CategoryKey { category_id: e.category_id }),
        catalog::Event::ProductCreated(_)
        | catalog::Event::ProductRevised(_)
        | catalog::Event::VariantAdded(_)
        | catalog::Event::VariantRevised(_)
        | catalog::Event::VariantRemoved(_)
        | catalog::Event::ProductPublished(_)
        | catalog::Event::ProductArchived(_)
        | catalog::Event::SkuClaimed(_)
        | catalog::Event::PriceSet(_)
        | catalog::Event::PriceRemoved(_)
        | catalog::Event::SlugClaimed(_)
        | catalog::Event::SlugForwarded(_)
        | catalog::Event::SlugReleased(_)
        | catalog::Event::CategoryChildChanged(_) => None,
    }
}

fn fold(row: Option<Category>, recorded: &Recorded) -> Option<Category> {
    let position = recorded.record.position;
    let Event::Catalog(event) = &recorded.event else { return row };
    match event {
        catalog::Event::CategoryCreated(e) => {
            let (category_id, parent_id, name) = (e.category_id, e.parent, e.name.clone());
            Some(Category { category_id, parent_id, name, removed: false, position })
        }
        catalog::Event::CategoryRenamed(e) => row.map(|row| Category { name: e.name.clone(), position, ..row }),
        catalog::Event::CategoryMoved(e) => row.map(|row| Category { parent_id: e.parent, position, ..row }),
        catalog::Event::CategoryRemoved(_) => row.map(|row| Category { removed: true, position, ..row }),
        catalog::Event::ProductCreated(_)
        | catalog::Event::ProductRevised(_)
        | catalog::Event::VariantAdded(_)
        | catalog::Event::VariantRevised(_)
        | catalog::Event::VariantRemoved(_)
        | catalog::Event::ProductPublished(_)
        | catalog::Event::ProductArchived(_)
        | catalog::Event::SkuClaimed(_)
        | catalog::Event::PriceSet(_)
        | catalog::Event::PriceRemoved(_)
        | catalog::Event::SlugClaimed(_)
        | catalog::Event::SlugForwarded(_)
        | catalog::Event::SlugReleased(_)
        | catalog::Event::CategoryChildChanged(_) => row,
    }
}
