//! Checkout: one decision over cart, prices, stock and order.

use uuid::Uuid;

use crate::{
    Context, Decide, Decision, Event, Fold, Money, Rejection, StreamName, View,
    cart::{Cart, CartLine, OpenedCart, event::CartCheckedOut, open_cart},
    catalog::{Product, ProductStatus, SkuRecord},
    ids::{LocationId, OrderId, ReservationId},
    inventory::{InventoryRefusal, ReservationRequest, Stock, StockId, reserve},
    order::{Order, OrderRefusal as Refusal, command::PlaceOrder, event::*},
};

/// The most locations that one order may name.
const MAX_LOCATIONS: usize = 20;

impl Decide for PlaceOrder {
    fn decide(&self, context: &Context, view: &View<'_>) -> Result<Decision, Rejection> {
        let Self { cart_id, order_id, .. } = *self;
        if !(1..=MAX_LOCATIONS).contains(&self.locations.len()) {
            Err(Refusal::LocationCount { limit: MAX_LOCATIONS })?;
        }
        let cart = open_cart(cart_id, context, view)?;
        if view.find_new::<Order>(&order_id).is_some_and(|order| order.0.is_some()) {
            Err(Refusal::OrderExists { order_id })?;
        }
        if cart.lines.is_empty() {
            Err(Refusal::CartEmpty { cart_id })?;
        }
        self.load_lines(cart, view)?;
        let mut lines = Vec::with_capacity(cart.lines.len());
        let mut claims = Vec::with_capacity(cart.lines.len());
        for line in &cart.lines {
            let (agreed, events) = self.agree(line, cart, context, view)?;
            lines.push(agreed);
            claims.extend(events);
        }
        let placed = self.placed(cart, lines, context)?;
        let decision = Decision::of(Order::stream(&order_id), placed)
            .and(Cart::stream(&cart_id), CartCheckedOut { cart_id, order_id });
        Ok(claims.into_iter().fold(decision, |decision, (stream, event)| decision.and(stream, event)))
    }
}

impl PlaceOrder {
    /// Asks for all that the lines need at once, so that the number of fetches does not grow with the cart.
    fn load_lines(&self, cart: &OpenedCart, view: &View<'_>) -> Result<(), Rejection> {
        let stocks = cart.lines.iter().flat_map(|line| self.stock_ids(line)).collect::<Vec<_>>();
        let stocks = view.get_all::<Stock>(&stocks);
        let records = view.get_all::<SkuRecord>(cart.lines.iter().map(|line| &line.sku))?;
        let products: Vec<_> = records.iter().filter_map(|record| record.product_id).collect();
        view.get_all::<Product>(&products)?;
        stocks.map(|_| ())
    }

    /// Quotes a line at the price of now and claims its stock.
    fn agree(
        &self,
        line: &CartLine,
        cart: &OpenedCart,
        context: &Context,
        view: &View<'_>,
    ) -> Result<(OrderLine, Vec<(StreamName, Event)>), Rejection> {
        let sku = line.sku.clone();
        let record = view.get::<SkuRecord>(&sku)?;
        let gone = || Refusal::NoLongerOnSale { sku: sku.clone() };
        let product_id = record.product_id.ok_or_else(gone)?;
        let product = view.get::<Product>(&product_id)?;
        let name = match (product.status, &product.name) {
            (ProductStatus::Published, Some(name)) => name.clone(),
            _ => return Err(gone().into()),
        };
        let unit_price = record.price(&cart.channel, cart.currency).ok_or_else(|| Refusal::NoPrice {
            sku: sku.clone(),
            currency: cart.currency,
            channel: cart.channel.clone(),
        })?;
        let line_total = unit_price.times(line.quantity.units())?;
        let Claim { location, reservation_id, events } = self.claim(line, context, view)?;
        let quantity = line.quantity;
        let agreed = OrderLine { sku, product_id, name, quantity, unit_price, line_total, location, reservation_id };
        Ok((agreed, events))
    }

    /// Claims the stock of a line at the first location that has enough.
    fn claim(&self, line: &CartLine, context: &Context, view: &View<'_>) -> Result<Claim, Rejection> {
        let mut most = 0;
        for id in self.stock_ids(line) {
            let reservation_id = reservation_of(self.order_id, &id);
            let request = ReservationRequest {
                reservation_id,
                owner: self.order_id.reservation_owner(),
                quantity: line.quantity,
                expires_at: None,
            };
            match reserve(view.get::<Stock>(&id)?, id.clone(), request, context.now) {
                Ok(events) => {
                    let stream = Stock::stream(&id);
                    let events = events.into_iter().map(|event| (stream.clone(), event)).collect();
                    return Ok(Claim { location: id.location, reservation_id, events });
                }
                Err(InventoryRefusal::InsufficientStock { available, .. }) => most = most.max(available),
                Err(other) => return Err(other.into()),
            }
        }
        Err(Refusal::InsufficientStock {
            sku: line.sku.clone(),
            requested: line.quantity.units(),
            available: most,
            locations: self.locations.clone(),
        }
        .into())
    }

    fn placed(&self, cart: &OpenedCart, lines: Vec<OrderLine>, context: &Context) -> Result<OrderPlaced, Rejection> {
        let gross = Money::sum(cart.currency, lines.iter().map(|line| line.line_total))?.countable()?;
        if let Some(expected) = self.expected_total.filter(|expected| *expected != gross) {
            Err(Refusal::TotalChanged { expected, total: gross })?;
        }
        Ok(OrderPlaced {
            order_id: self.order_id,
            cart_id: self.cart_id,
            customer_id: cart.customer_id.clone(),
            channel: cart.channel.clone(),
            currency: cart.currency,
            lines,
            totals: Totals { gross, discount: Money::zero(cart.currency), net: gross },
            placed_at: context.now,
        })
    }

    fn stock_ids<'a>(&'a self, line: &'a CartLine) -> impl Iterator<Item = StockId> + 'a {
        let sku = &line.sku;
        self.locations.iter().map(|location| StockId { sku: sku.clone(), location: location.clone() })
    }
}

/// Stock that was claimed for a line.
struct Claim {
    location: LocationId,
    reservation_id: ReservationId,
    events: Vec<(StreamName, Event)>,
}

/// The claim of an order on a stock has an id that follows from both, so that deciding again makes the same claim.
fn reservation_of(order_id: OrderId, stock: &StockId) -> ReservationId {
    ReservationId(Uuid::new_v5(&order_id.0, Stock::stream(stock).as_str().as_bytes()))
}
