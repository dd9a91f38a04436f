//! Queries of orders.

use async_graphql::{
    Context, ID, InputObject, Json, Object, SimpleObject,
    connection::{Connection, EmptyFields},
};
use chrono::{DateTime, Utc};
use daybook_codec::history;
use daybook_domain::{
    ids::{CustomerId, CustomerRef},
    order::Phase,
    text,
};
use serde_json::Value;
use uuid::Uuid;

use super::{
    ORDER,
    history::{AsOf, folded, whole_timeline},
    types::{Order, OrderPhase},
};
use crate::{
    graphql::{
        connection::{Cursor, Page, is_time_of_row, rows},
        error::coded,
        input::time,
        scalars::Long,
        viewer::{staff_only, viewer},
        weight,
    },
    reader::{Reader, Statement, plain, reader},
};

/// Orders, the newest first. Their cursor is the time of placement, and the id.
pub(crate) type Orders = Connection<Cursor<(DateTime<Utc>, Uuid)>, Order, EmptyFields, EmptyFields>;

/// Selects orders.
#[derive(Default, InputObject)]
pub(crate) struct OrderFilter {
    /// Orders in this phase.
    phase: Option<OrderPhase>,
    /// Orders of this customer.
    customer_id: Option<Uuid>,
    /// Orders placed at this time or later.
    from: Option<DateTime<Utc>>,
    /// Orders placed before this time.
    to: Option<DateTime<Utc>>,
    /// The order that was imported with this reference.
    external_ref: Option<String>,
}

/// A customer.
pub(crate) struct Me {
    customer_id: CustomerId,
}

#[Object]
impl Me {
    /// The id of the customer.
    async fn id(&self) -> ID {
        self.customer_id.0.into()
    }

    /// The orders of the customer, the newest first.
    #[graphql(complexity = "rows(first)? * child_complexity")]
    async fn orders(
        &self,
        context: &Context<'_>,
        first: Option<i32>,
        after: Option<String>,
    ) -> async_graphql::Result<Orders> {
        let filter = OrderFilter { customer_id: Some(self.customer_id.0), ..OrderFilter::default() };
        select(context, &filter, first, after.as_deref()).await
    }
}

#[derive(Default)]
pub(crate) struct OrderQuery;

#[Object]
impl OrderQuery {
    /// The order of this id. With `asOf`, it is shown as it was then.
    async fn order(&self, context: &Context<'_>, id: ID, as_of: Option<AsOf>) -> async_graphql::Result<Option<Order>> {
        let Ok(id) = id.parse() else { return Ok(None) };
        let Some(order) = by_id(context, id).await? else { return Ok(None) };
        let Some(as_of) = as_of else { return Ok(Some(order)) };
        let timeline = whole_timeline(reader(context)?, id).await?;
        let (state, last) = folded(&timeline, as_of)?;
        Ok(state.record().zip(last).map(|(record, last)| order.at(record, last)))
    }

    /// The customer whose token the request has; absent for others.
    async fn me(&self, context: &Context<'_>) -> async_graphql::Result<Option<Me>> {
        Ok(match &viewer(context)?.actor {
            daybook_domain::Actor::Customer(id) => Some(Me { customer_id: *id }),
            _ => None,
        })
    }
}

/// A difference between two versions of an order.
#[derive(SimpleObject)]
pub(crate) struct Difference {
    /// The place of the difference, as a JSON pointer.
    path: String,
    /// The value in the first version.
    before: Option<Json<Value>>,
    /// The value in the second version.
    after: Option<Json<Value>>,
}

#[derive(Default)]
pub(crate) struct BackOfficeOrders;

#[Object]
impl BackOfficeOrders {
    /// Orders, the newest first.
    #[graphql(complexity = "rows(first)? * child_complexity")]
    async fn orders(
        &self,
        context: &Context<'_>,
        #[graphql(default)] filter: OrderFilter,
        first: Option<i32>,
        after: Option<String>,
    ) -> async_graphql::Result<Orders> {
        staff_only(context)?;
        select(context, &filter, first, after.as_deref()).await
    }

    /// The customer of an id, or of a reference.
    async fn customer(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "The id of the customer.")] id: Option<ID>,
        #[graphql(name = "ref", desc = "The reference of an imported customer in the original system.")]
        reference: Option<String>,
    ) -> async_graphql::Result<Me> {
        staff_only(context)?;
        let customer_id = match (id, reference) {
            (Some(id), None) => id.parse().map_err(|_| coded("BAD_INPUT", "id is not the id of a customer"))?,
            (None, Some(reference)) => {
                let reference =
                    CustomerRef::new(reference).map_err(|error| coded("BAD_INPUT", format!("ref {error}")))?;
                CustomerId::imported(&reference)
            }
            _ => return Err(coded("BAD_INPUT", "either id or ref says which customer")),
        };
        Ok(Me { customer_id })
    }

    /// The differences between two versions of an order. Version 0 is before the first event. A version that the order does not have is
    /// `BAD_INPUT`.
    #[graphql(complexity = "weight::list(weight::UNBOUNDED, child_complexity)")]
    async fn order_diff(
        &self,
        context: &Context<'_>,
        id: ID,
        from: Long,
        to: Long,
    ) -> async_graphql::Result<Vec<Difference>> {
        staff_only(context)?;
        let id = id.parse().map_err(|_| coded("BAD_INPUT", "id is not the id of an order"))?;
        let timeline = whole_timeline(reader(context)?, id).await?;
        let state = |version| {
            let (order, _) = folded(&timeline, AsOf::Version(version))?;
            Ok::<_, async_graphql::Error>(serde_json::to_value(order)?)
        };
        let differences = history::differences(&state(from)?, &state(to)?).into_iter();
        Ok(differences
            .map(|found| Difference { path: found.path, before: found.before.map(Json), after: found.after.map(Json) })
            .collect())
    }
}

/// A page of the orders that satisfy a condition, the newest first. `$1` is the phase, `$2` the customer and `$5` the reference of
/// the filter, `$3` and `$4` are its times, `$6` and `$7` are the cursor, and `$8` is how many. The condition always contains times
/// and cursor, which are infinite by default. So PostgreSQL reads an index in the order of the page from the cursor on.
macro_rules! page {
    ($orders:literal, $condition:literal) => {
        Statement::new(
            &[ORDER],
            concat!(
                "SELECT to_json(o) FROM ",
                $orders,
                " o WHERE ",
                $condition,
                " AND placed_at >= coalesce($3::timestamptz, '-infinity')
                  AND placed_at < coalesce($4::timestamptz, 'infinity')
                  AND (placed_at, order_id) < (coalesce($6::timestamptz, 'infinity'),
                                               coalesce($7::uuid, 'ffffffff-ffff-ffff-ffff-ffffffffffff'))
                  ORDER BY placed_at DESC, order_id DESC LIMIT $8"
            ),
        )
    };
}

/// The statement for a filter: one for each index that finds the orders.
fn page_of(filter: &OrderFilter) -> &'static Statement {
    const ALL: Statement = page!("read.orders", "$1::text IS NULL AND $2::uuid IS NULL AND $5::text IS NULL");
    const IN_PHASE: Statement = page!("read.orders", "phase = $1 AND $2::uuid IS NULL AND $5::text IS NULL");
    const OF_CUSTOMER: Statement =
        page!("read.orders", "customer_id = $2 AND ($1::text IS NULL OR phase = $1) AND $5::text IS NULL");
    // A reference has one order. `OFFSET 0` keeps PostgreSQL from searching the index of times for it.
    const IMPORTED: Statement = page!(
        "(SELECT * FROM read.orders WHERE external_ref = $5 OFFSET 0)",
        "($1::text IS NULL OR phase = $1) AND ($2::uuid IS NULL OR customer_id = $2)"
    );
    match filter {
        OrderFilter { external_ref: Some(_), .. } => &IMPORTED,
        OrderFilter { customer_id: Some(_), .. } => &OF_CUSTOMER,
        OrderFilter { phase: Some(_), .. } => &IN_PHASE,
        _ => &ALL,
    }
}

async fn select(
    context: &Context<'_>,
    filter: &OrderFilter,
    first: Option<i32>,
    after: Option<&str>,
) -> async_graphql::Result<Orders> {
    let page = Page::<(DateTime<Utc>, Uuid)>::new("orders", first, after, |(time, _)| is_time_of_row(*time))?;
    plain("externalRef", filter.external_ref.as_deref())?;
    let (after_time, after_id) = page.after.unzip();
    let phase = filter.phase.map(|phase| Phase::from(phase).name());
    let from = filter.from.map(|from| time("from", from)).transpose()?;
    let to = filter.to.map(|to| time("to", to)).transpose()?;
    let external_ref = filter.external_ref.as_deref().map(text::normal);
    let rows: Vec<Order> = reader(context)?
        .rows(
            page_of(filter),
            &[&phase, &filter.customer_id, &from, &to, &external_ref, &after_time, &after_id, &page.limit()],
        )
        .await?;
    Ok(page.connection(rows, |order| (order.placed_at, order.order_id)))
}

/// An order by its id, without a check of the viewer.
pub(super) async fn row(reader: &Reader, id: Uuid) -> async_graphql::Result<Option<Order>> {
    const BY_ID: Statement = Statement::new(&[ORDER], "SELECT to_json(o) FROM read.orders o WHERE order_id = $1");
    reader.row(&BY_ID, &[&id]).await
}

/// An order by its id, if the viewer may see it. The id of an imported order can be computed, so others do not learn that there is such an
/// order.
pub(super) async fn by_id(context: &Context<'_>, id: Uuid) -> async_graphql::Result<Option<Order>> {
    match row(reader(context)?, id).await? {
        Some(order) if !order.may_be_seen_by(viewer(context)?) => {
            if order.is_imported() {
                return Ok(None);
            }
            Err(coded("FORBIDDEN", "the order belongs to another customer, or to staff only"))
        }
        order => Ok(order),
    }
}
