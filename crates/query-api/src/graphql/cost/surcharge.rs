//! The surcharge of some fields: they take the same work however little of it is selected.

use async_graphql::parser::types::{ExecutableDocument, Field, Selection, SelectionSet};

use crate::graphql::position;

/// The cost of waiting for a position.
const POSITION: usize = 20;
/// The cost of counting products for a facet.
const FACET: usize = 50;

/// The surcharge of a document. Counting stops a little above `enough`.
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

/// The surcharge of a field of the query type.
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

/// Calls `visit` for each field of a selection and of its fragments, until it returns false. Returns whether all were visited.
fn each(document: &ExecutableDocument, selection: &SelectionSet, visit: &mut dyn FnMut(&Field) -> bool) -> bool {
    selection.items.iter().all(|item| match &item.node {
        Selection::Field(field) => visit(&field.node),
        Selection::InlineFragment(fragment) => each(document, &fragment.node.selection_set.node, visit),
        Selection::FragmentSpread(spread) => document
            .fragments
            .get(&spread.node.fragment_name.node)
            .is_none_or(|fragment| each(document, &fragment.node.selection_set.node, visit)),
    })
}
