//! How much a document comes to once its fragments stand in their places. The library walks it like that before it counts
//! anything, and again for every rule: fragments that spread each other twice at every level would keep it busy for years, and
//! a chain of them would use up its stack.

use std::collections::HashMap;

use async_graphql::{
    Name, ServerError,
    parser::types::{ExecutableDocument, Selection, SelectionSet},
};

use crate::graphql::error::with_code;

/// The most selections that a document may come to, those of its fragments by themselves among them.
const MAX_SELECTIONS: usize = 20_000;
/// How many fragments may spread each other in a row.
const MAX_CHAIN: usize = 30;

/// Refuses a document that comes to too much, or to no end.
pub(super) fn check(document: &ExecutableDocument) -> Result<(), ServerError> {
    let mut expansion = Expansion { document, known: HashMap::new(), under_way: Vec::new() };
    let mut all = 0_usize;
    // Fragments are walked by themselves as well, those that no operation spreads among them.
    for name in document.fragments.keys() {
        all = all.saturating_add(expansion.of_fragment(name)?);
    }
    for (_, operation) in document.operations.iter() {
        all = all.saturating_add(expansion.of(&operation.node.selection_set.node)?);
    }
    if all > MAX_SELECTIONS { Err(refused("QUERY_TOO_COMPLEX", "Query is too complex.")) } else { Ok(()) }
}

struct Expansion<'d> {
    document: &'d ExecutableDocument,
    known: HashMap<&'d Name, usize>,
    /// The fragments that are being looked at, each spread by the one before.
    under_way: Vec<&'d Name>,
}

impl<'d> Expansion<'d> {
    fn of(&mut self, selection: &'d SelectionSet) -> Result<usize, ServerError> {
        selection.items.iter().try_fold(0_usize, |all, item| {
            let inner = match &item.node {
                Selection::Field(field) => self.of(&field.node.selection_set.node)?,
                Selection::InlineFragment(fragment) => self.of(&fragment.node.selection_set.node)?,
                Selection::FragmentSpread(spread) => self.of_fragment(&spread.node.fragment_name.node)?,
            };
            Ok(all.saturating_add(inner).saturating_add(1))
        })
    }

    fn of_fragment(&mut self, name: &'d Name) -> Result<usize, ServerError> {
        if let Some(known) = self.known.get(name) {
            return Ok(*known);
        }
        // One that is missing is for validation to tell.
        let Some(fragment) = self.document.fragments.get(name) else { return Ok(0) };
        if self.under_way.contains(&name) {
            let message = format!("Cannot spread fragment \"{name}\" within itself.");
            return Err(refused("GRAPHQL_VALIDATION_FAILED", &message));
        }
        if self.under_way.len() >= MAX_CHAIN {
            return Err(refused("QUERY_TOO_DEEP", "Query is nested too deep."));
        }
        self.under_way.push(name);
        let size = self.of(&fragment.node.selection_set.node)?;
        self.under_way.pop();
        self.known.insert(name, size);
        Ok(size)
    }
}

fn refused(code: &str, message: &str) -> ServerError {
    with_code(ServerError::new(message, None), code)
}
