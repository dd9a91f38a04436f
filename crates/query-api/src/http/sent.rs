//! Large answers, which count until they are sent. They leave in pieces, each when the client has read enough of those before. So the
//! count ends when the client has nearly all.

use std::{
    convert::Infallible,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use axum::{
    body::{Body, Bytes},
    response::Response,
};
use http_body_util::BodyExt;
use hyper::body::{Body as HttpBody, Frame, SizeHint};

use crate::reader::share::Share;

/// The size of a piece. A smaller answer leaves at once.
const PIECE: usize = 64 << 10;

/// An answer that has its body in memory, and holds the share of its operation until it is sent.
pub(super) async fn within(share: Arc<Share>, response: Response) -> Response {
    let (parts, body) = response.into_parts();
    if body.size_hint().exact().is_none_or(|length| length <= PIECE as u64) {
        return Response::from_parts(parts, body);
    }
    // The body is in memory, so this cannot fail.
    let rest = body.collect().await.map(|body| body.to_bytes()).unwrap_or_default();
    Response::from_parts(parts, Body::new(Counting { rest, _share: share }))
}

/// A body that counts while it is sent.
struct Counting {
    rest: Bytes,
    _share: Arc<Share>,
}

impl HttpBody for Counting {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if self.rest.is_empty() {
            return Poll::Ready(None);
        }
        let at = PIECE.min(self.rest.len());
        Poll::Ready(Some(Ok(Frame::data(self.rest.split_to(at)))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.rest.len() as u64)
    }
}

#[cfg(test)]
mod tests {
    use daybook_domain::Actor;
    use daybook_edge::rates::ClientAddress;

    use super::*;
    use crate::{
        graphql::viewer::{Origin, Viewer},
        reader::share::{Capacity, QueryLimits},
    };

    #[tokio::test]
    async fn a_large_answer_counts_until_its_body_is_read() {
        let capacity = Capacity::new(QueryLimits { large_per_caller: 1, ..QueryLimits::default() });
        let address = Some(ClientAddress("192.0.2.1".parse().expect("the address is valid")));
        let guest =
            Viewer { actor: Actor::Guest, authorization: None, until: None, address, origin: Origin::default() };
        let begin = async || Share::begin(&capacity, &guest).await.expect("few operations run");
        let first = begin().await;
        first.take_place().await.expect("a place is free");
        let text = "x".repeat(3 * PIECE + 1);
        first.answered().await.expect("there is room");
        let response = within(first, Response::new(Body::from(text.clone()))).await;
        assert!(begin().await.take_place().await.is_err(), "the answer is not read yet");
        let body = response.into_body().collect().await.expect("the body cannot fail").to_bytes();
        assert_eq!(body.len(), text.len());
        begin().await.take_place().await.expect("the answer has been read");
    }
}
