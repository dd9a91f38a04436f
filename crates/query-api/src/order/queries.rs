//! Queries of orders.

use async_graphql::{
    Context, ID, InputObject, Json, Object, SimpleObject,
    connection::{Connection, EmptyFields},
};
use chrono::{DateTime, Utc};
use daybook_domain::{
    ids::{CustomerId, CustomerRef},
    order::Phase,
};
use serde_json::Value;
use uuid::Uuid;

use super::{
    history::{AsOf, folded},
    types::{Order, OrderPhase},
};
use crate::{
    graphql::{
        connection::{Cursor, Page, rows},
        error::coded,
        viewer::{staff_only, viewer},
    },
    reader::{Statement, View, plain, reader},
};

/// Orders, newest first: their time and id.
pub(crate) type Orders = Connection<Cursor<(DateTime<Utc>, Uuid)>, Order, EmptyFields, EmptyFields>;

/// Which orders.
#[derive(Default, InputObject)]
pub(crate) struct OrderFilter {
    /// Those that are this far.
    phase: Option<OrderPhase>,
    /// Those of this customer.
    customer_id: Option<Uuid>,
    /// Those placed at this time or later.
    from: Option<DateTime<Utc>>,
    /// Those placed before this time.
    to: Option<DateTime<Utc>>,
    /// The one that was imported under this reference.
    external_ref: Option<String>,
}

/// Who is looking.
pub(crate) struct Me {
    customer_id: CustomerId,
}

#[Object]
impl Me {
    /// Their id.
    async fn id(&self) -> ID {
        self.customer_id.0.into()
    }

    /// Their orders, the newest first.
    #[graphql(complexity = "rows(first) * child_complexity")]
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
    /// An order; with `asOf`, as it was then.
    async fn order(&self, context: &Context<'_>, id: ID, as_of: Option<AsOf>) -> async_graphql::Result<Option<Order>> {
        let Ok(id) = id.parse() else { return Ok(None) };
        let Some(order) = by_id(context, id).await? else { return Ok(None) };
        let Some(as_of) = as_of else { return Ok(Some(order)) };
        let (state, version) = folded(reader(context)?, id, as_of).await?;
        Ok(state.record().map(|record| order.as_it_was(record.progress.phase(), version)))
    }

    /// The customer who is looking; nobody for guests.
    async fn me(&self, context: &Context<'_>) -> async_graphql::Result<Option<Me>> {
        Ok(match &viewer(context)?.actor {
            daybook_domain::Actor::Customer(id) => Some(Me { customer_id: *id }),
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
    #[graphql(complexity = "rows(first) * child_complexity")]
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
    async fn customer(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "The id of the customer.")] id: Option<ID>,
        #[graphql(name = "ref", desc = "The id of the customer in the system that they were imported from.")]
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

/// Orders that a condition lets through, the newest first. The bounds of time and the place of the cursor always stand in it, at
/// infinity when they are not given: so an index on the place is read from there, whatever is asked for.
macro_rules! newest_first {
    ($condition:literal) => {
        Statement::new(
            &[View::Order],
            concat!(
                "SELECT to_json(o) FROM read.orders o WHERE ",
                $condition,
                " AND placed_at >= coalesce($3::timestamptz, '-infinity') AND placed_at < coalesce($4::timestamptz, 'infinity')
                  AND (placed_at, order_id) < (coalesce($6::timestamptz, 'infinity'),
                                               coalesce($7::uuid, 'ffffffff-ffff-ffff-ffff-ffffffffffff'))
                  ORDER BY placed_at DESC, order_id DESC LIMIT $8"
            ),
        )
    };
}

/// The statement that a filter takes: one for each index that finds its orders, with whatever else it has as a condition.
fn statement(filter: &OrderFilter) -> &'static Statement {
    const ALL: Statement = newest_first!("$1::text IS NULL AND $2::text IS NULL AND $5::text IS NULL");
    const IN_PHASE: Statement = newest_first!("phase = $1 AND $2::text IS NULL AND $5::text IS NULL");
    const OF_CUSTOMER: Statement =
        newest_first!("customer_id = $2 AND ($1::text IS NULL OR phase = $1) AND $5::text IS NULL");
    const IMPORTED: Statement = newest_first!(
        "external_ref = $5 AND ($1::text IS NULL OR phase = $1) AND ($2::uuid IS NULL OR customer_id = $2)"
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
    let page = Page::<(DateTime<Utc>, Uuid)>::new("orders", first, after)?;
    plain("externalRef", filter.external_ref.as_deref())?;
    let (after_time, after_id) = page.after.unzip();
    let phase = filter.phase.map(|phase| Phase::from(phase).name());
    let rows: Vec<Order> = reader(context)?
        .rows(
            statement(filter),
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

/// An order by its id, if the viewer may see it.
pub(super) async fn by_id(context: &Context<'_>, id: Uuid) -> async_graphql::Result<Option<Order>> {
    const BY_ID: Statement = Statement::new(&[View::Order], "SELECT to_json(o) FROM read.orders o WHERE order_id = $1");
    let order: Option<Order> = reader(context)?.row(&BY_ID, &[&id]).await?;
    match order {
        Some(order) if !order.may_be_seen_by(viewer(context)?) => {
            Err(coded("FORBIDDEN", "the order is somebody else's"))
        }
        order => Ok(order),
    }
}
