//! Streams of server-sent events, and their end when the process drains.

use std::time::Duration;

use axum::{
    http::{HeaderName, header},
    response::{
        IntoResponse, Response,
        sse::{Event, KeepAlive, Sse},
    },
};
use daybook_edge::drain::Drain;
use futures::{FutureExt, Stream, StreamExt, stream};

/// After which pause a client connects again, once its stream has ended because of a drain.
const RETRY: Duration = Duration::from_secs(1);

/// With `no`, nginx and the proxies that follow it send every event on at once. By default they collect answers.
const BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");

/// The events as an answer, which a proxy neither keeps nor compresses.
pub(super) fn answer<E>(events: impl Stream<Item = Result<Event, E>> + Send + 'static) -> Response
where
    E: Into<axum::BoxError> + Send + 'static,
{
    let headers = [(header::CACHE_CONTROL, "no-cache, no-transform"), (BUFFERING, "no")];
    (headers, Sse::new(events).keep_alive(KeepAlive::default())).into_response()
}

/// The events until the process drains. The last thing that the client gets then is when to connect again.
pub(super) fn until_drained<E: Send + 'static>(
    drain: &Drain,
    events: impl Stream<Item = Result<Event, E>> + Send + 'static,
) -> impl Stream<Item = Result<Event, E>> + Send + 'static {
    let end = drain.stream_end().boxed().shared();
    let drained = end.clone();
    let last = stream::once(async move { drained.now_or_never() });
    let last = last.filter_map(|drained| async move { drained.map(|()| Ok(Event::default().retry(RETRY))) });
    events.take_until(end).chain(last)
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use axum::body::to_bytes;

    use super::*;

    async fn text(drain: &Drain, events: impl Stream<Item = Event> + Send + 'static) -> String {
        let events = until_drained(drain, events.map(Ok::<_, Infallible>));
        let body = to_bytes(answer(events).into_body(), usize::MAX).await.expect("the body ends");
        String::from_utf8(body.to_vec()).expect("events are a text")
    }

    #[tokio::test]
    async fn a_drain_ends_a_stream_and_says_when_to_connect_again() {
        let drain = Drain::default();
        let one = || stream::once(async { Event::default().data("1") });
        assert_eq!(text(&drain, one()).await, "data: 1\n\n", "the stream has ended by itself");
        let begins = drain.clone();
        let endless = one().chain(stream::once(async move { begins.begin() }).flat_map(|()| stream::pending()));
        assert_eq!(text(&drain, endless).await, "data: 1\n\nretry: 1000\n\n");
    }
}
