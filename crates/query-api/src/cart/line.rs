//! The lines of a cart.

use async_graphql::{ComplexObject, SimpleObject};
use daybook_domain::{Money, Quantity, amount, ids::Sku};

use crate::{
    catalog::{Product, availability::Availability},
    graphql::{
        scalars::{Attribute, MoneyObject},
        user_error::UserError,
        weight,
    },
};

/// A line of a cart.
#[derive(Debug, Clone, SimpleObject)]
#[graphql(complex)]
pub(crate) struct Line {
    #[graphql(skip)]
    pub(super) sku: Sku,
    /// The name of the product.
    pub(super) name: Option<String>,
    /// The name of the variant among the variants of its product.
    pub(super) variant_name: Option<String>,
    /// The options of the variant, such as size and colour.
    #[graphql(complexity = "weight::list(weight::OPTIONS, child_complexity)")]
    pub(super) options: Vec<Attribute>,
    #[graphql(skip)]
    pub(super) units: Quantity,
    /// The price of one unit when it was first added.
    pub(super) price_when_added: MoneyObject,
    #[graphql(skip)]
    pub(super) unit_price: Option<Money>,
    /// The product; guests and customers see one that is for sale.
    pub(super) product: Option<Product>,
    /// Whether and how the line can be ordered now; absent in a closed cart.
    pub(super) availability: Option<Availability>,
    /// Every reason why the line cannot be ordered now.
    #[graphql(complexity = "weight::list(weight::PROBLEMS, child_complexity)")]
    pub(super) problems: Vec<UserError>,
}

#[ComplexObject]
impl Line {
    /// The SKU.
    async fn sku(&self) -> &str {
        self.sku.as_str()
    }

    /// How many units.
    async fn quantity(&self) -> i64 {
        self.units.signed()
    }

    /// The price of one unit: in an open cart the current one, absent when the SKU is not for sale any more; in a cart that became an order
    /// what was agreed.
    async fn price(&self) -> Option<MoneyObject> {
        self.unit_price.map(MoneyObject::from)
    }

    /// The price of the line; absent when the SKU is not for sale any more, or when it is larger than an order may come to.
    async fn total(&self) -> Option<MoneyObject> {
        self.sum().map(MoneyObject::from)
    }
}

impl Line {
    /// The price of all units, if there is one that can be counted.
    pub(super) fn sum(&self) -> Option<Money> {
        self.unit_price.and_then(|price| amount::line_total(price, self.units).ok())
    }
}

#[cfg(test)]
mod tests {
    use daybook_domain::{Money, Quantity};

    use super::Line;

    fn line(minor_units: Option<i64>) -> Line {
        let euro = "EUR".parse().expect("a currency");
        Line {
            sku: "S-1".parse().expect("a SKU"),
            name: None,
            variant_name: None,
            options: Vec::new(),
            units: Quantity::new(2).expect("a quantity"),
            price_when_added: Money::new(1, euro).into(),
            unit_price: minor_units.map(|minor_units| Money::new(minor_units, euro)),
            product: None,
            availability: None,
            problems: Vec::new(),
        }
    }

    #[test]
    fn a_line_without_a_price_or_beyond_what_can_be_counted_has_no_sum() {
        assert_eq!(line(Some(5)).sum().map(|sum| sum.minor_units), Some(10));
        assert_eq!((line(None).sum(), line(Some(i64::MAX)).sum()), (None, None));
    }
}
