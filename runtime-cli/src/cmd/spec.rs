// SPDX-License-Identifier: Apache-2.0
//! `spec`.

use super::context::CommandContext;
use crate::args::flags::{BUNDLE, SPEC_ROOTLESS};
use crate::failure::Failure;
use runtime_core::spec::Spec;
use serde::Serialize;
use std::fs::OpenOptions;
use std::io::{ErrorKind, Write};
use std::path::Path;

pub(super) fn spec(context: &CommandContext<'_>) -> Result<u8, Failure> {
    let bundle = context.flags.path(BUNDLE).unwrap_or(Path::new("."));
    if let Err(error) = std::fs::read_dir(bundle) {
        return Err(Failure::io(format_args!("chdir {}", bundle.display()), &error));
    }
    let mut spec = Spec::example(runtime_core::is_unified());
    if context.flags.is_set(SPEC_ROOTLESS) {
        spec = spec.into_rootless(nix::unistd::geteuid().as_raw(), nix::unistd::getegid().as_raw());
    }
    let mut json = Vec::new();
    let tabs = serde_json::ser::PrettyFormatter::with_indent(b"\t");
    spec.serialize(&mut serde_json::Serializer::with_formatter(&mut json, tabs))
        .map_err(|error| Failure::new(error.to_string()))?;
    let file = OpenOptions::new().write(true).create_new(true).open(bundle.join("config.json"));
    match file.and_then(|mut file| file.write_all(&json)) {
        Ok(()) => Ok(0),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            Err(Failure::new("File config.json exists. Remove it first"))
        }
        Err(error) => Err(Failure::io("write config.json", &error)),
    }
}
