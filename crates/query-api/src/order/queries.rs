//! Queries of orders.

use async_graphql::{
    Context, ID, InputObject, Json, Object, SimpleObject,
    connection::{Connection, EmptyFields},
};
use chrono::{DateTime, Utc};
use daybook_domain::order::moves::Phase;
use serde_json::Value;
use uuid::Uuid;

use super::{AsOf, Order, OrderPhase, by_id, folded};
use crate::{
    connection::{Cursor, Page, rows},
    read::{plain, reader},
    viewer::{coded, staff_only, viewer},
};

/// Orders, newest first: their time and id.
pub(crate) type Orders = Connection<Cursor<(DateTime<Utc>, Uuid)>, Order, EmptyFields, EmptyFields>;

/// Which orders.
#[derive(Default, InputObject)]
pub(crate) struct OrderFilter {
    /// Those that are this far.
    phase: Option<OrderPhase>,
    /// Those of this customer.
    customer_id: Option<String>,
    /// Those placed at this time or later.
    from: Option<DateTime<Utc>>,
    /// Those placed before this time.
    to: Option<DateTime<Utc>>,
    /// The one that was imported under this reference.
    external_ref: Option<String>,
}

/// Who is looking.
pub(crate) struct Me {
    customer_id: String,
}

#[Object]
impl Me {
    /// Their id.
    async fn id(&self) -> &str {
        &self.customer_id
    }

    /// Their orders, the newest first.
    #[graphql(complexity = "rows(first)? * child_complexity")]
    async fn orders(
        &self,
        context: &Context<'_>,
        first: Option<i32>,
        after: Option<String>,
    ) -> async_graphql::Result<Orders> {
        let filter = OrderFilter { customer_id: Some(self.customer_id.clone()), ..OrderFilter::default() };
        select(context, &filter, first, after.as_deref()).await
    }
}

#[derive(Default)]
pub(crate) struct OrderQuery;

#[Object]
impl OrderQuery {
    /// An order; with `asOf`, as it was then.
    async fn order(&self, context: &Context<'_>, id: ID, as_of: Option<AsOf>) -> async_graphql::Result<Option<Order>> {
        let Ok(id) = id.parse() else { return Ok(None) };
        let Some(order) = by_id(context, id).await? else { return Ok(None) };
        let Some(as_of) = as_of else { return Ok(Some(order)) };
        let (state, version) = folded(reader(context)?, id, as_of).await?;
        // Totals and lines are frozen at placement; what changes is how far the order is.
        Ok(state.0.map(|record| Order { phase: record.phase, version, ..order }))
    }

    /// The customer who is looking; nobody for guests.
    async fn me(&self, context: &Context<'_>) -> async_graphql::Result<Option<Me>> {
        Ok(match &viewer(context)?.actor {
            daybook_domain::Actor::Customer(id) => Some(Me { customer_id: id.to_string() }),
            _ => None,
        })
    }
}

/// A part of an order that differs.
#[derive(SimpleObject)]
pub(crate) struct Difference {
    /// Where, as a JSON pointer.
    path: String,
    /// What it was.
    before: Option<Json<Value>>,
    /// What it is.
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

    /// A customer, by their orders.
    async fn customer(&self, context: &Context<'_>, id: String) -> async_graphql::Result<Me> {
        staff_only(context)?;
        Ok(Me { customer_id: id })
    }

    /// What changed in an order between two of its versions.
    async fn order_diff(
        &self,
        context: &Context<'_>,
        id: ID,
        from: i32,
        to: i32,
    ) -> async_graphql::Result<Vec<Difference>> {
        staff_only(context)?;
        let id = id.parse().map_err(|_| coded("BAD_INPUT", "id is not the id of an order"))?;
        let reader = reader(context)?;
        let before = serde_json::to_value(folded(reader, id, AsOf::Version(from)).await?.0)?;
        let after = serde_json::to_value(folded(reader, id, AsOf::Version(to)).await?.0)?;
        let mut differences = Vec::new();
        compare(String::new(), Some(&before), Some(&after), &mut differences);
        Ok(differences)
    }
}

/// Walks two values side by side and notes where they part.
fn compare(path: String, before: Option<&Value>, after: Option<&Value>, found: &mut Vec<Difference>) {
    match (before, after) {
        (Some(Value::Object(a)), Some(Value::Object(b))) => {
            let keys: std::collections::BTreeSet<_> = a.keys().chain(b.keys()).collect();
            for key in keys {
                compare(format!("{path}/{key}"), a.get(key), b.get(key), found);
            }
        }
        (before, after) if before == after => {}
        (before, after) => {
            let json = |value: Option<&Value>| value.filter(|value| !value.is_null()).cloned().map(Json);
            found.push(Difference { path, before: json(before), after: json(after) });
        }
    }
}

async fn select(
    context: &Context<'_>,
    filter: &OrderFilter,
    first: Option<i32>,
    after: Option<&str>,
) -> async_graphql::Result<Orders> {
    let page = Page::<(DateTime<Utc>, Uuid)>::new("orders", first, after)?;
    plain("customerId", filter.customer_id.as_deref())?;
    plain("externalRef", filter.external_ref.as_deref())?;
    let (after_time, after_id) = page.after.unzip();
    let phase = filter.phase.map(|phase| Phase::from(phase).name());
    let sql = "SELECT to_json(o) FROM read.orders o
               WHERE ($1::text IS NULL OR phase = $1) AND ($2::text IS NULL OR customer_id = $2)
                 AND ($3::timestamptz IS NULL OR placed_at >= $3) AND ($4::timestamptz IS NULL OR placed_at < $4)
                 AND ($5::text IS NULL OR external_ref = $5)
                 AND ($6::timestamptz IS NULL OR (placed_at, order_id) < ($6, $7::uuid))
               ORDER BY placed_at DESC, order_id DESC LIMIT $8";
    let rows: Vec<Order> = reader(context)?
        .rows(
            sql,
            &[
                &phase,
                &filter.customer_id,
                &filter.from,
                &filter.to,
                &filter.external_ref,
                &after_time,
                &after_id,
                &page.limit(),
            ],
        )
        .await?;
    Ok(page.connection(rows, |order| (order.placed_at, order.order_id)))
}
