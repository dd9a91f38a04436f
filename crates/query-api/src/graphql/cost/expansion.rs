//! The size of a document after its fragments are expanded. The library visits the expanded document before it counts anything, and
//! again for every rule. Fragments that spread each other twice at every level would keep it busy for years. A long chain of
//! fragments would overflow its stack.

use std::collections::HashMap;

use async_graphql::{
    Name, ServerError,
    parser::types::{ExecutableDocument, Selection, SelectionSet},
};

use crate::graphql::error::with_code;

/// The most selections of an expanded document. Each fragment counts once more by itself.
const MAX_SELECTIONS: usize = 20_000;
/// The longest chain of fragments that spread each other.
const MAX_CHAIN: usize = 30;

/// Refuses a document that is too large when expanded, or has no end.
pub(super) fn check(document: &ExecutableDocument) -> Result<(), ServerError> {
    let mut expansion = Expansion { document, known: HashMap::new(), chain: Vec::new() };
    let mut all = 0_usize;
    // The library visits fragments by themselves, too, even those that no operation spreads.
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
    /// The chain of fragments that leads to the current selection.
    chain: Vec<&'d Name>,
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
        // A missing fragment is an error of the validation.
        let Some(fragment) = self.document.fragments.get(name) else { return Ok(0) };
        if self.chain.contains(&name) {
            let message = format!("Cannot spread fragment \"{name}\" within itself.");
            return Err(refused("GRAPHQL_VALIDATION_FAILED", &message));
        }
        if self.chain.len() >= MAX_CHAIN {
            return Err(refused("QUERY_TOO_DEEP", "Query is nested too deep."));
        }
        self.chain.push(name);
        let size = self.of(&fragment.node.selection_set.node)?;
        self.chain.pop();
        self.known.insert(name, size);
        Ok(size)
    }
}

fn refused(code: &str, message: &str) -> ServerError {
    with_code(ServerError::new(message, None), code)
}
