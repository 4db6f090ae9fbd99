// SPDX-License-Identifier: Apache-2.0
//! The command line: the parser never panics, and finds the same flags and arguments again if they
//! are written in one way, `--flag=value` in front of all arguments.
#![no_main]
#![allow(dead_code)]

#[path = "../../runtime-cli/src/args/mod.rs"]
mod args;

use args::flags::{Integer, Integers, Switch, Text, Texts};
use args::{Request, Values, table};
use libfuzzer_sys::fuzz_target;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStringExt;
use std::sync::LazyLock;

/// A flag, in the type by which commands ask for it.
enum Flag {
    Switch(Switch),
    Text(Text),
    Texts(Texts),
    Integer(Integer),
    Integers(Integers),
}

/// The flags of the program, and of each command by its name. (The types of flags have static names,
/// and those of a command of clap are only built.)
static GLOBALS: LazyLock<Vec<Flag>> = LazyLock::new(|| flags(&table::program()));
static FLAGS: LazyLock<Vec<(&str, Vec<Flag>)>> =
    LazyLock::new(|| table::COMMANDS.iter().map(|entry| (entry.name, flags(&entry.command()))).collect());

fn flags(command: &clap::Command) -> Vec<Flag> {
    let flags = command.get_arguments().filter(|arg| !arg.is_positional());
    let flags = flags.filter(|arg| !["help", "version"].contains(&arg.get_id().as_str()));
    flags
        .map(|arg| {
            let name: &'static str = arg.get_id().as_str().to_owned().leak();
            let names: &'static [&'static str] = vec![name].leak();
            let many = matches!(arg.get_action(), clap::ArgAction::Append);
            let kind = arg.get_value_names().unwrap_or_default();
            match (kind.first().map(|kind| kind.as_str()), many) {
                (Some("bool"), _) => Flag::Switch(Switch(names)),
                (Some("int"), false) => Flag::Integer(Integer(names)),
                (Some("int"), true) => Flag::Integers(Integers(names)),
                (_, false) => Flag::Text(Text(names)),
                (_, true) => Flag::Texts(Texts(names)),
            }
        })
        .collect()
}

/// Writes the flags that were given as `--flag=value`.
fn write(flags: &[Flag], values: &Values, line: &mut Vec<OsString>) {
    let mut add = |name: &str, value: &OsStr| {
        let mut word = OsString::from(format!("--{name}="));
        word.push(value);
        line.push(word);
    };
    for flag in flags {
        match *flag {
            Flag::Switch(flag) => {
                values.switch(flag).into_iter().for_each(|value| add(flag.name(), value.to_string().as_ref()))
            }
            Flag::Text(flag) => values.get(flag).into_iter().for_each(|value| add(flag.name(), value)),
            Flag::Texts(flag) => values.texts(flag).for_each(|value| add(flag.name(), value)),
            Flag::Integer(flag) => values
                .integer(flag)
                .into_iter()
                .for_each(|value| add(flag.name(), value.to_string().as_ref())),
            Flag::Integers(flag) => {
                values.integers(flag).for_each(|value| add(flag.name(), value.to_string().as_ref()));
            }
        }
    }
}

/// Writes a parsed command line in one way. Returns `None` for an error, and for help and the version.
fn written(words: Vec<OsString>) -> Option<Vec<OsString>> {
    let argv0 = words.first().cloned().unwrap_or_default();
    let invocation = match args::parse(words) {
        Ok(invocation) => invocation,
        Err(usage) => {
            assert!(!usage.text().is_empty() && usage.status() != 0);
            return None;
        }
    };
    let mut line = vec![argv0];
    write(&GLOBALS, &invocation.globals, &mut line);
    match invocation.request {
        Request::Version => None,
        Request::Help(topic) => {
            assert!(args::help(&invocation.program, topic).contains("USAGE:"));
            None
        }
        Request::Run(call) => {
            line.push(call.command.name.into());
            let flags = FLAGS.iter().find(|(name, _)| *name == call.command.name).map(|(_, flags)| flags);
            write(flags.unwrap(), &call.flags, &mut line);
            line.push("--".into());
            line.extend(call.arguments);
            Some(line)
        }
    }
}

fuzz_target!(|bytes: &[u8]| {
    let words = bytes.split(|byte| *byte == 0).map(|word| OsString::from_vec(word.to_vec())).collect();
    if let Some(line) = written(words) {
        assert_eq!(written(line.clone()), Some(line));
    }
});
