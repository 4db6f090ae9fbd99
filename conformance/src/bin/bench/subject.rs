// SPDX-License-Identifier: Apache-2.0
//! What is measured: runtimes, and the two programs that they are held against.

use conformance::{Doing, Result, bundle, ensure};
use std::fs::File;
use std::path::PathBuf;

/// A program.
#[derive(Clone, Debug)]
pub(crate) struct Subject {
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

impl Subject {
    /// See [`conformance::runtime::named`].
    pub(crate) fn runtime(argument: &str) -> Result<Self> {
        let (name, program) = conformance::runtime::named(argument)?;
        // What is not on the disk yet would count as memory of its own.
        File::open(&program).and_then(|file| file.sync_all()).doing(argument)?;
        Ok(Subject { name, program, role: Role::Runtime })
    }

    pub(crate) fn floor() -> Result<Self> {
        Self::own("floor", Role::Floor)
    }

    pub(crate) fn nothing() -> Result<Self> {
        Self::own("nothing", Role::Nothing)
    }

    fn own(name: &str, role: Role) -> Result<Self> {
        let program = bundle::beside(name);
        ensure!(program.is_file(), "{} is missing: build all programs of conformance", program.display());
        Ok(Subject { name: name.to_owned(), program, role })
    }
}
