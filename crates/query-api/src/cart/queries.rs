//! Queries of carts.

use async_graphql::{Context, ID, Object};
use daybook_domain::cart;
use uuid::Uuid;

use super::{CART, types::Cart};
use crate::{
    graphql::{error::coded, viewer::viewer},
    reader::{Statement, reader},
};

#[derive(Default)]
pub(crate) struct CartQuery;

#[Object]
impl CartQuery {
    /// The cart of this id.
    async fn cart(&self, context: &Context<'_>, id: ID) -> async_graphql::Result<Option<Cart>> {
        match id.parse() {
            Ok(id) => by_id(context, id).await,
            Err(_) => Ok(None),
        }
    }
}

/// A cart by its id, if the viewer may see it.
pub(super) async fn by_id(context: &Context<'_>, id: Uuid) -> async_graphql::Result<Option<Cart>> {
    const BY_ID: Statement = Statement::new(&[CART], "SELECT to_json(c) FROM read.carts c WHERE cart_id = $1");
    let cart: Option<Cart> = reader(context)?.row(&BY_ID, &[&id]).await?;
    match cart {
        Some(cart) if !viewer(context)?.may_see(cart::owner(cart.customer_id)) => {
            Err(coded("FORBIDDEN", "the cart belongs to another customer"))
        }
        cart => Ok(cart),
    }
}
