//! The book itself: its events, from the past to live, and how far the views are.

use async_graphql::{Context, Json, Object, SimpleObject, Subscription};
use chrono::{DateTime, Utc};
use daybook_event_store::{Daybook, Filter, Follower, RecordedEvent, StoreError};
use futures::{Stream, StreamExt, stream};
use serde::Deserialize;
use serde_json::Value;

use crate::{
    connection::{page_size, rows_up_to},
    read::{Reader, failed, plain, reader},
    scalars::Long,
    tail::{Page, Tail},
    viewer::{coded, staff_only},
};

/// How many events are read at once when following.
const PAGE: usize = 500;
/// The most events of a page.
const MAX_EVENTS: u16 = 1_000;

/// An event of the book.
#[derive(Debug, Clone, SimpleObject)]
pub(crate) struct Event {
    /// Its place in the book.
    position: i64,
    /// Its stream.
    stream: String,
    /// Its place in the stream.
    version: i32,
    /// What happened.
    #[graphql(name = "type")]
    event_type: String,
    /// Its identity.
    event_id: String,
    /// When it was written.
    recorded_at: DateTime<Utc>,
    /// When it happened.
    effective_at: DateTime<Utc>,
    /// On whose authority.
    actor: String,
    /// The command that caused it.
    causation_id: String,
    /// What happened, as it stands in the book.
    data: Json<Value>,
}

impl From<RecordedEvent> for Event {
    fn from(event: RecordedEvent) -> Self {
        Self {
            position: event.position,
            stream: event.stream_id,
            version: event.version,
            event_type: event.event_type,
            event_id: event.event_id.to_string(),
            recorded_at: event.recorded_at,
            effective_at: event.effective_at,
            actor: event.actor,
            causation_id: event.causation_id.to_string(),
            data: Json(serde_json::from_str(&event.data).unwrap_or_default()),
        }
    }
}

/// How far a view is.
#[derive(Debug, Clone, Deserialize, SimpleObject)]
pub(crate) struct View {
    /// The view.
    name: String,
    /// The version that is shown.
    version: i32,
    /// Everything up to this position is shown.
    position: i64,
    /// How many positions the book is ahead.
    lag: i64,
}

#[derive(Default)]
pub(crate) struct BookQuery;

#[Object]
impl BookQuery {
    /// The events after a position, in order.
    #[graphql(complexity = "rows_up_to(MAX_EVENTS, first)? * child_complexity")]
    async fn events(
        &self,
        context: &Context<'_>,
        #[graphql(default_with = "Long(0)")] after: Long,
        types: Option<Vec<String>>,
        stream: Option<String>,
        #[graphql(default = 20)] first: i32,
    ) -> async_graphql::Result<Vec<Event>> {
        staff_only(context)?;
        plain_filter(types.as_deref(), stream.as_deref())?;
        let first = usize::from(page_size(first, MAX_EVENTS)?);
        let book = &reader(context)?.book;
        let events =
            book.read_after(after.0, first, &Filter { types, stream }).await.map_err(|error| failed(&error))?;
        Ok(events.into_iter().map(Event::from).collect())
    }

    /// How far the read models are.
    async fn views(&self, context: &Context<'_>) -> async_graphql::Result<Vec<View>> {
        staff_only(context)?;
        let sql = "SELECT json_build_object('name', name, 'version', version, 'position', position,
                          'lag', greatest(head - position, 0)) FROM read.view_status ORDER BY name";
        reader(context)?.rows(sql, &[]).await
    }
}

fn plain_filter(types: Option<&[String]>, stream: Option<&str>) -> async_graphql::Result<()> {
    types.into_iter().flatten().try_for_each(|text| plain("types", Some(text)))?;
    plain("stream", stream)
}

#[derive(Default)]
pub(crate) struct BookSubscription;

#[Subscription]
impl BookSubscription {
    /// Every event after a position: first those of the past, then each as it is written, without a gap.
    async fn event_appended(
        &self,
        context: &Context<'_>,
        #[graphql(default_with = "Long(0)")] after: Long,
        types: Option<Vec<String>>,
    ) -> async_graphql::Result<impl Stream<Item = async_graphql::Result<Event>>> {
        staff_only(context)?;
        plain_filter(types.as_deref(), None)?;
        let Long(after) = after;
        let filter = Filter { types, stream: None };
        let Reader { book, tail, .. } = reader(context)?.clone();
        let head = book.head().await.map_err(|error| failed(&error))?.position;
        if after > head {
            // It was given in another history of the book: waiting for it would pass over what stands there now.
            return Err(coded("BAD_INPUT", format!("the book ends at position {head}, before {after}")));
        }
        let events = follow(book, tail, after, filter);
        Ok(events.map(|event| event.map(Event::from).map_err(|error| failed(&error))))
    }
}

/// Somebody who follows the book.
struct Following {
    book: Daybook,
    tail: Tail,
    follower: Follower,
    /// Everything up to this position has been told.
    after: i64,
    filter: Filter,
    /// Whether the past has been told, so that the end of the book is all that there is to read.
    live: bool,
}

impl Following {
    /// The next events, as soon as there are some.
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
        // Who has fallen behind what is kept reads for himself until he has caught up.
        self.live = page.is_some();
        Ok(page)
    }

    async fn page_of_past(&mut self) -> Result<Page, StoreError> {
        // What the head is before reading: what is written meanwhile is read the next time.
        let head = self.book.head().await?.position;
        let events = self.book.read_after(self.after, PAGE, &self.filter).await?;
        self.live = events.is_empty();
        Ok(Page { up_to: events.last().map_or(head, |last| last.position), events })
    }
}

/// The events after a position, and those that will come.
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
