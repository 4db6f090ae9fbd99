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

    let created = runtime.create(id.clone(), bundle).create()?;
    let container = runtime.container(id);
    container.start()?;
    let status = created.process.wait()?;
    container.delete(false)?;

    Ok(ExitCode::from(status.code() as u8))
}
