//! Who may send which command. The data stands beside each command, in the declaration of its slice; this file checks it.
//! The whole matrix is a snapshot of `spec/access.rs`. The phases from which a role may move an order are in `order/moves.rs`.

use daybook_kernel::{Fold, Streams as Window};

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
    fn not_yours(id: &Self::Id) -> Refusal;
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

/// Whether the thing of this id is the actor's own.
pub(crate) fn check_owner<'a, S>(id: &S::Id, actor: &Actor, streams: &Window<'a, State>) -> Result<(), Rejection>
where
    S: Owned + 'a,
    &'a S: TryFrom<&'a State>,
{
    if actor.may_touch(streams.get::<S>(id)?.owner()) { Ok(()) } else { Err(Rejection::Refused(S::not_yours(id))) }
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
