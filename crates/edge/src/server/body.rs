//! A body that reports its end.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use hyper::body::{Body, Frame, SizeHint};

/// A body that calls a function when its last frame was read. The function is dropped when the body is dropped earlier.
pub(super) struct EndReportingBody<B, F> {
    body: B,
    at_end: Option<F>,
}

impl<B, F> EndReportingBody<B, F> {
    pub(super) const fn new(body: B, at_end: F) -> Self {
        Self { body, at_end: Some(at_end) }
    }
}

impl<B: Body + Unpin, F: FnOnce() + Unpin> Body for EndReportingBody<B, F> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        let frame = Pin::new(&mut self.body).poll_frame(context);
        if (matches!(frame, Poll::Ready(None)) || self.body.is_end_stream())
            && let Some(at_end) = self.at_end.take()
        {
            at_end();
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use axum::body::Bytes;
    use http_body_util::{BodyExt, Full, StreamBody};

    use super::*;

    #[tokio::test]
    async fn the_end_is_reported_once_and_not_early() {
        let ends = Cell::new(0);
        let report = || ends.set(ends.get() + 1);
        let frame = |text: &'static str| Ok::<_, std::convert::Infallible>(Frame::data(Bytes::from(text)));
        let mut two = EndReportingBody::new(StreamBody::new(futures::stream::iter(["a", "b"].map(frame))), report);
        for text in ["a", "b"] {
            let frame = two.frame().await.expect("the body has another frame").expect("the body cannot fail");
            assert_eq!((frame.into_data().expect("the frame is data"), ends.get()), (Bytes::from(text), 0));
        }
        assert!(two.frame().await.is_none() && two.frame().await.is_none());
        assert_eq!(ends.get(), 1);
        EndReportingBody::new(Full::new(Bytes::from("a body of known length")), report).frame().await;
        assert_eq!(ends.get(), 2);
        drop(EndReportingBody::new(Full::new(Bytes::from("an unread body")), report));
        assert_eq!(ends.get(), 2);
    }
}
