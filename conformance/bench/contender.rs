// SPDX-License-Identifier: Apache-2.0
//! The contenders: runtimes, and the two programs that they are compared with.

use conformance::{Doing, Result, bundle, ensure};
use std::fs::File;
use std::path::PathBuf;

/// A measured program.
#[derive(Clone, Debug)]
pub(crate) struct Contender {
    pub(crate) name: String,
    pub(crate) program: PathBuf,
    pub(crate) role: Role,
}

/// The operations that a contender has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// All operations.
    Runtime,
    /// `run` alone, with as little work as possible.
    Floor,
    /// None: the program starts and exits.
    Nothing,
}

impl Contender {
    /// A runtime of the command line, as [`conformance::runtime::named`] reads it.
    pub(crate) fn runtime(argument: &str) -> Result<Self> {
        let (name, program) = conformance::runtime::named(argument)?;
        // Pages that are not on the disk yet would count as the program's private memory.
        File::open(&program).and_then(|file| file.sync_all()).doing(argument)?;
        Ok(Contender { name, program, role: Role::Runtime })
    }

    /// Returns the floor and "nothing" that were built with this program.
    pub(crate) fn measures() -> Result<[Self; 2]> {
        Self::each_measure(|name| (name.to_owned(), bundle::beside(name)))
    }

    /// Returns the floor and "nothing" of another build: `NAME=DIRECTORY`.
    pub(crate) fn measures_of(argument: &str) -> Result<[Self; 2]> {
        let (build, directory) = argument.split_once('=').ok_or("expected NAME=DIRECTORY")?;
        let directory = std::path::absolute(directory).doing(directory)?;
        Self::each_measure(|name| (format!("{name} ({build})"), directory.join(name)))
    }

    fn each_measure(find: impl Fn(&str) -> (String, PathBuf)) -> Result<[Self; 2]> {
        let contender = |name, role| {
            let (name, program) = find(name);
            ensure!(program.is_file(), "{} is missing: build all programs of conformance", program.display());
            Ok(Contender { name, program, role })
        };
        Ok([contender("floor", Role::Floor)?, contender("nothing", Role::Nothing)?])
    }
}
