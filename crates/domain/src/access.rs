//! Who may send which command. The data stands beside each command, in the declaration of its slice; this file checks it.
//! The whole matrix is a snapshot of `spec/access.rs`. The phases from which a role may move an order are in `order/moves.rs`.

use daybook_kernel::{Fold, StreamName, Streams as Window};

use crate::{
    Actor, Command, Owner, Refusal, Rejection, Role, State, Storefront, Streams,
    general::{ChannelNotServed, ForAnotherCustomer, LocationNotServed, RoleForbidden},
    ids::{Channel, CustomerId, LocationId},
};

/// For those who run the shop.
pub(crate) const ADMIN: &[Role] = &[Role::Admin];
/// For those who look after orders.
pub(crate) const STAFF: &[Role] = &[Role::Support, Role::Admin];
/// For everybody; what a buyer may touch depends on whose cart or order it is.
pub(crate) const ANYBODY: &[Role] = &[Role::Guest, Role::Customer, Role::Support, Role::Admin];
/// For the engine's own timers.
pub(crate) const ENGINE: &[Role] = &[Role::System];

/// Who may send a command, as data. Fields are named as in the body of the command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Access {
    /// The roles that may send it.
    pub roles: &'static [Role],
    /// The fields that name a thing which has to be the buyer's own.
    pub own: &'static [&'static str],
    /// The field that names a customer who has to be the buyer.
    pub customer: Option<&'static str>,
    /// The field that names a channel which the storefront has to serve.
    pub channel: Option<&'static str>,
    /// The field that names locations which the storefront has to serve.
    pub locations: Option<&'static str>,
}

impl Access {
    /// Whether a token can carry a role that may send the command. Others are the engine's own, and no client sends them.
    #[must_use]
    pub fn is_public(&self) -> bool {
        self.roles.iter().any(|role| Role::OF_TOKENS.contains(role))
    }

    /// Whether a role may send the command of this name.
    ///
    /// # Errors
    /// [`RoleForbidden`] names the roles that may.
    pub fn check_role(&self, command: &str, role: Role) -> Result<(), RoleForbidden> {
        if self.roles.contains(&role) {
            return Ok(());
        }
        Err(RoleForbidden { command: command.to_owned(), role, roles: self.roles.to_vec() })
    }
}

/// What a command names that a buyer may not choose freely.
pub(crate) struct Named<'c> {
    pub(crate) customer: Option<CustomerId>,
    pub(crate) channel: Option<&'c Channel>,
    pub(crate) locations: Option<&'c [LocationId]>,
}

/// A state of a thing that has an [owner](Owner).
pub(crate) trait Owned: Fold {
    /// The owner. What does not exist belongs to the bearer of the id, and the decision finds nothing there.
    fn owner(&self) -> Owner;

    /// The refusal of a buyer who is not the owner.
    fn not_yours(&self, id: &Self::Id) -> Refusal;
}

/// Checks whether an actor may send a command. Reads the things that have to be the actor's own.
///
/// # Errors
/// [`Rejection::Refused`] says why not; [`Rejection::NotLoaded`] when a stream is not loaded.
pub fn authorise(
    command: &Command,
    actor: &Actor,
    storefront: &Storefront,
    streams: &Streams<'_>,
) -> Result<(), Rejection> {
    command.access().check_role(command.name(), actor.role())?;
    if !actor.is_buyer() {
        return Ok(());
    }
    let Named { customer, channel, locations } = command.named();
    if let Some(customer_id) = customer.filter(|named| !actor.may_touch(Owner::Customer(*named))) {
        return Err(ForAnotherCustomer { customer_id }.into());
    }
    storefront.check_channel(channel)?;
    storefront.check_locations(locations.unwrap_or_default())?;
    command.check_owners(actor, streams)
}

/// A cart or an order that a buyer's command is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Thing {
    stream: StreamName,
    /// Whether it exists and belongs to the bearer of its id. False also where its stream is not loaded.
    is_the_bearers: bool,
}

pub(crate) fn thing<'a, S>(id: &S::Id, streams: &Window<'a, State>) -> Thing
where
    S: Owned + Default + PartialEq + 'a,
    &'a S: TryFrom<&'a State>,
{
    let state = streams.loaded::<S>(id);
    let is_the_bearers = state.is_some_and(|state| *state != S::default() && state.owner() == Owner::Bearer);
    Thing { stream: S::stream(id), is_the_bearers }
}

/// The authority on which a command is sent. A command's key is known within it, so nobody can use up the key of another, and
/// nobody gets the outcome of another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Authority {
    /// The actor's own: a customer, a member of the staff, or the engine.
    Actor(Actor),
    /// That of the bearer of this cart or order. A guest has no other, since guests have no names. A customer who acts on what
    /// belongs to the bearer has the same, so a guest who has logged in and repeats a command gets the first outcome.
    Bearer(Option<StreamName>),
}

impl Authority {
    /// The authority of an actor who sends a command. `streams` are those that the decision has seen.
    #[must_use]
    pub fn of(command: &Command, actor: &Actor, streams: &Streams<'_>) -> Self {
        let things = || command.things(streams);
        let first = |things: Vec<Thing>| things.into_iter().map(|thing| thing.stream).min();
        match actor {
            Actor::Guest => Self::Bearer(first(things())),
            Actor::Customer(_) => {
                let things = things();
                let is_bearer = !things.is_empty() && things.iter().all(|thing| thing.is_the_bearers);
                if is_bearer { Self::Bearer(first(things)) } else { Self::Actor(actor.clone()) }
            }
            Actor::Support(_) | Actor::Admin(_) | Actor::System(_) => Self::Actor(actor.clone()),
        }
    }
}

impl std::fmt::Display for Authority {
    /// The actor, or `guest:` and the stream of the cart or order.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Actor(actor) => actor.fmt(f),
            Self::Bearer(None) => Actor::Guest.fmt(f),
            Self::Bearer(Some(stream)) => write!(f, "{}:{stream}", Actor::Guest),
        }
    }
}

/// Whether the thing of this id is the actor's own.
pub(crate) fn check_owner<'a, S>(id: &S::Id, actor: &Actor, streams: &Window<'a, State>) -> Result<(), Rejection>
where
    S: Owned + 'a,
    &'a S: TryFrom<&'a State>,
{
    let state = streams.get::<S>(id)?;
    if actor.may_touch(state.owner()) { Ok(()) } else { Err(Rejection::Refused(state.not_yours(id))) }
}

impl Storefront {
    fn check_channel(&self, named: Option<&Channel>) -> Result<(), ChannelNotServed> {
        match named {
            Some(channel) if !self.channels.contains(channel) => {
                Err(ChannelNotServed { channel: channel.clone(), served: self.channels.clone() })
            }
            Some(_) | None => Ok(()),
        }
    }

    fn check_locations(&self, named: &[LocationId]) -> Result<(), LocationNotServed> {
        let Some(served) = &self.locations else { return Ok(()) };
        match named.iter().enumerate().find(|(_, location)| !served.contains(location)) {
            None => Ok(()),
            Some((index, location)) => {
                Err(LocationNotServed { location: location.clone(), index, served: served.clone() })
            }
        }
    }
}
