//! Actors between processes. No token carries them: the process where a command arrives has checked its token.

use std::sync::{Mutex, PoisonError};

use daybook_domain::{Actor, Role, ids::CustomerId};

/// The most parts of the engine that send commands.
const MAX_PARTS: usize = 100;

/// The names of the parts of the engine that have sent commands from other processes. Each is kept once.
static PARTS: Mutex<Vec<&'static str>> = Mutex::new(Vec::new());

/// The name of an actor beside its role.
pub(super) fn name(actor: &Actor) -> Option<String> {
    match actor {
        Actor::Guest => None,
        Actor::Customer(CustomerId(id)) => Some(id.to_string()),
        Actor::Support(name) | Actor::Admin(name) => Some(name.clone()),
        Actor::System(part) => Some((*part).to_owned()),
    }
}

/// The actor of a role and a name.
pub(super) fn of(role: Role, name: Option<String>) -> Option<Actor> {
    Some(match (role, name) {
        (Role::Guest, None) => Actor::Guest,
        (Role::Customer, Some(id)) => Actor::Customer(CustomerId(id.parse().ok()?)),
        (Role::Support, Some(name)) => Actor::Support(name),
        (Role::Admin, Some(name)) => Actor::Admin(name),
        (Role::System, Some(part)) => Actor::System(part_of_engine(part)?),
        _ => return None,
    })
}

fn part_of_engine(name: String) -> Option<&'static str> {
    let mut parts = PARTS.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(known) = parts.iter().find(|known| **known == name) {
        return Some(known);
    }
    (parts.len() < MAX_PARTS).then(|| {
        let part: &'static str = name.leak();
        parts.push(part);
        part
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_actor_is_the_same_in_another_process() {
        let customer = CustomerId("018f0000-0000-7000-8000-0000000000aa".parse().expect("a valid id"));
        for actor in [
            Actor::Guest,
            Actor::Customer(customer),
            Actor::Support("sue".to_owned()),
            Actor::Admin("ada: the first".to_owned()),
            Actor::System("cart_expiry"),
        ] {
            assert_eq!(of(actor.role(), name(&actor)), Some(actor));
        }
        assert_eq!(of(Role::Customer, Some("ann".to_owned())), None);
        assert_eq!(of(Role::Admin, None), None);
    }
}
