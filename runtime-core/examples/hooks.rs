// SPDX-License-Identifier: Apache-2.0
//! Hooks in Rust: a function where config.json has programs. This one looks at the container's
//! network namespace before the program starts, as a program that sets up its network would.
//!
//! ```text
//! cargo run -p runtime-core --example hooks -- /path/to/bundle
//! ```
#![allow(clippy::print_stdout)]

use runtime_core::spec::Spec;
use runtime_core::{ContainerId, ErrorKind, Runtime};
use std::fs;

fn main() -> runtime_core::Result<()> {
    let bundle = std::env::args().nth(1).unwrap_or_else(|| ".".into());
    let runtime = Runtime::new("/run/runtime-example");
    let id = ContainerId::new(&format!("hooks-{}", std::process::id()))?;
    let mut spec = Spec::example(runtime_core::is_unified());
    if let Some(process) = &mut spec.process {
        process.terminal = false;
        process.args = ["true".to_owned()].to_vec();
    }

    let builder = runtime.builder(id.clone(), &bundle).spec(spec.clone());
    let builder = builder.create_runtime_hook(|state| {
        let interfaces = fs::read_to_string(format!("/proc/{}/net/dev", state.pid))?;
        println!("{}: {} interface", state.status, interfaces.lines().skip(2).count());
        Ok(())
    });
    // The time of createRuntime is in `prepare`. What is done before `start` is done before the
    // program runs, and what is done after `start` at the time of the poststart hooks.
    let init = builder.prepare()?.start()?;
    init.wait()?;
    init.delete()?;

    // A hook that fails leaves nothing.
    let builder = runtime.builder(id, bundle).spec(spec);
    match builder.create_runtime_hook(|_state| Err("no address is left".into())).run() {
        Err(error) if error.kind() == ErrorKind::Hook => println!("{error:#}"),
        other => drop(other?),
    }
    Ok(())
}
