//! Secrets that come from files are read again on SIGHUP, so that they can be changed without a restart.

use anyhow::Context;
use daybook_edge::tokens::Keys;
use daybook_event_store::Secret;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// The secrets of a process.
#[derive(Clone, Default)]
pub struct Secrets {
    /// Those whose users ask for them each time, such as the URL of the database.
    pub read_when_used: Vec<Secret>,
    /// The secret of the tokens, and the keys that are made from it.
    pub keys: Option<(Secret, Keys)>,
}

impl Secrets {
    /// Reads them again on every SIGHUP, until it is stopped.
    ///
    /// # Errors
    /// When the signal cannot be handled.
    pub(crate) fn follow(self, stop: CancellationToken) -> std::io::Result<impl Future<Output = ()> + Send> {
        let mut signals: Signal = signal(SignalKind::hangup())?;
        Ok(async move {
            while let Some(Some(())) = stop.run_until_cancelled(signals.recv()).await {
                let _changed = self.read_again();
            }
        })
    }

    /// Returns how many have changed.
    fn read_again(&self) -> usize {
        let when_used = self.read_when_used.iter().map(|secret| secret.read_again().map_err(anyhow::Error::from));
        let of_tokens = self.keys.iter().map(|(secret, keys)| {
            secret.read_again_if(|new| keys.replace(new.as_bytes()).context("the secret of tokens cannot be used"))
        });
        let mut changed = 0;
        for read in when_used.chain(of_tokens) {
            match read {
                Ok(true) => changed += 1,
                Ok(false) => {}
                Err(error) => tracing::error!(error = format!("{error:#}"), "the secret stays as it was"),
            }
        }
        tracing::info!(changed, "the secrets were read again");
        changed
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_new_secret_holds_at_once_and_a_poor_one_never() {
        let home = tempfile::tempdir().expect("a directory");
        let file = home.path().join("secret");
        fs::write(&file, "one secret of thirty-two or more bytes").expect("a file");
        let secret = Secret::file(&file).expect("it is read");
        let keys = Keys::new(secret.expose().as_bytes()).expect("it is good");
        let secrets = Secrets { read_when_used: Vec::new(), keys: Some((secret, keys.clone())) };
        let token = || {
            let (actor, lifetime) = (daybook_domain::Actor::Admin("ada".to_owned()), chrono::TimeDelta::hours(1));
            keys.sign(&actor, daybook_bus::Clock::system().now(), lifetime).expect("a token")
        };
        let old = token();
        fs::write(&file, "too poor").expect("a file");
        assert_eq!(secrets.read_again(), 0);
        assert!(keys.check(&old).is_ok(), "the old secret stays");
        fs::write(&file, "another secret of thirty-two bytes").expect("a file");
        assert_eq!(secrets.read_again(), 1);
        assert!(keys.check(&old).is_err() && keys.check(&token()).is_ok());
    }
}
