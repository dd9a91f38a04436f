//! Catalog: products and their variants, SKUs and their prices, the category tree.
//!
//! A SKU has a stream of its own, which is its claim (a SKU belongs to one variant of one product, for ever) and its price list.
//! So a checkout reads a few bytes a line and not whole products. A slug is claimed the same way. An old slug leads to its product for
//! some time, and may be claimed again after that.

mod add_variant;
mod archive_product;
mod create_category;
mod create_product;
mod details;
mod event;
pub(crate) mod ids;
mod move_category;
pub mod policy;
mod prices;
mod publish_product;
mod remove_category;
mod remove_price;
mod remove_variant;
mod rename_category;
mod revise_product;
mod revise_variant;
mod sale;
mod set_price;
mod slug_of_name;
mod slugs;
mod state;
mod tree;
mod variants;

pub use add_variant::AddVariant;
pub use archive_product::ArchiveProduct;
pub use create_category::{CategoryExists, CreateCategory};
pub use create_product::{CreateProduct, ProductExists, SkuRepeated};
pub use details::{CategoryNotFound, ProductNotFound, TooManyAttributes, TooManyCategories};
pub use event::*;
pub use move_category::MoveCategory;
pub use prices::{PriceChange, PriceList, SaleChange};
pub use publish_product::{NothingToSell, PublishProduct};
pub use remove_category::RemoveCategory;
pub use remove_price::RemovePrice;
pub use remove_variant::{LastVariant, RemoveVariant};
pub use rename_category::RenameCategory;
pub use revise_product::ReviseProduct;
pub use revise_variant::ReviseVariant;
pub use sale::Sale;
pub use set_price::{PriceOutOfRange, SetPrice, UnknownSku};
pub use slugs::{SlugClaim, SlugTaken};
pub use state::{Category, Product, ProductDetails, SkuRecord, Variant};
pub use tree::{CategoryCycle, CategoryTooDeep};
pub use variants::{
    NewPrice, NewVariant, PricesRepeated, SkuTaken, TooManyOptions, TooManyVariants, VariantNotFound, VariantTooLong,
};

crate::declare::slice! {
    Catalog;
    streams { "product" => Product, "category" => Category, "sku" => SkuRecord, "slug" => SlugClaim }
    commands {
        CreateProduct: by ADMIN;
        ReviseProduct: by ADMIN;
        AddVariant: by ADMIN;
        ReviseVariant: by ADMIN;
        RemoveVariant: by ADMIN;
        SetPrice: by ADMIN;
        RemovePrice: by ADMIN;
        PublishProduct: by ADMIN;
        ArchiveProduct: by ADMIN;
        CreateCategory: by ADMIN;
        RenameCategory: by ADMIN;
        MoveCategory: by ADMIN;
        RemoveCategory: by ADMIN;
    }
    events {
        "catalog.ProductCreated" 1 => ProductCreated,
        "catalog.ProductRevised" 1 => ProductRevised,
        "catalog.VariantAdded" 1 => VariantAdded,
        "catalog.VariantRevised" 1 => VariantRevised,
        "catalog.VariantRemoved" 1 => VariantRemoved,
        "catalog.ProductPublished" 1 => ProductPublished,
        "catalog.ProductArchived" 1 => ProductArchived,
        "catalog.SkuClaimed" 1 => SkuClaimed,
        "catalog.PriceSet" 1 => PriceSet,
        "catalog.PriceRemoved" 1 => PriceRemoved,
        "catalog.SlugClaimed" 1 => SlugClaimed,
        "catalog.SlugForwarded" 1 => SlugForwarded,
        "catalog.SlugReleased" 1 => SlugReleased,
        "catalog.CategoryCreated" 1 => CategoryCreated,
        "catalog.CategoryRenamed" 1 => CategoryRenamed,
        "catalog.CategoryMoved" 1 => CategoryMoved,
        "catalog.CategoryRemoved" 1 => CategoryRemoved,
        "catalog.CategoryChildChanged" 1 => CategoryChildChanged,
    }
    refusals {
        ProductExists, ProductNotFound, SkuTaken, SkuRepeated, PricesRepeated, UnknownSku, SlugTaken, TooManyVariants,
        TooManyOptions, VariantTooLong, TooManyCategories, TooManyAttributes, NothingToSell, LastVariant, VariantNotFound,
        PriceOutOfRange, CategoryExists, CategoryNotFound, CategoryCycle, CategoryTooDeep,
    }
}
