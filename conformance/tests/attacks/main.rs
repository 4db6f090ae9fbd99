// SPDX-License-Identifier: Apache-2.0
//! Attacks on the runtime that RUNTIME names, by programs in its containers and by users of its
//! host, while it creates, executes, kills and deletes:
//!
//! ```text
//! RUNTIME=/usr/bin/runc TRIES=10000 cargo test -p conformance --test attacks [NAME]
//! ```
//!
//! An attack fails the run if one try succeeds, or if the attacker never was in the position to
//! succeed. Root is needed. OUTCOMES names a file for the counts.
#![allow(clippy::disallowed_methods, clippy::print_stdout, clippy::print_stderr)]

mod arena;
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
mod views;
mod volumes;
mod waits;

use arena::{Attack, Ground};
use conformance::attack::{self, AttackOutcome, Count};
use conformance::host::{self, HostSnapshot};
use conformance::{Result, ensure};
use libtest_mimic::{Arguments, Failed, Trial};
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};

fn main() -> ExitCode {
    let mut arguments = Arguments::from_args();
    // The attacks share the host.
    arguments.test_threads = Some(1);
    let prepared = host::isolate().and_then(|()| Ok((host::only_one()?, Ground::new()?)));
    let (_lock, ground) = match prepared {
        Ok((lock, ground)) => (lock, Arc::new(ground)),
        Err(error) => {
            let trial = Trial::test("isolation", move || Err(Failed::from(error)));
            return libtest_mimic::run(&arguments, vec![trial]).exit_code();
        }
    };
    let areas = [
        ("program", program::ATTACKS),
        ("paths", paths::ATTACKS),
        ("devices", devices::ATTACKS),
        ("secrets", secrets::ATTACKS),
        ("descriptors", descriptors::ATTACKS),
        ("state", state::ATTACKS),
        ("endings", endings::ATTACKS),
        ("privileges", privileges::ATTACKS),
        ("joined", joined::ATTACKS),
        ("mapped", mapped::ATTACKS),
        ("volumes", volumes::ATTACKS),
        ("waits", waits::ATTACKS),
        ("views", views::ATTACKS),
        ("exits", exits::ATTACKS),
        ("memory", memory::ATTACKS),
    ];
    let outcomes = Arc::new(Mutex::new(Vec::new()));
    let mut trials = Vec::new();
    for (area, attacks) in areas {
        for attack in attacks {
            let (outcomes, ground) = (Arc::clone(&outcomes), Arc::clone(&ground));
            trials.push(Trial::test(format!("{area}::{}", attack.name), move || {
                let count = make(attack, &ground);
                outcomes.lock().unwrap_or_else(PoisonError::into_inner).push(AttackOutcome {
                    area: area.into(),
                    name: attack.name.into(),
                    stands_for: attack.stands_for.into(),
                    count: count.clone(),
                });
                let count = count.map_err(Failed::from)?;
                match count.successes {
                    0 => Ok(()),
                    _ => Err(Failed::from(format!("{count}\n\nIt stands for:\n  {}", attack.stands_for))),
                }
            }));
        }
    }
    let conclusion = libtest_mimic::run(&arguments, trials);
    let outcomes = outcomes.lock().unwrap_or_else(PoisonError::into_inner);
    let counts = || outcomes.iter().filter_map(|outcome| outcome.count.as_ref().ok());
    let (tries, successes): (u64, u64) = counts().fold((0, 0), |(t, s), c| (t + c.tries, s + c.successes));
    println!("{} attacks, {tries} tries, {successes} successes", counts().count());
    if let Some(path) = std::env::var_os(attack::VARIABLE)
        && let Err(error) = attack::write(path.as_ref(), &outcomes)
    {
        eprintln!("{error}");
        return ExitCode::FAILURE;
    }
    conclusion.exit_code()
}

/// Makes the tries of an attack. Changes of the host count as successes.
fn make(attack: &Attack, ground: &Ground) -> Result<Count> {
    let arena = ground.arena()?;
    let before = HostSnapshot::take()?;
    let result = (attack.run)(&arena);
    let damage = arena.damage();
    // An overwritten program could delete nothing.
    arena.repair()?;
    arena.delete_all();
    let left = before.check(&arena.runtime);
    before.restore();
    let mut count = result?;
    damage.into_iter().for_each(|evidence| count.success(evidence));
    if count.successes == 0 {
        left?;
    }
    ensure!(count.near > 0, "the attacker was never near: the attack shows nothing ({count})");
    Ok(count)
}
