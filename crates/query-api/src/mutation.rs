//! Mutations: intents, each one command.

use async_graphql::{Context, ID, InputObject, Object, SimpleObject};
use serde::Serialize;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::{
    cart::{self, Cart},
    catalog::{self, Product},
    commands::{Commands, Receipt},
    inventory::{self, Stock},
    order::{self, Order},
    read::reader,
    scalars::Long,
    user_error::UserError,
    viewer::{coded, viewer},
};

/// Declares payloads: the whole changed object, what was wrong, and the position that shows the change.
macro_rules! payloads {
    ($($name:ident { $field:ident: $type:ty })*) => {
        $(
            /// What a mutation has come to.
            #[derive(SimpleObject)]
            pub(crate) struct $name {
                /// The thing as it is after the mutation.
                $field: Option<$type>,
                /// What was wrong; nothing when it was done.
                user_errors: Vec<UserError>,
                /// Send it as `X-Min-Position` to read what was written.
                consistency_token: Option<Long>,
            }
        )*
    };
}

payloads! {
    CartPayload { cart: Cart }
    OrderPayload { order: Order }
    ProductPayload { product: Product }
    StockPayload { stock: Vec<Stock> }
}

/// Declares inputs. They serialise to the body of the command; the key travels beside it.
macro_rules! inputs {
    ($($(#[$doc:meta])* $name:ident { $($(#[$field_doc:meta])* $field:ident: $type:ty),* $(,)? })*) => {
        $(
            $(#[$doc])*
            #[derive(Debug, Clone, InputObject, Serialize)]
            pub(crate) struct $name {
                $(
                    $(#[$field_doc])*
                    #[serde(skip_serializing_if = "is_absent")]
                    $field: $type,
                )*
                /// The identity of the mutation, a UUID: sent again, it gets the first outcome. A new one when left out.
                #[serde(skip)]
                idempotency_key: Option<Uuid>,
            }
        )*
    };
}

/// Whether a field was left out, so that the command's own default holds.
fn is_absent<T: Serialize>(value: &T) -> bool {
    serde_json::to_value(value).is_ok_and(|value| value.is_null())
}

/// An amount of money.
#[derive(Debug, Clone, InputObject, Serialize)]
pub(crate) struct MoneyInput {
    /// The amount in minor units.
    minor_units: Long,
    /// The ISO 4217 code.
    currency: String,
}

/// A line to be added.
#[derive(Debug, Clone, InputObject, Serialize)]
pub(crate) struct LineInput {
    /// The SKU.
    sku: String,
    /// How many.
    quantity: i64,
}

/// A variant to be sold.
#[derive(Debug, Clone, InputObject, Serialize)]
pub(crate) struct VariantInput {
    /// The SKU.
    sku: String,
    /// What tells it from the others.
    #[serde(skip_serializing_if = "is_absent")]
    name: Option<String>,
}

inputs! {
    /// Opens a cart.
    CartOpenInput {
        /// The id of the new cart; one that derives from the idempotency key when left out.
        cart_id: Option<ID>,
        /// Whose cart it is; the caller's when left out.
        customer_id: Option<String>,
        /// The channel whose prices hold.
        channel: Option<String>,
        /// The currency of its prices.
        currency: String,
    }
    /// Adds lines to a cart: all or none.
    CartLinesAddInput {
        /// The cart.
        cart_id: ID,
        /// The lines.
        lines: Vec<LineInput>,
    }
    /// Sets the quantity of a line.
    CartLineQuantityChangeInput {
        /// The cart.
        cart_id: ID,
        /// The SKU of the line.
        sku: String,
        /// How many from now on.
        quantity: i64,
    }
    /// Takes a line out.
    CartLineRemoveInput {
        /// The cart.
        cart_id: ID,
        /// The SKU of the line.
        sku: String,
    }
    /// Moves all lines of one cart into another.
    CartsMergeInput {
        /// The cart that ends.
        from: ID,
        /// The cart that goes on.
        into: ID,
    }
    /// Gives a cart up.
    CartAbandonInput {
        /// The cart.
        cart_id: ID,
    }
    /// Checks a cart out.
    OrderPlaceInput {
        /// The cart.
        cart_id: ID,
        /// The id of the new order; one that derives from the idempotency key when left out.
        order_id: Option<ID>,
        /// Where the goods may come from, in the order of preference.
        locations: Option<Vec<String>>,
        /// The total that the customer was shown.
        expected_total: Option<MoneyInput>,
    }
    /// Moves an order on.
    OrderMoveInput {
        /// The order.
        order_id: ID,
    }
    /// Moves an order on, and says why.
    OrderReasonedMoveInput {
        /// The order.
        order_id: ID,
        /// Why.
        reason: String,
    }
    /// Adds a note to an order.
    OrderNoteAddInput {
        /// The order.
        order_id: ID,
        /// The note.
        note: String,
    }
    /// Creates a product.
    ProductCreateInput {
        /// The id of the new product; one that derives from the idempotency key when left out.
        product_id: Option<ID>,
        /// What it is called.
        name: String,
        /// Its part of a URL.
        slug: Option<String>,
        /// What it is.
        description: Option<String>,
        /// Whose brand it is.
        brand: Option<String>,
        /// The categories it is shown in.
        categories: Option<Vec<ID>>,
        /// Its variants.
        variants: Option<Vec<VariantInput>>,
        /// Whether it is published at once.
        publish: Option<bool>,
    }
    /// Names a product.
    ProductMoveInput {
        /// The product.
        product_id: ID,
    }
    /// Sets a price.
    PriceSetInput {
        /// The SKU.
        sku: String,
        /// The channel.
        channel: Option<String>,
        /// The price of one unit.
        price: MoneyInput,
    }
    /// Takes goods in.
    StockReceiveInput {
        /// The SKU.
        sku: String,
        /// The location.
        location: Option<String>,
        /// How many.
        quantity: i64,
        /// What they came with.
        reference: Option<String>,
    }
    /// Corrects what is on hand.
    StockAdjustInput {
        /// The SKU.
        sku: String,
        /// The location.
        location: Option<String>,
        /// How many more, or fewer.
        delta: i64,
        /// Why.
        reason: String,
    }
}

/// What came of a command: the position that shows it, or what was wrong.
type Sent = Result<i64, UserError>;

/// Sends a command, and waits until the views show what it did.
async fn send(context: &Context<'_>, name: &str, body: &Value, key: Uuid) -> async_graphql::Result<Sent> {
    let sent = context.data::<Commands>()?.send(name, body, key, viewer(context)?).await?;
    match sent {
        Ok(Receipt { position }) => {
            reader(context)?.wait_until_passed(position).await?;
            Ok(Ok(position))
        }
        Err(problem) => Ok(Err(problem.into())),
    }
}

fn key(context: &Context<'_>, given: Option<Uuid>) -> async_graphql::Result<Uuid> {
    Ok(given.unwrap_or_else(|| (context.data_unchecked::<crate::schema::NewId>().0)()))
}

/// The id of a new thing: the given one, or one that follows from the key, so that a repetition means the same thing.
fn new_id(given: Option<&ID>, key: Uuid, what: &str) -> async_graphql::Result<Uuid> {
    match given {
        Some(id) => parse(id),
        None => Ok(Uuid::new_v5(&key, what.as_bytes())),
    }
}

fn parse(id: &ID) -> async_graphql::Result<Uuid> {
    id.parse().map_err(|_| coded("BAD_INPUT", format!("`{}` is not an id", id.as_str())))
}

/// A mutation whose input is the body of its command as it stands.
macro_rules! intent {
    ($context:ident, $input:ident, $command:literal, $payload:ident, $id:expr) => {{
        let key = key($context, $input.idempotency_key)?;
        $payload::of($context, $command, serde_json::to_value(&$input)?, key, parse(&$id)?).await
    }};
}

impl CartPayload {
    async fn of(context: &Context<'_>, command: &str, body: Value, key: Uuid, id: Uuid) -> async_graphql::Result<Self> {
        Ok(match send(context, command, &body, key).await? {
            Ok(position) => Self {
                cart: cart::by_id(context, id).await?,
                user_errors: Vec::new(),
                consistency_token: Some(Long(position)),
            },
            Err(error) => Self { cart: None, user_errors: vec![error], consistency_token: None },
        })
    }
}

impl OrderPayload {
    async fn of(context: &Context<'_>, command: &str, body: Value, key: Uuid, id: Uuid) -> async_graphql::Result<Self> {
        Ok(match send(context, command, &body, key).await? {
            Ok(position) => Self {
                order: order::by_id(context, id).await?,
                user_errors: Vec::new(),
                consistency_token: Some(Long(position)),
            },
            Err(error) => Self { order: None, user_errors: vec![error], consistency_token: None },
        })
    }
}

impl ProductPayload {
    async fn of(context: &Context<'_>, command: &str, body: Value, key: Uuid, id: Uuid) -> async_graphql::Result<Self> {
        Ok(match send(context, command, &body, key).await? {
            Ok(position) => Self {
                product: catalog::by_id(context, id).await?,
                user_errors: Vec::new(),
                consistency_token: Some(Long(position)),
            },
            Err(error) => Self { product: None, user_errors: vec![error], consistency_token: None },
        })
    }
}

impl StockPayload {
    async fn of(
        context: &Context<'_>,
        command: &str,
        body: Value,
        key: Uuid,
        sku: String,
    ) -> async_graphql::Result<Self> {
        Ok(match send(context, command, &body, key).await? {
            Ok(position) => Self {
                stock: Some(inventory::of_skus(reader(context)?, &[sku]).await?),
                user_errors: Vec::new(),
                consistency_token: Some(Long(position)),
            },
            Err(error) => Self { stock: None, user_errors: vec![error], consistency_token: None },
        })
    }
}

type Done<T> = async_graphql::Result<T>;

#[derive(Default)]
pub(crate) struct StorefrontMutation;

#[Object]
impl StorefrontMutation {
    /// Opens a cart: the caller's own, or a guest's.
    async fn cart_open(&self, context: &Context<'_>, input: CartOpenInput) -> Done<CartPayload> {
        let key = key(context, input.idempotency_key)?;
        let id = new_id(input.cart_id.as_ref(), key, "cart")?;
        let mut body = serde_json::to_value(&input)?;
        body["cart_id"] = json!(id);
        if let (None, daybook_domain::Actor::Customer(me)) = (&input.customer_id, &viewer(context)?.actor) {
            body["customer_id"] = json!(me);
        }
        CartPayload::of(context, "OpenCart", body, key, id).await
    }

    /// Adds lines to a cart: all or none.
    async fn cart_lines_add(&self, context: &Context<'_>, input: CartLinesAddInput) -> Done<CartPayload> {
        intent!(context, input, "AddLines", CartPayload, input.cart_id)
    }

    /// Sets the quantity of a line.
    async fn cart_line_quantity_change(
        &self,
        context: &Context<'_>,
        input: CartLineQuantityChangeInput,
    ) -> Done<CartPayload> {
        intent!(context, input, "ChangeQuantity", CartPayload, input.cart_id)
    }

    /// Takes a line out.
    async fn cart_line_remove(&self, context: &Context<'_>, input: CartLineRemoveInput) -> Done<CartPayload> {
        intent!(context, input, "RemoveLine", CartPayload, input.cart_id)
    }

    /// Moves all lines of one cart into another, as at login.
    async fn carts_merge(&self, context: &Context<'_>, input: CartsMergeInput) -> Done<CartPayload> {
        intent!(context, input, "MergeCarts", CartPayload, input.into)
    }

    /// Gives a cart up.
    async fn cart_abandon(&self, context: &Context<'_>, input: CartAbandonInput) -> Done<CartPayload> {
        intent!(context, input, "AbandonCart", CartPayload, input.cart_id)
    }

    /// Checks a cart out: prices, stock, order and cart in one, or nothing.
    async fn order_place(&self, context: &Context<'_>, input: OrderPlaceInput) -> Done<OrderPayload> {
        let key = key(context, input.idempotency_key)?;
        let id = new_id(input.order_id.as_ref(), key, "order")?;
        let mut body = serde_json::to_value(&input)?;
        body["order_id"] = json!(id);
        OrderPayload::of(context, "PlaceOrder", body, key, id).await
    }

    /// Calls an order off; its stock is free again.
    async fn order_cancel(&self, context: &Context<'_>, input: OrderReasonedMoveInput) -> Done<OrderPayload> {
        intent!(context, input, "CancelOrder", OrderPayload, input.order_id)
    }
}

#[derive(Default)]
pub(crate) struct BackOfficeMutation;

#[Object]
impl BackOfficeMutation {
    /// Creates a product.
    async fn product_create(&self, context: &Context<'_>, input: ProductCreateInput) -> Done<ProductPayload> {
        let key = key(context, input.idempotency_key)?;
        let id = new_id(input.product_id.as_ref(), key, "product")?;
        let mut body = serde_json::to_value(&input)?;
        body["product_id"] = json!(id);
        ProductPayload::of(context, "CreateProduct", body, key, id).await
    }

    /// Shows a product to customers.
    async fn product_publish(&self, context: &Context<'_>, input: ProductMoveInput) -> Done<ProductPayload> {
        intent!(context, input, "PublishProduct", ProductPayload, input.product_id)
    }

    /// Takes a product out of sale.
    async fn product_archive(&self, context: &Context<'_>, input: ProductMoveInput) -> Done<ProductPayload> {
        intent!(context, input, "ArchiveProduct", ProductPayload, input.product_id)
    }

    /// Sets the price of a SKU.
    async fn price_set(&self, context: &Context<'_>, input: PriceSetInput) -> Done<StockPayload> {
        let key = key(context, input.idempotency_key)?;
        StockPayload::of(context, "SetPrice", serde_json::to_value(&input)?, key, input.sku).await
    }

    /// Takes goods in.
    async fn stock_receive(&self, context: &Context<'_>, input: StockReceiveInput) -> Done<StockPayload> {
        let key = key(context, input.idempotency_key)?;
        StockPayload::of(context, "ReceiveStock", serde_json::to_value(&input)?, key, input.sku).await
    }

    /// Corrects what is on hand.
    async fn stock_adjust(&self, context: &Context<'_>, input: StockAdjustInput) -> Done<StockPayload> {
        let key = key(context, input.idempotency_key)?;
        StockPayload::of(context, "AdjustStock", serde_json::to_value(&input)?, key, input.sku).await
    }

    /// Accepts an order.
    async fn order_confirm(&self, context: &Context<'_>, input: OrderMoveInput) -> Done<OrderPayload> {
        intent!(context, input, "ConfirmOrder", OrderPayload, input.order_id)
    }

    /// Holds an order.
    async fn order_hold(&self, context: &Context<'_>, input: OrderReasonedMoveInput) -> Done<OrderPayload> {
        intent!(context, input, "HoldOrder", OrderPayload, input.order_id)
    }

    /// Lets a held order go on.
    async fn order_resume(&self, context: &Context<'_>, input: OrderMoveInput) -> Done<OrderPayload> {
        intent!(context, input, "ResumeOrder", OrderPayload, input.order_id)
    }

    /// Starts to pick and pack.
    async fn order_start_fulfilment(&self, context: &Context<'_>, input: OrderMoveInput) -> Done<OrderPayload> {
        intent!(context, input, "StartFulfilment", OrderPayload, input.order_id)
    }

    /// Sends the goods.
    async fn order_ship(&self, context: &Context<'_>, input: OrderMoveInput) -> Done<OrderPayload> {
        intent!(context, input, "ShipOrder", OrderPayload, input.order_id)
    }

    /// Notes that the customer has the goods.
    async fn order_deliver(&self, context: &Context<'_>, input: OrderMoveInput) -> Done<OrderPayload> {
        intent!(context, input, "DeliverOrder", OrderPayload, input.order_id)
    }

    /// Notes that the goods have come back.
    async fn order_return(&self, context: &Context<'_>, input: OrderReasonedMoveInput) -> Done<OrderPayload> {
        intent!(context, input, "ReturnOrder", OrderPayload, input.order_id)
    }

    /// Notes that the money has gone back.
    async fn order_refund(&self, context: &Context<'_>, input: OrderReasonedMoveInput) -> Done<OrderPayload> {
        intent!(context, input, "RefundOrder", OrderPayload, input.order_id)
    }

    /// Adds a note to the history of an order.
    async fn order_note_add(&self, context: &Context<'_>, input: OrderNoteAddInput) -> Done<OrderPayload> {
        intent!(context, input, "AddNote", OrderPayload, input.order_id)
    }
}
