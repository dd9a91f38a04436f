//! What an error says, with its causes.

use daybook_event_store::chain;

/// What an error says and what it comes from, each of it once: most errors of the house say their cause themselves.
pub(crate) fn told(error: &anyhow::Error) -> String {
    let mut said = String::new();
    for cause in error.chain() {
        // PostgreSQL's own display is only "db error"; `chain` says that and all behind it.
        let database = cause.downcast_ref::<tokio_postgres::Error>();
        let text = database.map_or_else(|| cause.to_string(), chain);
        if !said.contains(&text) {
            said = if said.is_empty() { text } else { format!("{said}: {text}") };
        }
        if database.is_some() {
            break;
        }
    }
    said
}

#[cfg(test)]
mod tests {
    use std::io;

    use anyhow::Context;

    use super::*;
    use crate::backup::BackupError;

    #[test]
    fn every_cause_is_told_once_whether_or_not_the_error_says_it_itself() {
        let missing = || io::Error::new(io::ErrorKind::NotFound, "no such file");
        let says_it = anyhow::Error::from(BackupError::io("read the marker")(missing()));
        assert_eq!(told(&says_it), "cannot read the marker: no such file");
        let does_not = Err::<(), _>(missing()).context("the shop was not backed up").expect_err("it is one");
        assert_eq!(told(&does_not), "the shop was not backed up: no such file");
        let both = says_it.context("the shop was not backed up");
        assert_eq!(told(&both), "the shop was not backed up: cannot read the marker: no such file");
        let unfinished = anyhow::Error::from(BackupError::Unfinished(both));
        let said =
            "the restored book could not be finished: the shop was not backed up: cannot read the marker: no such file";
        assert_eq!(told(&unfinished), said);
    }
}
