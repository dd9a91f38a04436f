//! The frames between two processes: a length, the number of a command, and JSON. The frames of number 0 belong to no command.

use std::{io, net::IpAddr};

use bytes::{Buf, Bytes, BytesMut};
use daybook_bus::{Answer, CommandError, Receipt, Submission, UnreadableStream};
use daybook_domain::{Command, Refusal, Role};
use serde::{Deserialize, Serialize};
use serde_json::value::{RawValue, to_raw_value};
use tokio::io::{AsyncRead, AsyncReadExt};
use uuid::Uuid;

use super::actor;

/// The number of frames that belong to no command.
pub(super) const CONTROL: u64 = 0;
/// The payload of a control frame that asks whether the other end is alive, and of the answer.
pub(super) const ALIVE: &[u8] = b"alive";
/// The payload of a control frame of a process that takes no more commands.
pub(super) const CLOSING: &[u8] = b"closing";

/// The bytes before a payload: its length and the number of its command.
const HEADER: usize = 4 + 8;
/// The longest payload, in bytes. The events of the largest command are shorter.
const MAX_PAYLOAD: usize = 64 << 20;

/// Adds a frame to what is to be sent.
pub(super) fn put(out: &mut Vec<u8>, number: u64, payload: &[u8]) {
    out.extend_from_slice(&u32::try_from(payload.len()).unwrap_or(u32::MAX).to_be_bytes());
    out.extend_from_slice(&number.to_be_bytes());
    out.extend_from_slice(payload);
}

/// Reads frames.
#[derive(Default)]
pub(super) struct Frames(BytesMut);

impl Frames {
    /// Reads more bytes. Returns false at the end of the connection. No byte is lost if the future is dropped.
    pub(super) async fn fill(&mut self, from: &mut (impl AsyncRead + Unpin)) -> io::Result<bool> {
        self.0.reserve(16 << 10);
        Ok(from.read_buf(&mut self.0).await? > 0)
    }

    /// The next frame, if it has arrived whole.
    pub(super) fn next(&mut self) -> io::Result<Option<(u64, Bytes)>> {
        let Some((length, rest)) = self.0.split_first_chunk::<4>() else { return Ok(None) };
        let length = usize::try_from(u32::from_be_bytes(*length)).unwrap_or(usize::MAX);
        if length > MAX_PAYLOAD {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "a frame is too long"));
        }
        let Some((number, rest)) = rest.split_first_chunk::<8>() else { return Ok(None) };
        let number = u64::from_be_bytes(*number);
        if rest.len() < length {
            return Ok(None);
        }
        self.0.advance(HEADER);
        Ok(Some((number, self.0.split_to(length).freeze())))
    }
}

/// A command on its way to another process.
#[derive(Serialize)]
struct Sent<'s> {
    name: &'s str,
    command: &'s Command,
    role: Role,
    actor: Option<String>,
    command_id: Uuid,
    correlation_id: Uuid,
    causation_id: Uuid,
    trace: Option<&'s str>,
    address: Option<IpAddr>,
    is_patient: bool,
}

/// A command from another process.
#[derive(Deserialize)]
struct Received<'r> {
    name: &'r str,
    #[serde(borrow)]
    command: &'r RawValue,
    role: Role,
    actor: Option<String>,
    command_id: Uuid,
    correlation_id: Uuid,
    causation_id: Uuid,
    trace: Option<String>,
    address: Option<IpAddr>,
    is_patient: bool,
}

/// The payload of a command.
pub(super) fn encode(submission: &Submission, is_patient: bool) -> serde_json::Result<Vec<u8>> {
    let Submission { command, command_id, actor, correlation_id, causation_id, trace, address } = submission;
    let (command_id, correlation_id, causation_id) = (*command_id, *correlation_id, *causation_id);
    let (name, role, trace, address) = (command.name(), actor.role(), trace.as_deref(), *address);
    let actor = actor::name(actor);
    serde_json::to_vec(&Sent {
        name,
        command,
        role,
        actor,
        command_id,
        correlation_id,
        causation_id,
        trace,
        address,
        is_patient,
    })
}

/// The command of a payload, and whether its caller is patient. None if this program does not know such a command.
pub(super) fn decode(payload: &[u8]) -> Option<(Submission, bool)> {
    let received: Received<'_> = serde_json::from_slice(payload).ok()?;
    let Received { name, command, role, actor, command_id, correlation_id, causation_id, .. } = received;
    let Received { trace, address, is_patient, .. } = received;
    let command = Command::deserialize(name, &mut serde_json::Deserializer::from_str(command.get()))?.ok()?;
    let actor = actor::of(role, actor)?;
    Some((Submission { command, command_id, actor, correlation_id, causation_id, trace, address }, is_patient))
}

/// An answer on its way back.
#[derive(Serialize, Deserialize)]
struct Answered {
    streams: u32,
    outcome: Outcome,
}

#[derive(Serialize, Deserialize)]
enum Outcome {
    Accepted(Receipt),
    Refused {
        code: String,
        data: Box<RawValue>,
        pointer: Option<String>,
    },
    KeyReused(Uuid),
    Contended,
    Busy,
    /// It was not decided.
    Stopped,
    Failed(String),
    Lost,
    Unreadable {
        stream: String,
        version: i32,
        reason: String,
        is_newer: bool,
    },
    Unwritable(String),
    NotWritten(String),
    /// The program knows no such command, so it was not decided.
    Unknown,
}

/// The payload of the answer to a command that this program does not know.
pub(super) fn encode_unknown() -> serde_json::Result<Vec<u8>> {
    serde_json::to_vec(&Answered { streams: 0, outcome: Outcome::Unknown })
}

/// The payload of an answer.
pub(super) fn encode_answer(answer: Answer) -> serde_json::Result<Vec<u8>> {
    let Answer { outcome, streams } = answer;
    let outcome = match outcome {
        Ok(receipt) => Outcome::Accepted(receipt),
        Err(CommandError::Refused { refusal, pointer }) => {
            Outcome::Refused { code: refusal.code().to_owned(), data: to_raw_value(&refusal)?, pointer }
        }
        Err(CommandError::KeyReused(id)) => Outcome::KeyReused(id),
        Err(CommandError::Contended) => Outcome::Contended,
        Err(CommandError::Busy) => Outcome::Busy,
        // The sender decides it itself.
        Err(CommandError::Stopped | CommandError::WrongClock(_)) => Outcome::Stopped,
        Err(CommandError::Failed(error)) => Outcome::Failed(error.to_string()),
        Err(CommandError::Lost) => Outcome::Lost,
        Err(CommandError::Unreadable(UnreadableStream { stream, version, reason, is_newer })) => {
            Outcome::Unreadable { stream: stream.as_str().to_owned(), version, reason, is_newer }
        }
        Err(CommandError::Unwritable(reason)) => Outcome::Unwritable(reason),
        Err(CommandError::NotWritten(reason)) => Outcome::NotWritten(reason),
    };
    serde_json::to_vec(&Answered { streams, outcome })
}

/// The answer of a payload. None if the command was not decided, or if a later program has refused it for a reason that this one does
/// not know. Then nothing was written.
pub(super) fn decode_answer(payload: &[u8]) -> serde_json::Result<Option<Answer>> {
    let Answered { streams, outcome } = serde_json::from_slice(payload)?;
    let outcome = match outcome {
        Outcome::Stopped | Outcome::Unknown => return Ok(None),
        Outcome::Refused { code, data, pointer } => {
            let read = Refusal::deserialize(&code, &mut serde_json::Deserializer::from_str(data.get()));
            let Some(Ok(refusal)) = read else { return Ok(None) };
            Err(CommandError::Refused { refusal, pointer })
        }
        Outcome::Accepted(receipt) => Ok(receipt),
        Outcome::KeyReused(id) => Err(CommandError::KeyReused(id)),
        Outcome::Contended => Err(CommandError::Contended),
        Outcome::Busy => Err(CommandError::Busy),
        Outcome::Failed(reason) => Err(CommandError::failed_elsewhere(reason)),
        Outcome::Lost => Err(CommandError::Lost),
        Outcome::Unreadable { stream, version, reason, is_newer } => {
            Err(UnreadableStream { stream: stream.as_str().into(), version, reason, is_newer }.into())
        }
        Outcome::Unwritable(reason) => Err(CommandError::Unwritable(reason)),
        Outcome::NotWritten(reason) => Err(CommandError::NotWritten(reason)),
    };
    Ok(Some(Answer { outcome, streams }))
}
