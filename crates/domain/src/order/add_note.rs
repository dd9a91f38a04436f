//! Adding a note to an order.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{NoteAdded, Order, existing::existing};
use crate::{Context, Decide, Decision, Reads, Rejection, Streams, ids::OrderId, text::Prose};

/// Adds a note for staff to the history of an order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AddNote {
    /// The order.
    pub order_id: OrderId,
    /// The note.
    pub note: Prose,
}

impl Decide for AddNote {
    fn reads(&self, reads: &mut Reads) {
        reads.add::<Order>(&self.order_id);
    }

    fn decide(&self, _context: &Context, streams: &Streams<'_>) -> Result<Decision, Rejection> {
        let Self { order_id, note } = self.clone();
        existing(order_id, streams)?;
        Ok(Decision::of::<Order>(&order_id, NoteAdded { order_id, note }))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::spec::{Book, code, order, record};

    #[test]
    fn notes_are_kept_on_an_order_that_exists() {
        let mut book = Book::with_order();
        let note = |number: u128| json!({ "order_id": order(number), "note": "called back\nat noon" });
        book.given("AddNote", note(1)).given("AddNote", note(1));
        assert_eq!(record(&book, 1).notes, 2);
        assert_eq!(code(book.when("AddNote", note(9))), "order_not_found");
    }
}
