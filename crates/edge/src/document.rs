//! Documents that describe an API. A document is written once, so an answer costs no more than a refusal.

use axum::{
    Extension, Router,
    body::Bytes,
    http::header,
    response::{IntoResponse, Response},
    routing::get,
};
use serde_json::Value;

use crate::{
    problem::Problem,
    rates::{ClientAddress, Rates},
};

/// The route of a JSON document. Anybody may read it, as often as the rate limit of an address allows.
pub fn route(path: &str, document: &Value, rates: Rates) -> Router {
    let bytes = Bytes::from(document.to_string());
    Router::new().route(
        path,
        get(move |address: Option<Extension<ClientAddress>>| std::future::ready(read(&rates, address, bytes.clone()))),
    )
}

fn read(rates: &Rates, address: Option<Extension<ClientAddress>>, bytes: Bytes) -> Result<Response, Problem> {
    rates.check(None, address.map(|Extension(address)| address))?;
    Ok(([(header::CONTENT_TYPE, "application/json")], bytes).into_response())
}
