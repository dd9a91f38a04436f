//! What some fields cost beside their rows: work that is the same however little of it is shown.

use async_graphql::parser::types::{ExecutableDocument, Field, Selection, SelectionSet};

use crate::graphql::position;

/// What it costs to wait for a position.
const POSITION: usize = 20;
/// What it costs to count products for a facet.
const FACET: usize = 50;

/// The surcharge of a document, counted no further than a little above `enough`.
pub(super) fn of(document: &ExecutableDocument, enough: usize) -> usize {
    let mut surcharge = 0;
    for (_, operation) in document.operations.iter() {
        each(document, &operation.node.selection_set.node, &mut |field| {
            surcharge += of_root(document, field);
            surcharge <= enough
        });
    }
    surcharge
}

/// The surcharge of a field of a query itself.
fn of_root(document: &ExecutableDocument, field: &Field) -> usize {
    let mut surcharge = if field.get_argument(position::ARGUMENT).is_some() { POSITION } else { 0 };
    if field.name.node == "search" {
        each(document, &field.selection_set.node, &mut |field| {
            if field.name.node == "facets" {
                surcharge += FACET * field.selection_set.node.items.len().max(1);
            }
            true
        });
    }
    surcharge
}

/// Shows each field of a selection, those of its fragments in their place, until told to stop; false when it was told so.
fn each(document: &ExecutableDocument, selection: &SelectionSet, see: &mut dyn FnMut(&Field) -> bool) -> bool {
    selection.items.iter().all(|item| match &item.node {
        Selection::Field(field) => see(&field.node),
        Selection::InlineFragment(fragment) => each(document, &fragment.node.selection_set.node, see),
        Selection::FragmentSpread(spread) => document
            .fragments
            .get(&spread.node.fragment_name.node)
            .is_none_or(|fragment| each(document, &fragment.node.selection_set.node, see)),
    })
}
