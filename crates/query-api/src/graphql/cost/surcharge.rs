//! The surcharge of fields that take statements of their own: they take the same work however little of it is selected.

use async_graphql::parser::types::{ExecutableDocument, Field, Selection, SelectionSet};

use super::STATEMENT;
use crate::graphql::position;

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

/// The surcharge of a root field.
fn of_root(document: &ExecutableDocument, field: &Field) -> usize {
    if field.name.node.starts_with("__") {
        return 0;
    }
    let mut surcharge = STATEMENT;
    if field.get_argument(position::ARGUMENT).is_some() {
        surcharge += STATEMENT;
    }
    if field.name.node == "search" {
        each(document, &field.selection_set.node, &mut |field| {
            if field.name.node == "facets" {
                surcharge += STATEMENT * field.selection_set.node.items.len().max(1);
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
