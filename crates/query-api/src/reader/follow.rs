//! Following the book: its events from the past to live, without a gap.

use daybook_event_store::{Daybook, Filter, Follower, RecordedEvent, StoreError};
use futures::{Stream, StreamExt, stream};

use super::tail::{Page, Tail};

/// How many events are read at once.
const PAGE: usize = 500;

/// The state of one stream of events.
struct Following {
    book: Daybook,
    tail: Tail,
    follower: Follower,
    /// The stream has yielded everything up to this position.
    after: i64,
    filter: Filter,
    /// Whether the stream has yielded the past, so it continues with the shared end of the book.
    live: bool,
}

impl Following {
    /// The next events, when there are any.
    async fn next(&mut self) -> Result<Vec<RecordedEvent>, StoreError> {
        loop {
            let Page { events, up_to } = match self.page_of_tail().await? {
                Some(page) => page,
                None => self.page_of_past().await?,
            };
            let moved = up_to > self.after;
            self.after = up_to.max(self.after);
            if !events.is_empty() {
                return Ok(events);
            }
            if self.live && !moved {
                self.follower.past(self.after).await;
            }
        }
    }

    async fn page_of_tail(&mut self) -> Result<Option<Page>, StoreError> {
        if !self.live {
            return Ok(None);
        }
        let page = self.tail.after(&self.book, self.after, &self.filter).await?;
        // A stream behind the shared end reads the book itself until it has caught up.
        self.live = page.is_some();
        Ok(page)
    }

    async fn page_of_past(&mut self) -> Result<Page, StoreError> {
        // The head before the read: later events are read the next time.
        let head = self.book.head().await?.position;
        let events = self.book.read_after(self.after, PAGE, &self.filter).await?;
        self.live = events.is_empty();
        Ok(Page { up_to: events.last().map_or(head, |last| last.position), events })
    }
}

/// The events after a position: first those of the past, then each when it is written.
pub(crate) fn follow(
    book: Daybook,
    tail: Tail,
    after: i64,
    filter: Filter,
) -> impl Stream<Item = Result<RecordedEvent, StoreError>> + Send {
    let follower = book.follow();
    let following = Following { book, tail, follower, after, filter, live: false };
    let pages = stream::try_unfold(following, |mut following| async move {
        let events = following.next().await?;
        Ok(Some((events, following)))
    });
    pages.flat_map(|page: Result<Vec<RecordedEvent>, _>| match page {
        Ok(events) => stream::iter(events.into_iter().map(Ok)).left_stream(),
        Err(error) => stream::iter([Err(error)]).right_stream(),
    })
}
