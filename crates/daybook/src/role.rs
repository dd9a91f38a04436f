//! The roles of a process.

use clap::ValueEnum;

/// A part of the engine that can run as a process of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub enum Role {
    /// Takes commands.
    CommandApi,
    /// Answers queries.
    QueryApi,
    /// Publishes the book to Kafka. One relay leads, others stand by.
    Relay,
    /// Fills the read models.
    Projectors,
    /// Reacts to events: ends carts and reservations whose time is over. Without command-api in the same process it has a bus of
    /// its own.
    Reactors,
}

impl Role {
    /// Its name on the command line.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::CommandApi => "command-api",
            Self::QueryApi => "query-api",
            Self::Relay => "relay",
            Self::Projectors => "projectors",
            Self::Reactors => "reactors",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_the_command_line() {
        for role in Role::value_variants() {
            assert_eq!(role.to_possible_value().expect("no role is hidden").get_name(), role.name());
        }
    }
}
