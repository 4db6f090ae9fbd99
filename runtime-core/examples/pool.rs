// SPDX-License-Identifier: Apache-2.0
//! Runs 100 containers from 8 threads.
//!
//! ```text
//! cargo run -p runtime-core --example pool -- /path/to/bundle
//! ```
#![allow(clippy::print_stdout)]

use runtime_core::spec::Spec;
use runtime_core::{ContainerId, Error, Runtime, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

const CONTAINERS: usize = 100;
const THREADS: usize = 8;

fn main() -> runtime_core::Result<()> {
    let bundle = std::env::args().nth(1).unwrap_or_else(|| ".".into());
    let runtime = Runtime::new("/run/runtime-example");
    let next = AtomicUsize::new(0);

    // Takes the next number until there is none, and returns the sum of what the containers said.
    let work = || {
        let mut sum = 0;
        loop {
            let n = next.fetch_add(1, Ordering::Relaxed);
            if n >= CONTAINERS {
                return Ok::<usize, Error>(sum);
            }
            sum += one(&runtime, &bundle, n)?;
        }
    };
    let sum = thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS).map(|_| scope.spawn(work)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap_or(Ok(0))).sum::<Result<usize, _>>()
    })?;
    println!("{CONTAINERS} containers from {THREADS} threads, sum {sum}");
    Ok(())
}

fn one(runtime: &Runtime, bundle: &str, n: usize) -> runtime_core::Result<usize> {
    let mut spec = Spec::example(runtime_core::is_unified());
    if let Some(process) = &mut spec.process {
        process.terminal = false;
        process.args = ["echo".to_owned(), n.to_string()].to_vec();
    }
    let id = ContainerId::new(&format!("pool-{}-{n}", std::process::id()))?;
    let mut init = runtime.builder(id, bundle).spec(spec).stdout(Stdio::Piped).run()?;
    let output = init.wait_with_output(100)?;
    init.delete()?;
    Ok(String::from_utf8_lossy(&output.stdout).trim().parse().unwrap_or(0))
}
