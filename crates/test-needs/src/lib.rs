//! Needs: what a test requires and some machines lack. If it is missing, the test is skipped and says so. Under `CI=true` the test fails
//! instead, unless `.ci/run` allows the skip. The script `.ci/skip` decides this, for tests and for scripts.

use std::{
    io::{self, Write},
    process::Command,
};

/// What a test requires of a machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    /// A broker in `KAFKA_BROKERS`, such as Apache Kafka. `.ci/kafka suite` runs these tests.
    RealBroker,
    /// The embedded broker, for which `KAFKA_BROKERS` must not be set.
    EmbeddedBroker,
    /// Java and Maven. `.ci/kafka` fetches Apache Kafka and its client with them.
    Java,
    /// Python, and the packages that a script fetches for it.
    Python,
    /// Node and npm.
    Node,
    /// The test runs as root.
    Root,
    /// The program `setpriv` and the user `nobody`, so that root can run a program as another user.
    Setpriv,
    /// The orders of a real shop, which are not part of the project.
    JourneyData,
}

impl Need {
    /// The name of the need in `.ci/skip` and `.ci/run`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::RealBroker => "real-broker",
            Self::EmbeddedBroker => "embedded-broker",
            Self::Java => "java",
            Self::Python => "python",
            Self::Node => "node",
            Self::Root => "root",
            Self::Setpriv => "setpriv",
            Self::JourneyData => "journey-data",
        }
    }
}

/// Reports that a test is skipped, and why. The caller returns afterwards.
///
/// # Panics
/// When the test must not be skipped here, or when `.ci/skip` cannot be run.
pub fn skipped(need: Need, why: &str) {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../../.ci/skip");
    let output = Command::new(script).args([need.name(), why]).output().expect("the project has the script .ci/skip");
    let message = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{message}");
    let _unsaid = write!(io::stderr(), "{message}");
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Output};

    use super::Need;

    fn skip(need: Need, ci: Option<&str>, may: &str) -> Output {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../../.ci/skip");
        let mut command = Command::new(script);
        command.args([need.name(), "it", "is", "missing"]).env_remove("CI").env_remove("CI_SKIPPED");
        if let Some(ci) = ci {
            command.env("CI", ci);
        }
        command.env("CI_MAY_SKIP", may).output().expect("the script can be run")
    }

    #[test]
    fn a_test_is_skipped_except_under_ci() {
        for ci in [None, Some(""), Some("false")] {
            let output = skip(Need::Node, ci, "");
            assert!(output.status.success(), "{output:?}");
            assert_eq!(String::from_utf8_lossy(&output.stderr), "SKIPPED (node): it is missing\n");
        }
        let output = skip(Need::Node, Some("true"), "python java");
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        assert!(String::from_utf8_lossy(&output.stderr).contains("does not name node"), "{output:?}");
    }

    #[test]
    fn under_ci_a_test_is_skipped_if_its_need_is_allowed_or_is_the_other_broker() {
        for (need, may) in [(Need::Node, "python node"), (Need::RealBroker, ""), (Need::EmbeddedBroker, "")] {
            let output = skip(need, Some("true"), may);
            assert!(output.status.success(), "{output:?}");
        }
    }
}
