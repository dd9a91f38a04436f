//! The problem documents of command outcomes.

use axum::http::StatusCode;
use daybook_bus::{CommandError, UnreadableStream, WrongClock};
use daybook_domain::{Refusal, RefusalKind, general::RoleForbidden};
use daybook_edge::problem::Problem;

pub(super) fn malformed_correlation() -> Problem {
    let detail = "the header Correlation-Id holds a UUID, and not the nil or the max one";
    Problem::new(StatusCode::BAD_REQUEST, "Malformed correlation id", "malformed_correlation_id", &detail)
}

pub(super) fn unknown_command(name: &str) -> Problem {
    let detail = format!("there is no command `{name}`; /openapi.json lists those there are");
    Problem::new(StatusCode::NOT_FOUND, "Unknown command", "unknown_command", &detail)
}

pub(super) fn forbidden(refusal: RoleForbidden) -> Problem {
    refused(&refusal.into(), None)
}

fn refused(refusal: &Refusal, pointer: Option<&str>) -> Problem {
    let (status, title) = match refusal.kind() {
        RefusalKind::NotFound => (StatusCode::NOT_FOUND, "Not found"),
        RefusalKind::Forbidden => (StatusCode::FORBIDDEN, "Forbidden"),
        RefusalKind::Rule => (StatusCode::UNPROCESSABLE_ENTITY, "Refused by a rule"),
    };
    let problem = Problem::new(status, title, refusal.code(), refusal);
    Problem { pointer: pointer.map(str::to_owned), data: Box::new(refusal.data()), ..problem }
}

/// The problem document of a command that was not accepted.
pub(super) fn not_accepted(error: &CommandError) -> Problem {
    let (status, title, code) = match error {
        CommandError::Refused { refusal, pointer } => return refused(refusal, pointer.as_deref()),
        CommandError::KeyReused(_) => (StatusCode::CONFLICT, "Idempotency key reused", "idempotency_key_reused"),
        CommandError::Contended => (StatusCode::SERVICE_UNAVAILABLE, "Too many conflicts", "contended"),
        CommandError::Busy => (StatusCode::SERVICE_UNAVAILABLE, "Too many commands are waiting", "busy"),
        CommandError::Stopped => (StatusCode::SERVICE_UNAVAILABLE, "The service is stopping", "stopping"),
        CommandError::WrongClock(_) => {
            (StatusCode::SERVICE_UNAVAILABLE, "The clock of the process is wrong; nothing was written", "wrong_clock")
        }
        CommandError::NotWritten(_) => (
            StatusCode::SERVICE_UNAVAILABLE,
            "The store refuses to write at present; nothing was written",
            "not_written",
        ),
        failed @ CommandError::Failed(_) if failed.nothing_was_written() => {
            (StatusCode::SERVICE_UNAVAILABLE, "The database has no free connection; nothing was written", "unavailable")
        }
        CommandError::Failed(_) | CommandError::Lost => (
            StatusCode::SERVICE_UNAVAILABLE,
            "Outcome unknown; send the command again with the same key",
            "unknown_outcome",
        ),
        CommandError::Unreadable(UnreadableStream { is_newer: true, .. }) => (
            StatusCode::SERVICE_UNAVAILABLE,
            "A newer program has written to a stream; another process can take the command",
            "newer_writer",
        ),
        CommandError::Unreadable(_) => {
            (StatusCode::INTERNAL_SERVER_ERROR, "A stream cannot be read", "unreadable_stream")
        }
        CommandError::Unwritable(_) => (StatusCode::UNPROCESSABLE_ENTITY, "A value cannot be stored", "unwritable"),
    };
    // The cause of a failure is logged. Callers do not get it.
    let detail = match error {
        // The bus has logged it, once for all commands of the batch.
        CommandError::NotWritten(_) => title.to_owned(),
        CommandError::Failed(_) | CommandError::Unreadable(_) | CommandError::Unwritable(_) => {
            tracing::error!(%error, "a command failed");
            title.to_owned()
        }
        other => other.to_string(),
    };
    let mut problem = Problem::new(status, title, code, &detail);
    if let CommandError::Unreadable(UnreadableStream { stream, version, .. }) = error {
        problem.data.insert("stream".to_owned(), stream.as_str().into());
        problem.data.insert("version".to_owned(), (*version).into());
    }
    if let CommandError::WrongClock(WrongClock { ahead, .. }) = error {
        problem.data.insert("ahead_seconds".to_owned(), ahead.as_seconds_f64().into());
    }
    problem
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use chrono::TimeDelta;
    use serde_json::json;

    use super::*;

    #[test]
    fn unreadable_streams_and_unwritable_values_have_problems_of_their_own() {
        let reason = "a secret cause".to_owned();
        let mut unreadable = UnreadableStream { stream: "stock-milk@main".into(), version: 1, reason, is_newer: false };
        let problem = not_accepted(&CommandError::Unreadable(unreadable.clone()));
        let problem = serde_json::to_value(problem).expect("a document");
        assert_eq!(
            (&problem["status"], &problem["code"], &problem["stream"], &problem["version"]),
            (&json!(500), &json!("unreadable_stream"), &json!("stock-milk@main"), &json!(1))
        );
        assert!(!problem.to_string().contains("secret"), "the cause is only logged: {problem}");

        unreadable.is_newer = true;
        let problem = not_accepted(&CommandError::Unreadable(unreadable));
        assert_eq!((problem.status.as_u16(), &*problem.code), (503, "newer_writer"));

        let problem = not_accepted(&CommandError::NotWritten("53100: a secret path is full".to_owned()));
        assert_eq!((problem.status.as_u16(), &*problem.code), (503, "not_written"));
        assert!(!problem.detail.contains("secret"), "the cause is only logged: {}", problem.detail);

        let (ahead, limit) = (TimeDelta::seconds(-30), Duration::from_secs(5));
        let problem = not_accepted(&CommandError::WrongClock(WrongClock { ahead, limit }));
        assert_eq!((problem.status.as_u16(), &*problem.code), (503, "wrong_clock"));
        assert_eq!(problem.data["ahead_seconds"], json!(-30.0));
        assert!(problem.detail.contains("30.0 s behind the clock of the database"), "{}", problem.detail);

        let problem = not_accepted(&CommandError::Unwritable("a NUL".to_owned()));
        assert_eq!((problem.status.as_u16(), &*problem.code), (422, "unwritable"));
    }
}
