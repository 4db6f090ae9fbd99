// SPDX-License-Identifier: Apache-2.0
//! Runs a shell on a terminal: writes what a user would type, and prints what the screen shows.
//!
//! ```text
//! cargo run -p runtime-core --example terminal -- /path/to/bundle
//! ```
#![allow(clippy::print_stdout)]

use runtime_core::spec::Spec;
use runtime_core::{ContainerId, Runtime};
use std::error::Error;
use std::io::{Read, Write};

fn main() -> Result<(), Box<dyn Error>> {
    let bundle = std::env::args().nth(1).unwrap_or_else(|| ".".into());
    let runtime = Runtime::new("/run/runtime-example");
    let id = ContainerId::new(&format!("terminal-{}", std::process::id()))?;

    // `terminal` asks for one, whether config.json does or not.
    let spec = Spec::example(runtime_core::is_unified());
    let mut pending = runtime.builder(id, bundle).spec(spec).terminal().prepare()?;
    let Some(mut terminal) = pending.take_terminal() else { return Err("no terminal".into()) };
    // Before the program starts, so that it never sees another size.
    terminal.resize(24, 80)?;
    let init = pending.start()?;

    terminal.write_all(b"stty size\nexit\n")?;
    let mut screen = String::new();
    // The end of file comes when the last process has closed the terminal.
    terminal.read_to_string(&mut screen)?;
    println!("{}, screen:\n{screen}", init.wait()?);
    init.delete()?;
    Ok(())
}
