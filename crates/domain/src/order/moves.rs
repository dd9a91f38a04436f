//! The order state machine, as data: the legal moves, where they lead, and who may make them.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Role;

/// How far an order is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// The customer has ordered; stock is reserved.
    Placed,
    /// The shop has accepted.
    Confirmed,
    /// Somebody has to look at it before it goes on.
    Held,
    /// It is being picked and packed.
    InFulfilment,
    /// The goods have left.
    Shipped,
    /// The customer has the goods.
    Delivered,
    /// It was called off; reserved stock is free again.
    Cancelled,
    /// The goods have come back.
    Returned,
    /// The money has gone back.
    Refunded,
}

impl Phase {
    /// Every phase there is, in the order of an order's life.
    pub const ALL: [Self; 9] = [
        Self::Placed,
        Self::Confirmed,
        Self::Held,
        Self::InFulfilment,
        Self::Shipped,
        Self::Delivered,
        Self::Cancelled,
        Self::Returned,
        Self::Refunded,
    ];

    /// Its name in APIs and read models.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Placed => "placed",
            Self::Confirmed => "confirmed",
            Self::Held => "held",
            Self::InFulfilment => "in_fulfilment",
            Self::Shipped => "shipped",
            Self::Delivered => "delivered",
            Self::Cancelled => "cancelled",
            Self::Returned => "returned",
            Self::Refunded => "refunded",
        }
    }
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Where a move leads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Destination {
    /// Into this phase.
    To(Phase),
    /// Back to the phase that the order was held in.
    WhereItWasHeld,
}

/// A legal move.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Move {
    /// The command that makes it.
    pub command: &'static str,
    /// The phases from which it can be made.
    pub from: &'static [Phase],
    /// Where it leads.
    pub to: Destination,
    /// Who may make it.
    pub roles: &'static [Role],
}

const STAFF: &[Role] = &[Role::Support, Role::Admin];
const ANYBODY: &[Role] = &[Role::Guest, Role::Customer, Role::Support, Role::Admin];

/// Every legal move. An order that is not named here as a source is at its end.
pub const MOVES: &[Move] = &[
    Move { command: "ConfirmOrder", from: &[Phase::Placed], to: Destination::To(Phase::Confirmed), roles: STAFF },
    Move {
        command: "HoldOrder",
        from: &[Phase::Placed, Phase::Confirmed, Phase::InFulfilment],
        to: Destination::To(Phase::Held),
        roles: STAFF,
    },
    Move { command: "ResumeOrder", from: &[Phase::Held], to: Destination::WhereItWasHeld, roles: STAFF },
    Move {
        command: "StartFulfilment",
        from: &[Phase::Confirmed],
        to: Destination::To(Phase::InFulfilment),
        roles: STAFF,
    },
    Move { command: "ShipOrder", from: &[Phase::InFulfilment], to: Destination::To(Phase::Shipped), roles: STAFF },
    Move { command: "DeliverOrder", from: &[Phase::Shipped], to: Destination::To(Phase::Delivered), roles: STAFF },
    // Customers may change their mind until the shop has accepted; later it takes somebody who knows where the parcel is.
    Move { command: "CancelOrder", from: &[Phase::Placed], to: Destination::To(Phase::Cancelled), roles: ANYBODY },
    Move {
        command: "CancelOrder",
        from: &[Phase::Confirmed, Phase::Held, Phase::InFulfilment],
        to: Destination::To(Phase::Cancelled),
        roles: STAFF,
    },
    Move {
        command: "ReturnOrder",
        from: &[Phase::Shipped, Phase::Delivered],
        to: Destination::To(Phase::Returned),
        roles: STAFF,
    },
    Move {
        command: "RefundOrder",
        from: &[Phase::Returned, Phase::Cancelled],
        to: Destination::To(Phase::Refunded),
        roles: STAFF,
    },
];

/// The moves that `role` may make from `phase`.
pub fn next_moves(phase: Phase, role: Role) -> impl Iterator<Item = &'static Move> {
    MOVES.iter().filter(move |legal| legal.from.contains(&phase) && legal.roles.contains(&role))
}

/// The state machine as a Mermaid diagram, for documents.
#[must_use]
pub fn diagram() -> String {
    let mut lines = vec!["stateDiagram-v2".to_owned(), "    [*] --> placed: PlaceOrder".to_owned()];
    lines.push("    [*] --> delivered: ImportOrder".to_owned());
    for Move { command, from, to, .. } in MOVES {
        for source in *from {
            match to {
                Destination::To(target) => lines.push(format!("    {source} --> {target}: {command}")),
                Destination::WhereItWasHeld => {
                    let held_from = MOVES.iter().filter(|legal| legal.to == Destination::To(*source));
                    let targets = held_from.flat_map(|legal| legal.from.iter());
                    lines.extend(targets.map(|target| format!("    {source} --> {target}: {command}")));
                }
            }
        }
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_phase_has_one_name_in_read_models_and_in_json() {
        for phase in Phase::ALL {
            assert_eq!(serde_json::to_value(phase).expect("a name"), phase.name());
        }
    }
}
