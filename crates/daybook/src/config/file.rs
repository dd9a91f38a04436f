//! The configuration file: TOML in sections, named by `--config FILE` or `DAYBOOK_CONFIG`. Each key is the default of a flag. So a flag
//! overrides the environment, the environment overrides the file, and the file overrides the built-in default. An unknown key is
//! refused, with a suggestion.

use std::{
    collections::BTreeMap,
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
};

use anyhow::Context;
use clap::{Arg, ArgAction, Command};
use daybook_event_store::redacted;
use daybook_operations::Usage;
use toml_edit::{DocumentMut, Item, Value};

/// The environment variable that names the file.
const VARIABLE: &str = "DAYBOOK_CONFIG";
/// The flag whose value is a table of its own.
const PAIRS: &str = "kafka-client";
/// The similarity (0 to 1) from which on a name is suggested.
const SIMILAR: f64 = 0.6;

/// A setting: its section and key in the file, and its flag.
#[derive(Debug)]
struct Setting {
    section: &'static str,
    key: &'static str,
    flag: &'static str,
}

const fn setting(section: &'static str, key: &'static str, flag: &'static str) -> Setting {
    Setting { section, key, flag }
}

/// Every setting, by section.
const SETTINGS: &[Setting] = &[
    setting("database", "url", "database-url"),
    setting("database", "url_file", "database-url-file"),
    setting("database", "read_url", "read-url"),
    setting("database", "read_url_file", "read-url-file"),
    setting("database", "connections", "db-connections"),
    setting("database", "archive", "archive"),
    setting("kafka", "brokers", "kafka-brokers"),
    setting("kafka", "topic_prefix", "topic-prefix"),
    setting("kafka", "partitions", "partitions"),
    setting("kafka", "replication", "replication"),
    setting("kafka", "fetch_wait_ms", "fetch-wait-ms"),
    setting("kafka", "security_protocol", "kafka-security-protocol"),
    setting("kafka", "sasl_mechanism", "kafka-sasl-mechanism"),
    setting("kafka", "sasl_username", "kafka-sasl-username"),
    setting("kafka", "sasl_password", "kafka-sasl-password"),
    setting("kafka", "sasl_password_file", "kafka-sasl-password-file"),
    setting("kafka", "ca_file", "kafka-ca-file"),
    setting("kafka", "client", "kafka-client"),
    setting("http", "listen", "listen"),
    setting("http", "advertise", "advertise"),
    setting("http", "ops_listen", "ops-listen"),
    setting("http", "drain_delay", "drain-delay"),
    setting("http", "max_connections", "max-connections"),
    setting("http", "max_connections_per_address", "max-connections-per-address"),
    setting("http", "head_timeout", "head-timeout"),
    setting("http", "idle_timeout", "idle-timeout"),
    setting("http", "request_timeout", "request-timeout"),
    setting("http", "rate_per_address", "rate-per-address"),
    setting("http", "rate_per_customer", "rate-per-customer"),
    setting("http", "rate_per_staff", "rate-per-staff"),
    setting("http", "trusted_proxies", "trusted-proxies"),
    setting("access", "secret", "secret"),
    setting("access", "secret_file", "secret-file"),
    setting("command-api", "cache_mib", "cache-mib"),
    setting("command-api", "max_clock_difference", "max-clock-difference"),
    setting("command-api", "storefront_channels", "storefront-channels"),
    setting("command-api", "storefront_locations", "storefront-locations"),
    setting("query-api", "command_url", "command-url"),
    setting("query-api", "introspection", "introspection"),
    setting("query-api", "time_zone", "time-zone"),
    setting("query-api", "consistency_timeout", "consistency-timeout"),
    setting("query-api", "max_subscriptions", "max-subscriptions"),
    setting("query-api", "max_subscriptions_per_connection", "max-subscriptions-per-connection"),
    setting("query-api", "max_subscriptions_per_caller", "max-subscriptions-per-caller"),
    setting("query-api", "subscriptions_for_staff", "subscriptions-for-staff"),
];

/// The flags that can be set in the file.
pub fn flags() -> impl Iterator<Item = &'static str> {
    SETTINGS.iter().map(|setting| setting.flag)
}

/// The values of a configuration file, by flag.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct File(BTreeMap<&'static str, String>);

impl File {
    /// Reads the file that the command line or the environment names. Without one it is empty.
    ///
    /// # Errors
    /// When it cannot be read, is not TOML, or has a key that does not exist.
    pub fn named(arguments: impl IntoIterator<Item = OsString>) -> anyhow::Result<Self> {
        let named = flag(arguments).or_else(|| std::env::var_os(VARIABLE).map(PathBuf::from));
        named.map_or_else(|| Ok(Self::default()), |file| Self::read(&file))
    }

    fn read(file: &Path) -> anyhow::Result<Self> {
        let text = fs::read_to_string(file).with_context(|| format!("{} cannot be read", file.display()))?;
        Ok(Self::parse(&text).map_err(|problem| Usage(format!("{}: {problem}", file.display())))?)
    }

    fn parse(text: &str) -> Result<Self, String> {
        let document: DocumentMut = text.parse().map_err(|error| format!("it is not TOML: {error}"))?;
        let mut values = BTreeMap::new();
        for (section, item) in document.iter() {
            if SETTINGS.iter().all(|setting| setting.section != section) {
                let sections = SETTINGS.iter().map(|setting| setting.section);
                return Err(unknown(&format!("there is no section [{section}]"), section, sections));
            }
            let table = item.as_table_like().ok_or_else(|| format!("[{section}] is a section, not a value"))?;
            for (key, item) in table.iter() {
                let within = || SETTINGS.iter().filter(|setting| setting.section == section);
                let Some(setting) = within().find(|setting| setting.key == key) else {
                    let keys = within().map(|setting| setting.key);
                    return Err(unknown(&format!("[{section}] has no key {key}"), key, keys));
                };
                let value = text_of(item).or_else(|| pairs_of(item).filter(|_| setting.flag == PAIRS));
                let value = value.ok_or_else(|| format!("{key} in [{section}] is not a text, a number or a list"))?;
                values.insert(setting.flag, value);
            }
        }
        Ok(Self(values))
    }

    /// The command line, with the values of the file as the defaults of its flags.
    #[must_use]
    pub fn apply(&self, command: Command) -> Command {
        let flags: Vec<_> =
            command.get_arguments().filter_map(|arg| Some((arg.get_id().clone(), self.of(arg)?))).collect();
        let command = flags.into_iter().fold(command, |command, (id, value)| {
            // `--help` shows defaults, but no secret.
            let of_file = |arg: Arg| {
                let is_secret = arg.is_hide_env_values_set();
                arg.default_value(value).required(false).hide_default_value(is_secret)
            };
            command.mut_arg(id, of_file)
        });
        let names: Vec<_> = command.get_subcommands().map(|sub| sub.get_name().to_owned()).collect();
        names.into_iter().fold(command, |command, name| command.mut_subcommand(name, |sub| self.apply(sub)))
    }

    fn of(&self, arg: &Arg) -> Option<String> {
        self.0.get(arg.get_long()?).cloned()
    }

    /// Every setting with its value and its source, as a configuration file. Of secrets only what is no secret is shown.
    #[must_use]
    pub fn describe(&self, command: &Command) -> String {
        let mut text = String::new();
        let mut section = "";
        for setting in SETTINGS {
            if setting.section != section {
                section = setting.section;
                text += &format!("{}[{section}]\n", if text.is_empty() { "" } else { "\n" });
            }
            if let Some(arg) = find(command, setting.flag) {
                text += &self.line(setting, arg);
            }
        }
        text
    }

    fn line(&self, setting: &Setting, arg: &Arg) -> String {
        let Setting { key, flag, .. } = setting;
        let variable = arg.get_env().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let help = arg.get_help().map(ToString::to_string).unwrap_or_default();
        let from_environment =
            arg.get_env().and_then(std::env::var_os).map(|value| value.to_string_lossy().into_owned());
        let default =
            arg.get_default_values().iter().map(|value| value.to_string_lossy()).collect::<Vec<_>>().join(",");
        let (value, from) = match (from_environment, self.0.get(flag)) {
            (Some(value), _) => (value, "the environment"),
            (None, Some(value)) => (value.clone(), "the file"),
            (None, None) if default.is_empty() => (String::new(), "nowhere (not set)"),
            (None, None) => (default, "the default"),
        };
        let line = if value.is_empty() {
            format!("# {key} =")
        } else if arg.is_hide_env_values_set() {
            let shown = if flag.ends_with("url") { redacted(&value) } else { "…".to_owned() };
            format!("# {key} = {}", Value::from(shown))
        } else if value.parse::<i64>().is_ok() || matches!(arg.get_action(), ArgAction::SetTrue) {
            format!("{key} = {value}")
        } else {
            format!("{key} = {}", Value::from(value))
        };
        format!("# {help} --{flag}, {variable}; from {from}\n{line}\n")
    }
}

/// The file of `--config FILE` or `--config=FILE`. It is read first, since it holds the defaults of the command line.
fn flag(arguments: impl IntoIterator<Item = OsString>) -> Option<PathBuf> {
    let mut arguments = arguments.into_iter().take_while(|argument| argument != "--");
    while let Some(argument) = arguments.next() {
        if argument == "--config" {
            return arguments.next().map(PathBuf::from);
        }
        if let Some(file) = argument.to_str().and_then(|argument| argument.strip_prefix("--config=")) {
            return Some(file.into());
        }
    }
    None
}

/// The first flag of this name.
fn find<'c>(command: &'c Command, flag: &str) -> Option<&'c Arg> {
    let own = command.get_arguments().find(|arg| arg.get_long() == Some(flag) && arg.get_env().is_some());
    own.or_else(|| command.get_subcommands().find_map(|sub| find(sub, flag)))
}

/// A value in the form of a flag.
fn text_of(item: &Item) -> Option<String> {
    match item.as_value()? {
        Value::String(text) => Some(text.value().clone()),
        Value::Integer(number) => Some(number.value().to_string()),
        Value::Boolean(boolean) => Some(boolean.value().to_string()),
        Value::Array(all) => {
            let all = all.iter().map(|value| value.as_str().filter(|text| !text.contains(',')));
            Some(all.collect::<Option<Vec<_>>>()?.join(","))
        }
        _ => None,
    }
}

/// A table in the form of a flag of pairs: `[kafka.client]`.
fn pairs_of(item: &Item) -> Option<String> {
    let pairs = item.as_table_like()?.iter().map(|(key, item)| {
        let value = text_of(item).filter(|text| !text.contains(','))?;
        Some(format!("{key}={value}"))
    });
    Some(pairs.collect::<Option<Vec<_>>>()?.join(","))
}

/// An error, with a suggestion for the unknown name.
fn unknown(problem: &str, name: &str, known: impl Iterator<Item = &'static str>) -> String {
    let similar = known.map(|known| (strsim::jaro(known, name), known)).filter(|(similarity, _)| *similarity > SIMILAR);
    match similar.max_by(|(a, _), (b, _)| a.total_cmp(b)) {
        Some((_, meant)) => format!("{problem}; did you mean {meant}?"),
        None => problem.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_values_of_a_file_are_the_defaults_of_flags() {
        let text = "[kafka]\nbrokers = \"k:9092\"\npartitions = 12\n[command-api]\nstorefront_channels = [\"web\", \"app\"]\n\
                    [query-api]\nintrospection = true\n";
        let file = File::parse(text).expect("the file is valid");
        let values = [
            ("kafka-brokers", "k:9092"),
            ("partitions", "12"),
            ("storefront-channels", "web,app"),
            ("introspection", "true"),
        ];
        assert_eq!(file, File(values.map(|(flag, value)| (flag, value.to_owned())).into()));
    }

    #[test]
    fn an_unknown_name_is_refused_with_a_suggestion() {
        let refused = |text| File::parse(text).expect_err("the file is invalid");
        assert_eq!(refused("[kafka]\nbroker = \"k\""), "[kafka] has no key broker; did you mean brokers?");
        assert_eq!(refused("[databse]\nurl = \"p\""), "there is no section [databse]; did you mean database?");
        assert_eq!(refused("[kafka]\nzzz = 1"), "[kafka] has no key zzz");
        assert_eq!(refused("kafka = 1"), "[kafka] is a section, not a value");
        assert_eq!(refused("[http]\nlisten = 1.5"), "listen in [http] is not a text, a number or a list");
        assert!(refused("[http").starts_with("it is not TOML"), "{}", refused("[http"));
    }

    #[test]
    fn the_flag_of_the_file_is_found_anywhere() {
        let of = |line: &str| flag(line.split(' ').map(OsString::from));
        assert_eq!(of("daybook --config a.toml serve"), Some("a.toml".into()));
        assert_eq!(of("daybook serve --config=b.toml"), Some("b.toml".into()));
        assert_eq!(of("daybook serve -- --config c.toml"), None);
    }
}
