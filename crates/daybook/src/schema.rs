//! `daybook schema`: the contracts, generated from the code. The committed files are checked against them.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::Context;
use daybook_codec::upcast::UPCASTERS;
use daybook_command_api::openapi;
use daybook_domain::{Command, Event};
use daybook_operations::{print_line, print_note};
use serde_json::Value;

use crate::asyncapi::{self, Schemas};

/// The flags of `daybook schema`.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// The directory of the contracts.
    #[arg(long, default_value = "schemas")]
    out: PathBuf,
    /// Write nothing, and fail if a file differs.
    #[arg(long)]
    check: bool,
}

/// Writes or checks the contracts.
///
/// # Errors
/// When the directory cannot be read or written.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let contracts = contracts()?;
    if !args.check {
        for (name, text) in &contracts {
            let file = args.out.join(name);
            if let Some(directory) = file.parent() {
                fs::create_dir_all(directory)?;
            }
            fs::write(&file, text).with_context(|| format!("{} cannot be written", file.display()))?;
        }
        print_line!("{} contracts are in {}", contracts.len(), args.out.display());
        return Ok(ExitCode::SUCCESS);
    }
    let differing: Vec<_> = contracts.iter().filter(|(name, text)| !is_same(&args.out.join(name), text)).collect();
    let missing: Vec<_> = earlier_versions().into_iter().filter(|name| !args.out.join(name).exists()).collect();
    for name in &missing {
        print_note!("{name} is missing; books may hold events of that version, so its contract stays");
    }
    for (name, _) in &differing {
        print_note!("{name} differs from the code; run `daybook schema --out {}`", args.out.display());
    }
    Ok(if differing.is_empty() && missing.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The file of an event's contract, under `schemas/`.
fn event_file(event_type: &str, version: i16) -> String {
    format!("events/{}.v{version}.json", event_type.replacen('.', "/", 1))
}

/// The contracts of events that this program reads and does not write any more. They were generated once, and stay as they are.
fn earlier_versions() -> Vec<String> {
    UPCASTERS.iter().map(|step| event_file(step.event_type, step.from)).collect()
}

fn is_same(file: &Path, text: &str) -> bool {
    fs::read_to_string(file).is_ok_and(|there| there == text)
}

/// Every contract, by its path under `schemas/`.
fn contracts() -> anyhow::Result<BTreeMap<String, String>> {
    let mut contracts = BTreeMap::new();
    for contract in Command::contracts().into_iter().filter(|contract| contract.access.is_public()) {
        contracts.insert(format!("commands/{}.json", contract.name), pretty(&contract.schema.into())?);
    }
    for contract in Event::contracts() {
        let file = event_file(contract.event_type, contract.schema_version);
        contracts.insert(file, pretty(&contract.schema.into())?);
    }
    contracts.insert("storefront.graphql".to_owned(), daybook_query_api::storefront_sdl());
    contracts.insert("admin.graphql".to_owned(), daybook_query_api::admin_sdl());
    contracts.insert("openapi.json".to_owned(), pretty(&openapi::document())?);
    let topology = daybook_projectors::topology("daybook", 1);
    contracts.insert("asyncapi.json".to_owned(), pretty(&asyncapi::document(&topology, Schemas::Referred))?);
    Ok(contracts)
}

fn pretty(value: &Value) -> anyhow::Result<String> {
    Ok(serde_json::to_string_pretty(value)? + "\n")
}
