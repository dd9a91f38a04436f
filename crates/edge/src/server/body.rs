//! A body with whose end something is done.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use hyper::body::{Body, Frame, SizeHint};

/// A body as it is, and what is done once all of it has come. Where it is dropped before that, what would be done is dropped too.
pub(super) struct Ending<B, F> {
    body: B,
    at_end: Option<F>,
}

impl<B, F> Ending<B, F> {
    pub(super) const fn new(body: B, at_end: F) -> Self {
        Self { body, at_end: Some(at_end) }
    }
}

impl<B: Body + Unpin, F: FnOnce() + Unpin> Body for Ending<B, F> {
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
    async fn the_end_is_noticed_once_and_not_before_it_has_come() {
        let ended = Cell::new(0);
        let notice = || ended.set(ended.get() + 1);
        let frame = |text: &'static str| Ok::<_, std::convert::Infallible>(Frame::data(Bytes::from(text)));
        let mut two = Ending::new(StreamBody::new(futures::stream::iter(["a", "b"].map(frame))), notice);
        for text in ["a", "b"] {
            let frame = two.frame().await.expect("there is more").expect("it cannot fail");
            assert_eq!((frame.into_data().expect("it is data"), ended.get()), (Bytes::from(text), 0));
        }
        assert!(two.frame().await.is_none() && two.frame().await.is_none());
        assert_eq!(ended.get(), 1);
        Ending::new(Full::new(Bytes::from("a body that says where it ends")), notice).frame().await;
        assert_eq!(ended.get(), 2);
        drop(Ending::new(Full::new(Bytes::from("one that nobody reads")), notice));
        assert_eq!(ended.get(), 2);
    }
}
