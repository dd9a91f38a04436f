//! x
use chrono as _;
use daybook_domain as _;
use daybook_kernel as _;
use serde as _;
use serde_json as _;
use thiserror as _;
use uuid as _;
#[test]
fn sizes() {
    use daybook_domain::*;
    println!(
        "Event {} State {} order {} cart {} catalog {} inv {} placed {} imported {} linea {} reserved {} created {}",
        size_of::<Event>(),
        size_of::<State>(),
        size_of::<order::Event>(),
        size_of::<cart::Event>(),
        size_of::<catalog::Event>(),
        size_of::<inventory::Event>(),
        size_of::<order::OrderPlaced>(),
        size_of::<order::OrderImported>(),
        size_of::<cart::LineAdded>(),
        size_of::<inventory::StockReserved>(),
        size_of::<catalog::ProductCreated>()
    );
}
