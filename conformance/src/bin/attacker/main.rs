// SPDX-License-Identifier: Apache-2.0
//! The hostile program of the attacks (`tests/attacks`), run in a container or by a user of the
//! host. It is static, so a rootfs needs nothing else.
//!
//! `attacker SCORE AREA VERB ARGUMENT...` counts in the file SCORE (`conformance::score`).
#![allow(clippy::disallowed_methods, clippy::print_stdout, clippy::print_stderr)]

mod descriptors;
mod devices;
mod endings;
mod exits;
mod joined;
mod mapped;
mod memory;
mod paths;
mod privileges;
mod program;
mod secrets;
mod state;
mod support;
mod views;

use conformance::Result;
use conformance::score::Score;
use std::path::Path;
use std::process::ExitCode;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().collect();
    let words: Vec<&str> = args.iter().skip(1).map(String::as_str).collect();
    match run(&words) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("attacker: {error}");
            ExitCode::from(99)
        }
    }
}

fn run(words: &[&str]) -> Result {
    let [score, area, verb @ ..] = words else { return Err("usage: attacker SCORE AREA VERB".to_owned()) };
    let score = &Score::open(Path::new(score))?;
    match *area {
        "devices" => devices::run(score, verb),
        "joined" => joined::run(score, verb),
        "mapped" => mapped::run(score, verb),
        "memory" => memory::run(score, verb),
        "paths" => paths::run(score, verb),
        "program" => program::run(score, verb),
        "secrets" => secrets::run(score, verb),
        "descriptors" => descriptors::run(score, verb),
        "state" => state::run(score, verb),
        "endings" => endings::run(score, verb),
        "exits" => exits::run(score, verb),
        "views" => views::run(score, verb),
        "privileges" => privileges::run(score, verb),
        _ => Err(format!("no such area: {area}")),
    }
}
