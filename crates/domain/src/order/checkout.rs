//! A cart at the checkout: what its lines need, what they come to, and the claims on their stock.

use uuid::Uuid;

use super::OrderLine;
use crate::{
    Context, Fold, MAX_STREAMS, Money, Refusal, Rejection, Streams, amount,
    cart::{CartLine, OpenedCart},
    catalog::{Product, ProductDetails, SkuRecord, Variant},
    general::TooManyStreams,
    ids::{LocationId, OrderId, ProductId, ReservationId},
    inventory::{self, Availability, Demand, Line, ReservationRequest, Stock, StockId, Supply, availability, reserve},
    money::MoneyError,
};

/// A cart at the checkout.
pub(super) struct Checkout<'c, 's> {
    pub(super) cart: &'s OpenedCart,
    pub(super) locations: &'c [LocationId],
    pub(super) context: &'c Context,
    pub(super) streams: &'c Streams<'s>,
}

/// Stock that was claimed for a line.
pub(super) struct Claim {
    pub(super) stock: StockId,
    pub(super) reservation_id: ReservationId,
    pub(super) events: Vec<inventory::Event>,
}

impl<'s> Checkout<'_, 's> {
    /// Asks for all that the lines need at once, so that the number of loads does not grow with the cart.
    pub(super) fn load(&self) -> Result<(), Rejection> {
        let Self { cart, locations, streams, .. } = self;
        if cart.lines.len() * locations.len() > MAX_STREAMS {
            return Err(TooManyStreams { limit: MAX_STREAMS }.into());
        }
        let stocks: Vec<_> = cart.lines.iter().flat_map(|line| self.stock_ids(line)).collect();
        let stocks = streams.get_all::<Stock>(&stocks);
        let records = streams.get_all::<SkuRecord>(cart.lines.iter().map(|line| &line.sku));
        let known = streams.get_all::<Product>(cart.lines.iter().filter_map(|line| line.product_id.as_ref()));
        // What was asked for last knows whether all are too many. That is refused before anything is loaded.
        known?;
        let records = records?;
        stocks?;
        let products: Vec<_> = records.into_iter().filter_map(SkuRecord::product_id).collect();
        streams.get_all::<Product>(&products)?;
        Ok(())
    }

    /// A line at the price of now and with the place that its goods come from, or every reason why it cannot be bought.
    pub(super) fn quote(&self, index: usize, line: &CartLine) -> Result<Result<Quote<'s>, Vec<Refusal>>, Rejection> {
        let Self { cart, locations, context, streams } = *self;
        let record = streams.get::<SkuRecord>(&line.sku)?;
        let product_id = record.product_id();
        let product = product_id.map(|id| streams.get::<Product>(&id)).transpose()?;
        let mut stocks = Vec::with_capacity(locations.len());
        for id in self.stock_ids(line) {
            let level = streams.get::<Stock>(&id)?.level(context.now);
            stocks.push((id.location, level));
        }
        let demand = Demand {
            sku: &line.sku,
            quantity: line.quantity,
            channel: &cart.channel,
            currency: Some(cart.currency),
            locations,
            actor: &context.actor,
            storefront: &context.storefront,
            line: Line::OfCart(index),
        };
        let sale = record.sale(&line.sku, product);
        let price = record.price(&cart.channel, cart.currency);
        let Availability { parts, problems, .. } =
            availability(&demand, &Supply { sale, price, stocks: Some(&stocks) });
        let details = product.and_then(Product::details);
        let variant = details.and_then(|details| details.variant(&line.sku));
        Ok(match (product_id, details.zip(variant), price, parts.into_iter().next()) {
            (Some(product_id), Some((details, variant)), Some(unit_price), Some(part)) => {
                Ok(Quote { product_id, details, variant, unit_price, location: part.location })
            }
            _ => Err(problems),
        })
    }

    /// Claims the stock of a line.
    pub(super) fn claim(&self, order_id: OrderId, quote: &Quote<'_>, line: &CartLine) -> Result<Claim, Rejection> {
        let stock = StockId { sku: line.sku.clone(), location: quote.location.clone() };
        let reservation_id = reservation_of(order_id, &stock);
        let request = ReservationRequest {
            reservation_id,
            owner: order_id.reservation_owner(),
            quantity: line.quantity,
            // It ends with the order.
            expires_at: None,
        };
        let events = reserve(self.streams.get::<Stock>(&stock)?, &stock, request, self.context.now)?;
        Ok(Claim { stock, reservation_id, events })
    }

    fn stock_ids<'a>(&'a self, line: &'a CartLine) -> impl Iterator<Item = StockId> + 'a {
        let sku = &line.sku;
        self.locations.iter().map(|location| StockId { sku: sku.clone(), location: location.clone() })
    }
}

/// A line at the price of now.
pub(super) struct Quote<'s> {
    product_id: ProductId,
    details: &'s ProductDetails,
    variant: &'s Variant,
    unit_price: Money,
    location: LocationId,
}

impl Quote<'_> {
    /// The line as it is agreed, with the claim on its stock. It keeps what its product and its variant are called.
    pub(super) fn agreed(self, line: &CartLine, reservation_id: ReservationId) -> Result<OrderLine, MoneyError> {
        let Self { product_id, details, variant, unit_price, location } = self;
        let CartLine { sku, quantity, .. } = line.clone();
        Ok(OrderLine {
            sku,
            product_id,
            name: details.name.clone(),
            variant_name: variant.name.clone(),
            options: variant.options.clone(),
            quantity,
            unit_price,
            line_total: amount::line_total(unit_price, quantity)?,
            location,
            reservation_id,
        })
    }
}

/// The claim of an order on a stock has an id that follows from both, so that deciding again makes the same claim.
fn reservation_of(order_id: OrderId, stock: &StockId) -> ReservationId {
    ReservationId(Uuid::new_v5(&order_id.0, Stock::stream(stock).as_str().as_bytes()))
}
