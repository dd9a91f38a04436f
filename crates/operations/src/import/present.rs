//! What the book has already: the states of streams, and the commands that are known. Many records ask at once, and their questions go to
//! the store together.

use std::{collections::BTreeMap, sync::Arc};

use anyhow::{Context, anyhow};
use daybook_codec::{decode, decode_state};
use daybook_domain::{State, StreamName};
use daybook_event_store::{LoadedStream, Session, Store, error_chain};
use tokio::{sync::mpsc, sync::oneshot, task::JoinHandle};
use uuid::Uuid;

/// The most questions that are asked together.
const TOGETHER: usize = 256;

/// The book, as records ask for it. It is cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Present(mpsc::Sender<Question>);

/// The states of some streams, by their names.
pub(super) type States = BTreeMap<StreamName, State>;

#[derive(Debug)]
enum Question {
    States(Vec<StreamName>, oneshot::Sender<Result<States, String>>),
    Command(Uuid, String, oneshot::Sender<Result<bool, String>>),
}

impl Present {
    /// Answers questions about a book until the last handle is dropped.
    pub(super) fn of(book: impl Store) -> (Self, JoinHandle<()>) {
        let (questions, mut asked) = mpsc::channel(4 * TOGETHER);
        let work = tokio::spawn(async move {
            let mut together = Vec::new();
            while asked.recv_many(&mut together, TOGETHER).await > 0 {
                answer(&book, together.drain(..)).await;
            }
        });
        (Self(questions), work)
    }

    /// The states of streams.
    ///
    /// # Errors
    /// When the store fails, or a stream cannot be read.
    pub(super) async fn states(&self, streams: Vec<StreamName>) -> anyhow::Result<States> {
        let (reply, answer) = oneshot::channel();
        self.0.send(Question::States(streams, reply)).await.context("the book is not asked any more")?;
        answer.await.context("the answer of the book was lost")?.map_err(|error| anyhow!(error))
    }

    /// Whether the book has the command of this id and scope.
    ///
    /// # Errors
    /// When the store fails.
    pub(super) async fn has_command(&self, id: Uuid, scope: &str) -> anyhow::Result<bool> {
        let (reply, answer) = oneshot::channel();
        self.0.send(Question::Command(id, scope.to_owned(), reply)).await.context("the book is not asked any more")?;
        answer.await.context("the answer of the book was lost")?.map_err(|error| anyhow!(error))
    }
}

async fn answer(book: &impl Store, questions: impl Iterator<Item = Question>) {
    let (mut states, mut commands) = (Vec::new(), Vec::new());
    for question in questions {
        match question {
            Question::States(streams, reply) => states.push((streams, reply)),
            Question::Command(id, scope, reply) => commands.push((id, scope, reply)),
        }
    }
    if !states.is_empty() {
        let names: Vec<Arc<str>> = states.iter().flat_map(|(streams, _)| streams).map(StreamName::shared).collect();
        let loaded = load(book, names).await;
        for (streams, reply) in states {
            let of = |loaded: &BTreeMap<StreamName, Result<State, String>>| {
                let states = streams
                    .iter()
                    .filter_map(|name| Some(loaded.get(name)?.clone().map(|state| (name.clone(), state))));
                states.collect()
            };
            // A record whose import was dropped does not wait for the answer.
            drop(reply.send(loaded.as_ref().map_err(Clone::clone).and_then(of)));
        }
    }
    if !commands.is_empty() {
        let ids = commands.iter().map(|(id, _, _)| *id).collect::<Vec<_>>();
        let known = known(book, &ids).await;
        for (id, scope, reply) in commands {
            drop(reply.send(known.clone().map(|known| known.contains(&(id, scope)))));
        }
    }
}

async fn known(book: &impl Store, ids: &[Uuid]) -> Result<Vec<(Uuid, String)>, String> {
    let asked = async {
        let mut session = book.appender().await?.into_session();
        session.commands(ids).await
    };
    let known = asked.await.map_err(|error| error_chain(&error))?;
    Ok(known.into_iter().map(|known| (known.command_id, known.scope)).collect())
}

async fn load(
    book: &impl Store,
    mut names: Vec<Arc<str>>,
) -> Result<BTreeMap<StreamName, Result<State, String>>, String> {
    names.sort_unstable();
    names.dedup();
    let loaded = book.load_streams(&names, State::FOLD_VERSION).await.map_err(|error| error_chain(&error))?;
    Ok(loaded.into_iter().map(|stream| (StreamName::from(Arc::clone(&stream.stream_id)), folded(stream))).collect())
}

/// The state of a stream, from its snapshot on.
fn folded(stream: LoadedStream) -> Result<State, String> {
    let name = StreamName::from(stream.stream_id);
    let start = match stream.snapshot {
        Some(snapshot) => Some(decode_state(&name, &snapshot.state).map_err(|error| format!("{name}: {error}"))?),
        None => State::empty(&name),
    };
    let mut state = start.ok_or_else(|| format!("no slice has a stream such as {name}"))?;
    for event in stream.events {
        let decoded = decode(&event.event_type, event.schema_version, event.data.as_bytes());
        let decoded = decoded.map_err(|error| format!("{name} at version {}: {error}", event.version))?;
        state.evolve(&decoded, event.effective_at);
    }
    Ok(state)
}
