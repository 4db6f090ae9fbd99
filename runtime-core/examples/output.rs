// SPDX-License-Identifier: Apache-2.0
//! Runs a program in a container and collects its output. The container's files are in the
//! directory `rootfs` of the bundle, which needs no config.json:
//!
//! ```text
//! cargo run -p runtime-core --example output -- /path/to/bundle cat /etc/passwd
//! ```
#![allow(clippy::print_stdout)]

use runtime_core::spec::Spec;
use runtime_core::{ContainerId, Runtime, Stdio};

/// The most bytes to keep of each stream.
const LIMIT: usize = 1 << 20;

fn main() -> runtime_core::Result<()> {
    let mut args = std::env::args().skip(1);
    let bundle = args.next().unwrap_or_else(|| ".".into());
    let runtime = Runtime::new("/run/runtime-example");
    let id = ContainerId::new(&format!("output-{}", std::process::id()))?;

    // The configuration that `runc spec` writes, with another program and without a terminal.
    let mut spec = Spec::example(runtime_core::is_unified());
    if let Some(process) = &mut spec.process {
        process.terminal = false;
        process.args = args.collect();
    }
    let builder = runtime.builder(id, bundle).spec(spec);
    let mut init = builder.stdin(Stdio::Null).stdout(Stdio::Piped).stderr(Stdio::Piped).run()?;
    let output = init.wait_with_output(LIMIT)?;
    init.delete()?;

    println!("{}, {} bytes of errors", output.status, output.stderr.len());
    print!("{}", String::from_utf8_lossy(&output.stdout));
    Ok(())
}
