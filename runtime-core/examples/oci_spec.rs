// SPDX-License-Identifier: Apache-2.0
//! Runs a container from a configuration of the crate oci-spec.
//!
//! ```text
//! cargo run -p runtime-core --example oci_spec -- /path/to/bundle
//! ```
#![allow(clippy::print_stdout)]

use oci_spec::runtime::{ProcessBuilder, RootBuilder, SpecBuilder};
use runtime_core::spec::Spec;
use runtime_core::{ContainerId, Runtime, Stdio};
use std::error::Error;

fn main() -> Result<(), Box<dyn Error>> {
    let bundle = std::env::args().nth(1).unwrap_or_else(|| ".".into());
    let runtime = Runtime::new("/run/runtime-example");
    let id = ContainerId::new(&format!("oci-spec-{}", std::process::id()))?;

    let args = ["echo", "from", "oci-spec"].map(str::to_owned);
    let process = ProcessBuilder::default().terminal(false).args(args).cwd("/").build()?;
    let root = RootBuilder::default().path("rootfs").readonly(true).build()?;
    let theirs = SpecBuilder::default().process(process).root(root).hostname("oci-spec").build()?;

    let spec = Spec::try_from(theirs)?;
    let mut init = runtime.builder(id, bundle).spec(spec).stdout(Stdio::Piped).run()?;
    let output = init.wait_with_output(1 << 20)?;
    init.delete()?;
    print!("{}", String::from_utf8_lossy(&output.stdout));
    Ok(())
}
