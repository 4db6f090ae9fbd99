// SPDX-License-Identifier: Apache-2.0
//! What is measured: runtimes, and the two programs that they are held against.

use conformance::{Doing, Result, bundle, ensure};
use std::fs::File;
use std::path::PathBuf;

/// A program.
#[derive(Clone, Debug)]
pub(crate) struct Contender {
    pub(crate) name: String,
    pub(crate) program: PathBuf,
    pub(crate) role: Role,
}

/// What it can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// Everything.
    Runtime,
    /// `run`, with as little work as possible.
    Floor,
    /// It starts and exits.
    Nothing,
}

impl Contender {
    /// See [`conformance::runtime::named`].
    pub(crate) fn runtime(argument: &str) -> Result<Self> {
        let (name, program) = conformance::runtime::named(argument)?;
        // What is not on the disk yet would count as memory of its own.
        File::open(&program).and_then(|file| file.sync_all()).doing(argument)?;
        Ok(Contender { name, program, role: Role::Runtime })
    }

    /// The two programs that runtimes are held against, as they were built with this one.
    pub(crate) fn measures() -> Result<[Self; 2]> {
        Self::each_measure(|name| (name.to_owned(), bundle::beside(name)))
    }

    /// Those of another build, in a directory: `NAME=DIRECTORY`.
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
