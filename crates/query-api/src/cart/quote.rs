//! What a cart comes to. An open cart is quoted at current prices, by the function that a checkout asks. A closed cart does not change
//! any more.

use std::collections::HashMap;

use async_graphql::{Context, dataloader::DataLoader};
use daybook_domain::{
    Currency, Money, Refusal, amount,
    cart::{CartLine, policy::MAX_LINES},
    catalog::Sale,
    general::AmountOverflow,
    ids::{CartId, Channel, Sku},
    inventory::Line as Index,
    money::MoneyError,
    order::CartEmpty,
};
use serde::Deserialize;
use uuid::Uuid;

use super::line::Line;
use crate::{
    catalog::{
        BySku, Offer, OfferOf, Price,
        availability::{Asked, Buyer, Known, of_line},
    },
    graphql::user_error::UserError,
    inventory::StockOf,
    loaders::Loader,
    order::ORDER,
    reader::{Statement, reader},
};

/// What of a cart a quote rests on.
pub(super) struct Quoted<'a> {
    pub(super) cart_id: Uuid,
    pub(super) is_open: bool,
    pub(super) channel: &'a Channel,
    pub(super) currency: Currency,
    pub(super) lines: &'a [CartLine],
    /// The order that the cart became.
    pub(super) order_id: Option<Uuid>,
    /// The position of the cart's last event.
    pub(super) position: i64,
}

/// The lines of a cart with their prices, and what keeps the cart from being ordered.
#[derive(Debug)]
pub(super) struct Quote {
    pub(super) is_open: bool,
    pub(super) lines: Vec<Line>,
    pub(super) problems: Vec<UserError>,
}

impl Quote {
    pub(super) async fn of(cart: &Quoted<'_>, context: &Context<'_>) -> async_graphql::Result<Self> {
        let loader = context.data::<DataLoader<Loader>>()?;
        let skus = || cart.lines.iter().map(|line| line.sku.to_string());
        let offers = loader.load_many(skus().map(OfferOf));
        if !cart.is_open {
            return Self::of_closed(cart, &offers.await?, context).await;
        }
        let prices = loader.load_many(cart.lines.iter().map(|line| BySku::prices(line.sku.as_str())));
        let (offers, prices, stocks) = futures::try_join!(offers, prices, loader.load_many(skus().map(StockOf)))?;
        let views = Views { offers, prices, stocks };
        let mut quote = Self { is_open: true, lines: Vec::with_capacity(cart.lines.len()), problems: Vec::new() };
        if cart.lines.is_empty() {
            let empty: Refusal = CartEmpty { cart_id: CartId(cart.cart_id) }.into();
            quote.problems.push(UserError::of_refusal(&empty, None));
        }
        let buyer = Buyer::of(context)?;
        let locations = buyer.storefront.locations_for(cart.lines.len().min(MAX_LINES));
        for (index, line) in cart.lines.iter().enumerate() {
            let asked = Asked {
                sku: &line.sku,
                quantity: line.quantity,
                channel: cart.channel,
                currency: Some(cart.currency),
                locations: &locations,
                line: Index::OfCart(index),
            };
            let known = views.known(line, cart);
            let found = buyer.ask(&asked, &known);
            let problems = of_line(&found.problems, index);
            let unit_price = known.price.filter(|_| known.sale == Sale::OnSale);
            quote.problems.extend(problems.iter().cloned());
            let shown = shown(line, views.offers.get(&OfferOf(line.sku.to_string())), &buyer);
            quote.lines.push(Line { unit_price, availability: Some(found.into()), problems, ..shown });
        }
        if amount::total(cart.currency, quote.sums()).is_err() {
            let too_large: Refusal = AmountOverflow { line: None }.into();
            quote.problems.push(UserError::of_refusal(&too_large, None));
        }
        Ok(quote)
    }

    /// A cart that became an order has the prices that were agreed. Any other closed cart has those that its lines were added at.
    async fn of_closed(
        cart: &Quoted<'_>,
        offers: &HashMap<OfferOf, Offer>,
        context: &Context<'_>,
    ) -> async_graphql::Result<Self> {
        let agreed = agreed(cart, context).await?;
        let buyer = Buyer::of(context)?;
        let lines = cart.lines.iter().map(|line| {
            let price = agreed.get(&line.sku).copied().unwrap_or(line.unit_price);
            let shown = shown(line, offers.get(&OfferOf(line.sku.to_string())), &buyer);
            Line { unit_price: Some(price), ..shown }
        });
        Ok(Self { is_open: false, lines: lines.collect(), problems: Vec::new() })
    }

    /// The sum of the lines that have a price.
    pub(super) fn total(&self, currency: Currency) -> Result<Money, MoneyError> {
        Money::sum(currency, self.sums())
    }

    fn sums(&self) -> impl Iterator<Item = Money> {
        self.lines.iter().filter_map(Line::sum)
    }
}

/// What the views know of the SKUs of a cart.
struct Views {
    offers: HashMap<OfferOf, Offer>,
    prices: HashMap<BySku, Vec<Price>>,
    stocks: HashMap<StockOf, <Loader as async_graphql::dataloader::Loader<StockOf>>::Value>,
}

impl Views {
    fn known(&self, line: &CartLine, cart: &Quoted<'_>) -> Known {
        let prices = self.prices.get(&BySku::prices(line.sku.as_str())).map_or(&[][..], Vec::as_slice);
        let sale = self.offers.get(&OfferOf(line.sku.to_string())).map_or(Sale::Unknown, |offer| offer.variant.sale());
        Known {
            sale,
            price: Known::price_of(prices, cart.channel, Some(cart.currency)),
            stocks: self.stocks.get(&StockOf(line.sku.to_string())).cloned().unwrap_or_default(),
        }
    }
}

/// What a line shows without its price.
fn shown(line: &CartLine, offer: Option<&Offer>, buyer: &Buyer<'_>) -> Line {
    let product = offer.map(|offer| &offer.product);
    let variant = offer.map(|offer| &offer.variant);
    let is_shown = variant.is_some_and(|variant| buyer.sees_product(variant.sale()));
    Line {
        sku: line.sku.clone(),
        name: product.map(|product| product.name.clone()),
        variant_name: variant.and_then(|variant| variant.name.clone()),
        options: variant.map(|variant| variant.named_options()).unwrap_or_default(),
        units: line.quantity,
        price_when_added: line.unit_price.into(),
        unit_price: None,
        product: product.filter(|_| is_shown).cloned(),
        availability: None,
        problems: Vec::new(),
    }
}

/// The prices that were agreed when the cart became an order, by SKU.
async fn agreed(cart: &Quoted<'_>, context: &Context<'_>) -> async_graphql::Result<HashMap<Sku, Money>> {
    const LINES: Statement = Statement::new(&[ORDER], "SELECT lines FROM read.orders WHERE order_id = $1");
    #[derive(Deserialize)]
    struct Agreed {
        sku: Sku,
        unit_price: Money,
    }
    let Some(order_id) = cart.order_id else { return Ok(HashMap::new()) };
    let reader = reader(context)?;
    // The order was placed in the transaction that closed the cart.
    reader.require(cart.position);
    let lines: Option<Vec<Agreed>> = reader.row(&LINES, &[&order_id]).await?;
    Ok(lines.unwrap_or_default().into_iter().map(|line| (line.sku, line.unit_price)).collect())
}
