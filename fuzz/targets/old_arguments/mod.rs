// SPDX-License-Identifier: Apache-2.0
//! The parser that the program had before clap: the oracle of the fuzz target `arguments`. Its logic
//! does not change; its table and its help have the texts of the program's.
//!
//! The arguments of the program, in the style of Go's flag package, which callers of runc use
//! (docs/decisions/arguments.md): `--flag value` and `--flag=value`, each also with one dash;
//! `=true` and `=false` for switches. Letters are not bundled (`-ab`), and a comma is a part of
//! the value.
//!
//! The parser is pure: it reads neither files nor the environment.

pub(crate) mod flags;
mod help;
pub(crate) mod table;
pub(crate) mod values;

pub(crate) use help::help;
pub(crate) use values::Values;

use flags::{Flag, Takes};
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use table::{COMMANDS, Command, GLOBALS, Order};
use values::check_value;

/// The parsed arguments of the program.
#[derive(Debug)]
pub(crate) struct Invocation {
    /// The base name of the program file. Messages and the version begin with it.
    pub(crate) program: String,
    pub(crate) globals: Values,
    pub(crate) request: Request,
}

#[derive(Debug)]
pub(crate) enum Request {
    /// The help of a command, or of the program.
    Help(Option<&'static Command>),
    Version,
    Run(Call),
}

/// A command with its flags and arguments.
#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) command: &'static Command,
    pub(crate) flags: Values,
    pub(crate) arguments: Vec<OsString>,
}

/// An error of the arguments.
#[derive(Debug)]
pub(crate) struct Usage {
    program: String,
    kind: UsageKind,
}

#[derive(Debug, PartialEq, Eq)]
enum UsageKind {
    /// A wrong flag, of a command or of the program.
    Flag {
        command: Option<&'static str>,
        text: String,
    },
    /// A wrong number of arguments.
    Count {
        command: &'static str,
        text: String,
    },
    UnknownCommand(String),
}

impl Usage {
    /// Returns the text of the error.
    pub(crate) fn text(&self) -> String {
        match &self.kind {
            UsageKind::Flag { text, .. } | UsageKind::Count { text, .. } => text.clone(),
            UsageKind::UnknownCommand(name) => format!("No help topic for '{name}'"),
        }
    }

    /// Returns two texts to print with the error: for standard output, and for standard error.
    pub(crate) fn advice(&self) -> (String, String) {
        let help_for = |name: Option<&str>| help(&self.program, name.and_then(find_command));
        match &self.kind {
            UsageKind::Flag { command, text } => (help_for(*command), format!("Incorrect Usage: {text}\n\n")),
            UsageKind::Count { command, .. } => {
                (format!("Incorrect Usage.\n\n{}", help_for(Some(command))), String::new())
            }
            UsageKind::UnknownCommand(_) => (String::new(), String::new()),
        }
    }

    /// Returns the exit status.
    pub(crate) fn status(&self) -> u8 {
        match self.kind {
            UsageKind::UnknownCommand(_) => 3,
            _ => 1,
        }
    }
}

fn find_command(name: &str) -> Option<&'static Command> {
    COMMANDS.iter().find(|command| command.name == name)
}

/// Parses the arguments of the program. The first is the program's name.
pub(crate) fn parse(args: impl IntoIterator<Item = OsString>) -> Result<Invocation, Usage> {
    let mut args = args.into_iter();
    let argv0 = args.next().unwrap_or_default();
    let name = std::path::Path::new(&argv0).file_name().unwrap_or(OsStr::new("runtime-cli"));
    let program = name.to_string_lossy().into_owned();
    let args: Vec<OsString> = args.collect();
    match parse_all(&args, &argv0.to_string_lossy()) {
        Ok((globals, request)) => Ok(Invocation { program, globals, request }),
        Err(kind) => Err(Usage { program, kind }),
    }
}

fn parse_all(args: &[OsString], argv0: &str) -> Result<(Values, Request), UsageKind> {
    let wrong = |text| UsageKind::Flag { command: None, text };
    let (globals, mut rest) = parse_flags(args, GLOBALS, Order::FlagsFirst).map_err(wrong)?;
    if globals.help {
        return Ok((globals.values, Request::Help(None)));
    }
    if globals.version {
        return Ok((globals.values, Request::Version));
    }
    if rest.is_empty() {
        return Ok((globals.values, Request::Help(None)));
    }
    let name = rest.remove(0).to_string_lossy().into_owned();
    if name == "help" || name == "h" {
        let topic = rest.first().map(|topic| topic.to_string_lossy().into_owned());
        let command = match topic {
            None => None,
            Some(topic) => Some(find_command(&topic).ok_or(UsageKind::UnknownCommand(topic))?),
        };
        return Ok((globals.values, Request::Help(command)));
    }
    let Some(command) = find_command(&name) else { return Err(UsageKind::UnknownCommand(name)) };
    let (flags, arguments) = parse_flags(&rest, command.flags, command.order)
        .map_err(|text| UsageKind::Flag { command: Some(command.name), text })?;
    if flags.help {
        return Ok((globals.values, Request::Help(Some(command))));
    }
    check_count(command, arguments.len(), argv0)?;
    Ok((globals.values, Request::Run(Call { command, flags: flags.values, arguments })))
}

fn check_count(command: &'static Command, given: usize, argv0: &str) -> Result<(), UsageKind> {
    let (least, most) = command.arguments;
    let what = if least == most && given != least {
        format!("requires exactly {least} argument(s)")
    } else if given < least {
        format!("requires a minimum of {least} argument(s)")
    } else if given > most {
        format!("requires a maximum of {most} argument(s)")
    } else {
        return Ok(());
    };
    Err(UsageKind::Count { command: command.name, text: format!("{argv0}: {:?} {what}", command.name) })
}

struct Parsed {
    values: Values,
    help: bool,
    version: bool,
}

/// Splits `args` into flags, which must be in `known`, and other arguments.
fn parse_flags(
    args: &[OsString],
    known: &'static [Flag],
    order: Order,
) -> Result<(Parsed, Vec<OsString>), String> {
    let mut parsed = Parsed { values: Values::new(known), help: false, version: false };
    let mut others = Vec::new();
    let mut args = args.iter();
    while let Some(arg) = args.next() {
        let bytes = arg.as_bytes();
        if bytes == b"--" {
            others.extend(args.cloned());
            break;
        }
        let Some(name) = bytes.strip_prefix(b"-").filter(|name| !name.is_empty()) else {
            others.push(arg.clone());
            if order == Order::FlagsFirst {
                let mut args = args.as_slice();
                // Not in the parser of before: the program has learnt it since.
                if let (false, [first, rest @ ..]) = (std::ptr::eq(known, GLOBALS), args) {
                    args = if first == "--" { rest } else { args };
                }
                others.extend(args.iter().cloned());
                break;
            }
            continue;
        };
        let name = name.strip_prefix(b"-").unwrap_or(name);
        let (name, value) = match name.iter().position(|b| *b == b'=') {
            Some(at) => (name.get(..at).unwrap_or_default(), name.get(at + 1..)),
            None => (name, None),
        };
        let text = String::from_utf8_lossy(name);
        match text.as_ref() {
            "h" | "help" => {
                parsed.help = true;
                continue;
            }
            "v" | "version" if std::ptr::eq(known, GLOBALS) => {
                parsed.version = true;
                continue;
            }
            _ => {}
        }
        let Some(flag) = known.iter().find(|flag| flag.names.contains(&text.as_ref())) else {
            return Err(format!("flag provided but not defined: -{text}"));
        };
        let value = match (value, flag.takes) {
            (Some(value), _) => OsString::from_vec(value.to_vec()),
            (None, Takes::Nothing) => OsString::from("true"),
            (None, _) => match args.next() {
                Some(value) => value.clone(),
                None => return Err(format!("flag needs an argument: {}", arg.to_string_lossy())),
            },
        };
        check_value(flag, &value)
            .map_err(|why| format!("invalid value {:?} for flag -{text}: {why}", value.to_string_lossy()))?;
        parsed.values.push(flag, value);
    }
    Ok((parsed, others))
}
