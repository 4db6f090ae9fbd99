// SPDX-License-Identifier: Apache-2.0
//! containerd's shim on `runtime-core`: `runtime_type = "io.containerd.runtime-core.v2"`.
//!
//! containerd executes this program once for each container: [`start`] returns the address of a shim,
//! and starts one for the first container of a pod. That shim is this program, too, without a command:
//! [`serve`] answers the calls of containerd ([`service`]) until the last container is deleted. When a
//! shim has died, [`cleanup`] removes what is left. docs/shim.md has the configuration.
#![forbid(unsafe_code)]

mod args;
mod bootstrap;
mod cleanup;
mod events;
mod log;
mod logger;
mod metrics;
mod options;
mod proto;
mod record;
mod serve;
mod service;
mod socket;
mod start;
mod status;
mod stream;
mod task;
mod ttrpc;

use args::Args;
use log::RUNTIME;
use prost::Message;
use proto::bootstrap::{RuntimeInfo, RuntimeVersion};
use proto::common::Any;
use std::io::{Read, Write};
use std::process::ExitCode;

/// The longest input on standard input.
const INPUT_MAX: u64 = 10 << 20;

fn main() -> ExitCode {
    let arguments = std::env::args_os().skip(1).map(|argument| argument.to_string_lossy().into_owned());
    match run(arguments) {
        Ok(output) => {
            // containerd has ended if this fails, and a new one cleans up.
            runtime_sys::ignore(std::io::stdout().write_all(&output));
            ExitCode::SUCCESS
        }
        Err(text) => {
            runtime_sys::ignore(writeln!(std::io::stderr(), "{RUNTIME}: {text}"));
            ExitCode::FAILURE
        }
    }
}

/// Runs the command, and returns what it prints.
fn run(arguments: impl IntoIterator<Item = String>) -> Result<Vec<u8>, String> {
    let args = Args::parse(arguments)?;
    if args.version {
        return Ok(format!("{RUNTIME}:\n  Version:  {}\n\n", env!("CARGO_PKG_VERSION")).into_bytes());
    }
    if args.info {
        return info().map_err(|error| error.to_string());
    }
    if args.namespace.is_empty() || args.id.is_empty() {
        return Err("the flags -namespace and -id are required".to_owned());
    }
    match args.action.as_str() {
        "start" => start::start(&args, &input()?).map_err(|error| error.to_string()),
        "delete" => cleanup::delete(&args).map_err(|error| error.to_string()),
        "" => serve::serve(&args).map(|()| Vec::new()).map_err(|error| error.to_string()),
        other => Err(format!("unknown command {other}: expected start or delete")),
    }
}

/// Reads standard input to its end.
fn input() -> Result<Vec<u8>, String> {
    let mut input = Vec::new();
    let read = std::io::stdin().lock().take(INPUT_MAX).read_to_end(&mut input);
    read.map(|_| input).map_err(|error| format!("standard input: {error}"))
}

/// Describes the runtime, for containerd's `-info`.
fn info() -> status::Result<Vec<u8>> {
    let failed = |text: String| status::Status::new(status::Code::InvalidArgument, text);
    let given = input().map_err(failed)?;
    let given = if given.is_empty() { None } else { Some(ttrpc::decode::<Any>(&given)?) };
    // Wrong options are an error here, before a container has them.
    options::Options::of(given.as_ref())?;
    let features =
        serde_json::to_vec(&runtime_core::features()).map_err(|error| failed(error.to_string()))?;
    let info = RuntimeInfo {
        name: RUNTIME.to_owned(),
        version: Some(RuntimeVersion { version: env!("CARGO_PKG_VERSION").to_owned() }),
        options: given,
        features: Some(Any {
            type_url: "types.containerd.io/opencontainers/runtime-spec/1/features/Features".to_owned(),
            value: features,
        }),
    };
    Ok(info.encode_to_vec())
}
