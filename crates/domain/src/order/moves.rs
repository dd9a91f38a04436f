//! The order state machine, as data: the legal moves, and where they lead. Who may make them follows from the access of their
//! commands.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Command;
use crate::{Role, Scalar};

/// How far an order is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// The customer has ordered; stock is reserved.
    Placed,
    /// The shop has accepted.
    Confirmed,
    /// Staff has to look at it before it goes on.
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

impl Scalar for Phase {
    type Value = str;

    fn value(&self) -> &str {
        self.name()
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
    /// The command that makes it. The roles that may send it are those of its [access](crate::Access).
    pub command: &'static str,
    /// The phases from which it can be made.
    pub from: &'static [Phase],
    /// Where it leads.
    pub to: Destination,
    /// Whether only staff may make it, though buyers may send the command in other phases.
    pub staff_only: bool,
}

impl Move {
    /// The roles that may make it.
    pub fn roles(&self) -> impl Iterator<Item = Role> + use<> {
        let access = Command::access_of(self.command);
        let staff_only = self.staff_only;
        let roles = access.into_iter().flat_map(|access| access.roles).copied();
        roles.filter(move |role| !(staff_only && role.is_buyer()))
    }
}

const fn a_move(command: &'static str, from: &'static [Phase], to: Phase) -> Move {
    Move { command, from, to: Destination::To(to), staff_only: false }
}

/// Every legal move. An order in a phase that no move starts from is at its end.
pub const MOVES: &[Move] = &[
    a_move("ConfirmOrder", &[Phase::Placed], Phase::Confirmed),
    a_move("HoldOrder", &[Phase::Placed, Phase::Confirmed, Phase::InFulfilment], Phase::Held),
    Move { command: "ResumeOrder", from: &[Phase::Held], to: Destination::WhereItWasHeld, staff_only: false },
    a_move("StartFulfilment", &[Phase::Confirmed], Phase::InFulfilment),
    a_move("ShipOrder", &[Phase::InFulfilment], Phase::Shipped),
    a_move("DeliverOrder", &[Phase::Shipped], Phase::Delivered),
    // Customers may change their mind until the shop has accepted; later it takes staff, who know where the parcel is.
    a_move("CancelOrder", &[Phase::Placed], Phase::Cancelled),
    Move {
        command: "CancelOrder",
        from: &[Phase::Confirmed, Phase::Held, Phase::InFulfilment],
        to: Destination::To(Phase::Cancelled),
        staff_only: true,
    },
    a_move("ReturnOrder", &[Phase::Shipped, Phase::Delivered], Phase::Returned),
    a_move("RefundOrder", &[Phase::Returned, Phase::Cancelled], Phase::Refunded),
];

/// The moves that `role` may make from `phase`.
pub fn next_moves(phase: Phase, role: Role) -> impl Iterator<Item = &'static Move> {
    let from_here = MOVES.iter().filter(move |legal| legal.from.contains(&phase));
    from_here.filter(move |legal| legal.roles().any(|may| may == role))
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
