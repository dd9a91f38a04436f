//! What the inventory says no to.

use serde::Serialize;

use crate::{
    ids::{LocationId, ReservationId, ReservationOwner, Sku},
    refusal::RefusalKind,
};

/// A rule of the inventory said no.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, Serialize)]
#[serde(tag = "code", rename_all = "snake_case")]
pub enum InventoryRefusal {
    /// No product has this SKU.
    #[error("there is no SKU {sku}")]
    UnknownSku {
        /// The SKU.
        sku: Sku,
    },
    /// There is less than was asked for.
    #[error("{requested} of {sku} were asked for at {location}; {available} are available")]
    InsufficientStock {
        /// The SKU.
        sku: Sku,
        /// Where.
        location: LocationId,
        /// How many were asked for.
        requested: u32,
        /// How many could be had.
        available: i64,
    },
    /// The id is in use.
    #[error("reservation {reservation_id} exists already")]
    ReservationExists {
        /// The reservation.
        reservation_id: ReservationId,
    },
    /// There is no such claim, or it has ended.
    #[error("there is no open reservation {reservation_id} of {sku} at {location}")]
    ReservationNotFound {
        /// The SKU.
        sku: Sku,
        /// Where.
        location: LocationId,
        /// The reservation.
        reservation_id: ReservationId,
    },
    /// What an order claims begins and ends with the order, so that nobody else lets go of goods that it is going to ship.
    #[error("reservations of {owner} are made and ended by the order itself")]
    ReservationOfOrder {
        /// Whose claim it is.
        owner: ReservationOwner,
    },
    /// Its time is over: the goods are free again.
    #[error("reservation {reservation_id} has expired")]
    ReservationExpired {
        /// The reservation.
        reservation_id: ReservationId,
    },
    /// A reservation whose end no calendar here knows.
    #[error("a reservation ends before the year 10000")]
    ExpiryOutOfRange,
    /// A reservation that ends before it begins.
    #[error("the reservation would have expired before it began")]
    ExpiryInThePast,
    /// An adjustment is between minus and plus ten million, and not zero.
    #[error("an adjustment is not zero and at most {limit} either way")]
    DeltaOutOfRange {
        /// The bound.
        limit: u32,
    },
    /// Goods are moved from one place to another.
    #[error("goods cannot be transferred from {location} to itself")]
    SameLocation {
        /// The location.
        location: LocationId,
    },
    /// It is like that already.
    #[error("backorders of {sku} at {location} are like that already")]
    BackordersUnchanged {
        /// The SKU.
        sku: Sku,
        /// Where.
        location: LocationId,
    },
}

impl InventoryRefusal {
    pub(crate) const fn kind(&self) -> RefusalKind {
        match self {
            Self::ReservationNotFound { .. } => RefusalKind::NotFound,
            _ => RefusalKind::Rule,
        }
    }
}
