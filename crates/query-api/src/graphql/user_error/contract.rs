//! The refusals that the domain has, and the data that each comes with.

use daybook_domain::Refusal;
use serde_json::Value;

use crate::graphql::commands::SEVERAL;

/// A kind of refusal.
#[derive(Debug, Clone)]
pub(super) struct Contract {
    /// The code that tells it from the others.
    pub(super) code: &'static str,
    /// Its name.
    pub(super) name: &'static str,
    /// What it means.
    pub(super) description: &'static str,
    /// The JSON Schema of its data, which is an object.
    pub(super) schema: Value,
}

/// All refusals of the domain, except the one for several problems, each of which is a user error.
pub(super) fn contracts() -> Vec<Contract> {
    let contracts = Refusal::contracts().into_iter().filter(|contract| contract.code != SEVERAL);
    contracts
        .map(|contract| Contract {
            code: contract.code,
            name: contract.name,
            description: contract.description,
            schema: contract.schema.into(),
        })
        .collect()
}
