//! The tree of categories: where a category may stand, and how high the subtree under each category is.
//!
//! A category knows its parent, and the height of the subtree of each child: a decision that adds, moves or removes a category writes that
//! to the ancestors whose heights change. So a move knows how deep its whole subtree will stand, and reads only ancestors. All of them
//! join the read set, so two moves that break a rule together cannot both be committed.
//!
//! A removed category keeps its place, and counts as no level: what stood under it stands under its parent.
//!
//! In a book from before heights were written, a category learns them from the first change below it.

use std::collections::BTreeMap;

use daybook_kernel::refusals;

use super::{Category, CategoryChildChanged, CategoryNotFound, policy::MAX_CATEGORY_DEPTH};
use crate::{Decision, Rejection, Streams, ids::CategoryId};

refusals! {
    /// The tree would become a ring.
    "category_cycle" CategoryCycle: Rule at "parent" = "category {category_id} cannot stand under itself", {
        /// The category.
        category_id: CategoryId,
    }
    /// The tree has a bounded depth.
    "category_too_deep" CategoryTooDeep: Rule at "parent" = "categories nest at most {limit} deep", {
        /// The limit.
        limit: usize,
    }
}

/// The most ancestors of a new place, removed ones included, so that a decision reads a bounded number. That many are written to at most
/// when a subtree leaves its place. Books from before whole subtrees were checked may be deeper.
const MAX_ANCESTORS: usize = 2 * MAX_CATEGORY_DEPTH;

/// Checks that the category stands in the tree under which another one is going to stand.
pub(super) fn check_parent(parent: Option<CategoryId>, streams: &Streams<'_>) -> Result<(), Rejection> {
    match parent {
        Some(category_id) if !streams.get::<Category>(&category_id)?.exists() => {
            Err(CategoryNotFound { category_id }.into())
        }
        _ => Ok(()),
    }
}

/// The ancestors of a place, from the parent up to the root.
pub(super) struct Ancestors<'s>(Vec<(CategoryId, &'s Category)>);

impl<'s> Ancestors<'s> {
    /// The ancestors of a place under `parent`, where a subtree of this height is going to stand.
    pub(super) fn of_new_place(
        category_id: CategoryId,
        parent: Option<CategoryId>,
        height: usize,
        streams: &Streams<'s>,
    ) -> Result<Self, Rejection> {
        let (mut above, mut ancestors, mut levels) = (parent, Vec::new(), height);
        while let Some(ancestor) = above {
            if ancestor == category_id {
                return Err(CategoryCycle { category_id }.into());
            }
            let category = streams.get::<Category>(&ancestor)?;
            if *category == Category::Absent {
                return Err(CategoryNotFound { category_id: ancestor }.into());
            }
            levels += category.own_levels();
            if levels > MAX_CATEGORY_DEPTH || ancestors.len() == MAX_ANCESTORS {
                return Err(CategoryTooDeep { limit: MAX_CATEGORY_DEPTH }.into());
            }
            above = category.parent();
            ancestors.push((ancestor, category));
        }
        Ok(Self(ancestors))
    }

    /// The ancestors of the place under `parent` that a subtree leaves.
    pub(super) fn of_old_place(parent: Option<CategoryId>, streams: &Streams<'s>) -> Result<Self, Rejection> {
        let (mut above, mut ancestors) = (parent, Vec::new());
        while let Some(ancestor) = above.filter(|_| ancestors.len() < MAX_ANCESTORS) {
            let category = streams.get::<Category>(&ancestor)?;
            above = category.parent();
            ancestors.push((ancestor, category));
        }
        Ok(Self(ancestors))
    }
}

/// The changes of heights that a decision makes.
#[derive(Default)]
pub(super) struct Heights {
    /// The children of the ancestors that have changed, with the heights of their subtrees.
    changed: BTreeMap<CategoryId, BTreeMap<CategoryId, usize>>,
    events: Vec<(CategoryId, CategoryChildChanged)>,
}

impl Heights {
    /// The subtree of `child` has another height from now on, where it stands.
    pub(super) fn set(&mut self, child: CategoryId, height: usize, ancestors: &Ancestors<'_>) {
        self.change(child, (height > 0).then_some(height), ancestors);
    }

    /// The subtree of `child` leaves its ancestors.
    pub(super) fn leave(&mut self, child: CategoryId, ancestors: &Ancestors<'_>) {
        self.change(child, None, ancestors);
    }

    /// A subtree of this height comes under its ancestors.
    pub(super) fn enter(&mut self, child: CategoryId, height: usize, ancestors: &Ancestors<'_>) {
        self.change(child, Some(height), ancestors);
    }

    /// Changes the height of a child, and from there up every height that follows from it.
    fn change(&mut self, mut child: CategoryId, mut height: Option<usize>, ancestors: &Ancestors<'_>) {
        for (ancestor, category) in &ancestors.0 {
            let children = self.changed.entry(*ancestor).or_insert_with(|| category.children().clone());
            if children.get(&child).copied() == height {
                return;
            }
            match height {
                Some(height) => children.insert(child, height),
                None => children.remove(&child),
            };
            self.events.push((*ancestor, CategoryChildChanged { category_id: *ancestor, child_id: child, height }));
            let levels = category.own_levels() + children.values().max().copied().unwrap_or(0);
            (child, height) = (*ancestor, (levels > 0).then_some(levels));
        }
    }

    /// Adds the changes to a decision.
    pub(super) fn written(self, decision: Decision) -> Decision {
        self.events.into_iter().fold(decision, |decision, (id, event)| decision.and::<Category>(&id, event))
    }
}
