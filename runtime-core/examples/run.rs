// SPDX-License-Identifier: Apache-2.0
//! Runs a bundle to its end, as root:
//!
//! ```text
//! cargo run -p runtime-core --example run -- /path/to/bundle
//! ```

use runtime_core::{ContainerId, Runtime};
use std::process::ExitCode;

fn main() -> runtime_core::Result<ExitCode> {
    let bundle = std::env::args_os().nth(1).unwrap_or_else(|| ".".into());
    let runtime = Runtime::new("/run/runtime-example");
    let id = ContainerId::new(&format!("example-{}", std::process::id()))?;

    let init = runtime.builder(id, bundle).run()?;
    let status = init.wait()?;
    init.delete()?;

    Ok(ExitCode::from(status.code() as u8))
}
