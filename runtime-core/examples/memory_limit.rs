// SPDX-License-Identifier: Apache-2.0
//! Runs a job with a memory limit, and says so if the OOM killer ends it. The host needs the
//! memory controller of cgroup v2.
//!
//! ```text
//! cargo run -p runtime-core --example memory_limit -- /path/to/bundle
//! ```
#![allow(clippy::print_stdout)]

use runtime_core::spec::{Memory, Spec};
use runtime_core::{ContainerId, Runtime};

/// In bytes.
const LIMIT: i64 = 16 << 20;

fn main() -> runtime_core::Result<()> {
    let bundle = std::env::args().nth(1).unwrap_or_else(|| ".".into());
    println!("{}", run(&bundle)?);
    Ok(())
}

/// Returns how the job has ended.
pub(crate) fn run(bundle: &str) -> runtime_core::Result<String> {
    let runtime = Runtime::new("/run/runtime-example");
    let id = ContainerId::new(&format!("memory-{}", std::process::id()))?;

    let mut spec = Spec::example(runtime_core::is_unified());
    if let Some(process) = &mut spec.process {
        process.terminal = false;
        // tail keeps the last line, which never ends.
        process.args = ["sh", "-c", "exec tail -n 1 /dev/zero"].map(str::to_owned).to_vec();
    }
    let memory = Memory { limit: Some(LIMIT), swap: Some(LIMIT), ..Memory::default() };
    if let Some(linux) = &mut spec.linux {
        linux.resources.get_or_insert_default().memory = Some(memory);
    }
    let init = runtime.builder(id, bundle).spec(spec).run()?;
    let status = init.wait()?;
    let told = init.oom_killed(status);
    init.delete()?;
    Ok(told.map_or_else(|| status.to_string(), |warning| warning.to_string()))
}
