//! The table of an order's moves, held against what is decided.

use super::{Book, customer, move_body, move_to, phase, way_to};
use crate::{
    Actor, Role,
    order::moves::{Destination, MOVES, Phase, diagram, next_moves},
};

#[test]
fn a_move_is_made_exactly_where_the_table_allows_it() {
    for from in Phase::ALL {
        for legal in MOVES {
            let mut book = Book::with_order();
            move_to(&mut book, way_to(from));
            assert_eq!(phase(&book), from);
            let allowed = next_moves(from, Role::Admin).find(|other| other.command == legal.command);
            let made = book.when(legal.command, move_body(legal.command));
            assert_eq!(made.is_ok(), allowed.is_some(), "{} from {from}: {made:?}", legal.command);
            if let Some(Destination::To(target)) = allowed.map(|allowed| allowed.to) {
                assert_eq!(phase(&book), target);
            }
        }
    }
}

#[test]
fn what_is_offered_as_a_next_move_is_never_refused() {
    let actors =
        [Actor::Guest, customer("ann"), Actor::Support("sue".into()), Actor::Admin("ada".into()), super::engine()];
    let mut offered = 0;
    for from in Phase::ALL {
        for actor in &actors {
            for legal in next_moves(from, actor.role()) {
                let mut book = if *actor == Actor::Guest { Book::with_order() } else { Book::with_order_of("ann") };
                move_to(&mut book, way_to(from));
                let made = book.when_as(actor.clone(), legal.command, move_body(legal.command));
                assert!(made.is_ok(), "{} from {from} as {actor}: {made:?}", legal.command);
                offered += 1;
            }
        }
    }
    // Guests and customers cancel what was just placed; each of two roles of staff has every move of the table.
    let of_staff: usize = MOVES.iter().map(|legal| legal.from.len()).sum();
    assert_eq!(offered, 2 + 2 * of_staff);
}

#[test]
fn the_map_draws_the_state_machine_as_it_is() {
    let map = include_str!("../../../../ARCHITECTURE.md");
    assert!(map.contains(&diagram()), "ARCHITECTURE.md does not draw:\n{}", diagram());
}
