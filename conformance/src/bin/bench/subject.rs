// SPDX-License-Identifier: Apache-2.0
//! What is measured: runtimes, and the two programs that they are held against.

use conformance::{Doing, Result, bundle, ensure};
use std::fs::File;
use std::path::{Path, PathBuf};

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
    /// `NAME=PATH`, or a path whose last component is the name.
    pub(crate) fn runtime(argument: &str) -> Result<Self> {
        let (name, path) = match argument.split_once('=') {
            Some((name, path)) => (name.to_owned(), path),
            None => {
                let name = Path::new(argument).file_name().unwrap_or_default();
                (name.to_string_lossy().into_owned(), argument)
            }
        };
        ensure!(Path::new(path).is_file(), "there is no runtime {path}");
        // What is not on the disk yet would count as memory of its own.
        File::open(path).and_then(|file| file.sync_all()).doing(path)?;
        let program = std::path::absolute(path).map_err(|error| format!("{path}: {error}"))?;
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
