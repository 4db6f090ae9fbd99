// SPDX-License-Identifier: Apache-2.0
//! Runs a container as a user without rights: the user is root of a new user namespace.
//!
//! ```text
//! cargo run -p runtime-core --example rootless -- /path/to/bundle
//! ```
#![allow(clippy::print_stdout)]

use runtime_core::spec::Spec;
use runtime_core::{ContainerId, Runtime, Stdio};
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

fn main() -> runtime_core::Result<()> {
    // A user cannot mount over its own program's file: this runs the program again from a copy in
    // memory, so that no container can write to it. It has to be the first call of a program.
    runtime_core::protect_program()?;
    let bundle = std::env::args().nth(1).unwrap_or_else(|| ".".into());
    let root = std::env::var_os("XDG_RUNTIME_DIR").unwrap_or_else(|| "/tmp".into());
    let (uid, gid) = match std::fs::metadata("/proc/self") {
        Ok(own) => (own.uid(), own.gid()),
        Err(_) => (0, 0),
    };
    let runtime = Runtime::new(PathBuf::from(root).join(format!("runtime-example-{uid}")));
    let id = ContainerId::new(&format!("rootless-{}", std::process::id()))?;

    let mut spec = Spec::example(runtime_core::is_unified()).into_rootless(uid, gid);
    if let Some(process) = &mut spec.process {
        process.terminal = false;
        process.args = ["id".to_owned()].to_vec();
    }
    let mut init = runtime.builder(id, bundle).spec(spec).stdout(Stdio::Piped).run()?;
    let output = init.wait_with_output(1 << 20)?;
    init.delete()?;
    print!("{}", String::from_utf8_lossy(&output.stdout));
    Ok(())
}
