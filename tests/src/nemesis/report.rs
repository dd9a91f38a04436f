//! The report of a run: a table for people, a JSON object for machines.

use std::{collections::BTreeMap, path::PathBuf, time::Duration};

use comfy_table::{Table, presets::UTF8_BORDERS_ONLY};
use serde_json::{Value, json};

use super::{check::Check, faults::Fault, imports::Counts};

/// An injected fault.
#[derive(Debug, Clone)]
pub struct Injected {
    /// The fault.
    pub fault: Fault,
    /// Its time since the beginning of the run.
    pub at: Duration,
    /// What it has hit, and for how long.
    pub what: String,
    /// The time from its end until a command was acknowledged and its effect shown, or none if that did not happen.
    pub recovery: Option<Duration>,
}

/// A run.
#[derive(Debug)]
pub struct Report {
    /// The seed.
    pub seed: u64,
    /// The duration.
    pub took: Duration,
    /// The injected faults.
    pub injected: Vec<Injected>,
    /// The checks.
    pub checks: Vec<Check>,
    /// The numbers of commands: sent, acknowledged, refused, and left open.
    pub commands: Commands,
    /// The numbers of imported files and of import processes.
    pub imports: Counts,
    /// Roles that ended without a kill. They were restarted.
    pub ended_by_themselves: Vec<String>,
    /// The directory of the logs.
    pub logs: PathBuf,
}

/// The numbers of commands.
#[derive(Debug, Clone, Copy, Default)]
pub struct Commands {
    /// Sent, each counted once.
    pub sent: usize,
    /// Accepted.
    pub acknowledged: usize,
    /// Refused by a rule.
    pub refused: usize,
    /// Left open.
    pub open: usize,
    /// Refused after an attempt that had timed out and was accepted later.
    pub late: usize,
    /// Queries with a result that shows the required position.
    pub reads: usize,
}

fn percentile(sorted: &[Duration], percent: usize) -> Option<Duration> {
    let rank = (sorted.len() * percent).div_ceil(100).max(1);
    sorted.get(rank - 1).copied()
}

fn in_ms(time: Option<Duration>) -> Value {
    time.map_or(Value::Null, |time| json!(u64::try_from(time.as_millis()).unwrap_or(u64::MAX)))
}

fn in_words(time: Option<Duration>) -> String {
    time.map_or_else(|| "never".to_owned(), |time| format!("{} ms", time.as_millis()))
}

impl Report {
    /// The number of violations.
    #[must_use]
    pub fn violations(&self) -> u64 {
        self.checks.iter().map(|check| check.violations).sum()
    }

    fn recoveries(&self, fault: Option<Fault>) -> Vec<Duration> {
        let of = self.injected.iter().filter(|injected| fault.is_none_or(|fault| injected.fault == fault));
        let mut recoveries: Vec<_> = of.filter_map(|injected| injected.recovery).collect();
        recoveries.sort();
        recoveries
    }

    fn by_fault(&self) -> BTreeMap<Fault, usize> {
        let mut faults = BTreeMap::new();
        for injected in &self.injected {
            *faults.entry(injected.fault).or_insert(0) += 1;
        }
        faults
    }

    /// The report as a JSON object.
    #[must_use]
    pub fn json(&self) -> Value {
        let faults: Vec<_> = self
            .by_fault()
            .into_iter()
            .map(|(fault, times)| {
                let recoveries = self.recoveries(Some(fault));
                json!({ "fault": fault.name(), "injected": times, "recovery_p50_ms": in_ms(percentile(&recoveries, 50)),
                        "recovery_p99_ms": in_ms(percentile(&recoveries, 99)) })
            })
            .collect();
        let Commands { sent, acknowledged, refused, open, late, reads } = self.commands;
        let Counts { files, records, runs, killed, failed, half_way } = self.imports;
        json!({
            "seed": self.seed, "seconds": self.took.as_secs(), "faults": faults, "injected": self.injected.len(),
            "sent": sent, "acknowledged": acknowledged, "refused": refused, "open": open, "late": late, "reads": reads,
            "imports": { "files": files, "records": records, "runs": runs, "killed": killed, "failed": failed,
                         "found_half_way": half_way },
            "violations": self.violations(), "recovery_p50_ms": in_ms(percentile(&self.recoveries(None), 50)),
            "recovery_p99_ms": in_ms(percentile(&self.recoveries(None), 99)),
            "checks": self.checks, "ended_by_themselves": self.ended_by_themselves, "logs": self.logs,
        })
    }

    /// The report as a table.
    #[must_use]
    pub fn text(&self) -> String {
        let mut checks = Table::new();
        checks.load_style(UTF8_BORDERS_ONLY).set_header(["check", "checked", "violations"]);
        for check in &self.checks {
            checks.add_row([check.name.clone(), check.checked.to_string(), check.violations.to_string()]);
        }
        let mut faults = Table::new();
        faults.load_style(UTF8_BORDERS_ONLY).set_header(["fault", "injected", "recovery p50", "recovery p99"]);
        for (fault, times) in self.by_fault() {
            let recoveries = self.recoveries(Some(fault));
            let (p50, p99) = (percentile(&recoveries, 50), percentile(&recoveries, 99));
            faults.add_row([fault.name().to_owned(), times.to_string(), in_words(p50), in_words(p99)]);
        }
        let all = self.recoveries(None);
        let (p50, p99) = (in_words(percentile(&all, 50)), in_words(percentile(&all, 99)));
        faults.add_row(["all".to_owned(), self.injected.len().to_string(), p50, p99]);
        let Commands { sent, acknowledged, refused, open, late, reads } = self.commands;
        let Counts { files, records, runs, killed, failed, half_way } = self.imports;
        let mut text = format!(
            "{checks}\n{faults}\nseed {}, {} s: {sent} commands, of which {acknowledged} acknowledged, {refused} refused, {open} left \
             open ({late} came through after a refusal); {reads} reads; {files} files of {records} records \
             imported by {runs} processes, of which {killed} killed and {failed} failed ({half_way} files were found half imported); {} \
             checks made; violations {}",
            self.seed,
            self.took.as_secs(),
            self.checks.iter().map(|check| check.checked).sum::<u64>(),
            self.violations()
        );
        for ended in &self.ended_by_themselves {
            text += &format!("\n{ended}");
        }
        for check in self.checks.iter().filter(|check| check.violations > 0) {
            text += &format!("\n\n{}: {} times not\n  {}", check.name, check.violations, check.found.join("\n  "));
        }
        if self.violations() > 0 {
            text += &format!("\n\nthe logs are in {}", self.logs.display());
        }
        text
    }
}
