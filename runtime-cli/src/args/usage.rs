// SPDX-License-Identifier: Apache-2.0
//! Errors of the arguments: clap's kinds of error, in the words and with the statuses of runc.

use super::help::help;
use super::syntax::{SortedWords, WrittenFlag};
use super::table::{COMMANDS, Entry};
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Arg, Command, Error};
use std::error::Error as _;

/// Returns the command of that name.
pub(super) fn find(name: &str) -> Option<&'static Entry> {
    COMMANDS.iter().find(|entry| entry.name == name)
}

/// An error of the arguments.
#[derive(Debug)]
pub(crate) struct Usage {
    program: String,
    kind: UsageKind,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum UsageKind {
    /// A wrong flag, of a command or of the program.
    Flag {
        command: Option<&'static str>,
        text: String,
        /// The nearest flag, or the expected values.
        hint: Option<String>,
    },
    /// A wrong number of arguments.
    Count {
        command: &'static str,
        text: String,
    },
    UnknownCommand(String),
}

impl Usage {
    pub(super) fn new(program: String, kind: UsageKind) -> Self {
        Usage { program, kind }
    }

    #[cfg(test)]
    pub(super) fn into_kind(self) -> UsageKind {
        self.kind
    }

    /// Returns the text of the error.
    pub(crate) fn text(&self) -> String {
        match &self.kind {
            UsageKind::Flag { text, .. } | UsageKind::Count { text, .. } => text.clone(),
            UsageKind::UnknownCommand(name) => format!("No help topic for '{name}'"),
        }
    }

    /// Returns two texts to print before the error: for standard output, and for standard error.
    pub(crate) fn advice(&self) -> (String, String) {
        let help_for = |name: Option<&str>| help(&self.program, name.and_then(find));
        match &self.kind {
            UsageKind::Flag { command, text, .. } => {
                (help_for(*command), format!("Incorrect Usage: {text}\n\n"))
            }
            UsageKind::Count { command, .. } => {
                (format!("Incorrect Usage.\n\n{}", help_for(Some(command))), String::new())
            }
            UsageKind::UnknownCommand(_) => (String::new(), String::new()),
        }
    }

    /// Returns a line to print behind the error, which runc does not have: the nearest name, or the
    /// values that a flag takes.
    pub(crate) fn hint(&self) -> Option<String> {
        match &self.kind {
            UsageKind::Flag { hint, .. } => hint.clone(),
            UsageKind::Count { .. } => None,
            UsageKind::UnknownCommand(name) => nearest_command(name).map(|nearest| did_you_mean(&nearest)),
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

impl UsageKind {
    /// Translates an error about the sorted words of a command, or of the program without an
    /// `entry`.
    pub(super) fn of(
        error: &Error,
        command: &Command,
        entry: Option<&'static Entry>,
        words: &SortedWords,
        argv0: &str,
    ) -> Self {
        let name = entry.map(|entry| entry.name);
        let wrong = |text, hint| UsageKind::Flag { command: name, text, hint };
        // The sorting ends with a flag that the command does not have.
        let unknown = words.flags.last().filter(|written| written.flag.is_none());
        match (error.kind(), unknown) {
            (ErrorKind::UnknownArgument, Some(WrittenFlag { name, .. })) => {
                let text = format!("flag provided but not defined: -{name}");
                wrong(text, context(error, ContextKind::SuggestedArg).map(|nearest| did_you_mean(&nearest)))
            }
            (ErrorKind::ValueValidation, _) => {
                let value = context(error, ContextKind::InvalidValue).unwrap_or_default();
                let flag = context(error, ContextKind::InvalidArg).unwrap_or_default();
                let flag = command.get_opts().find(|known| shows(&flag, known));
                let name = flag.and_then(|flag| first_written(words, flag, &value)).unwrap_or_default();
                let why = error.source().map(ToString::to_string).unwrap_or_default();
                wrong(format!("invalid value {value:?} for flag -{name}: {why}"), flag.and_then(expected))
            }
            (ErrorKind::InvalidValue, _) => {
                let written = words.flags.last().map(|written| written.word.to_string_lossy());
                wrong(format!("flag needs an argument: {}", written.unwrap_or_default()), None)
            }
            _ => UsageKind::Count {
                command: name.unwrap_or_default(),
                text: wrong_count(command, argv0, words),
            },
        }
    }
}

/// Returns true if `text` is how clap shows a flag: `--name`, and what it takes.
fn shows(text: &str, flag: &Arg) -> bool {
    text.strip_prefix("--").and_then(|text| text.split(['[', '=', ' ']).next()) == flag.get_long()
}

/// Returns the name, as it was written, of the first flag with this value, at which clap stopped.
fn first_written<'w>(words: &'w SortedWords, flag: &Arg, value: &str) -> Option<&'w str> {
    let has_value =
        |written: &WrittenFlag| written.value.as_ref().is_some_and(|given| given.to_string_lossy() == value);
    let mut written = words.flags.iter().filter(|written| written.flag.as_deref() == flag.get_long());
    written.find(|written| has_value(written)).map(|written| written.name.as_str())
}

/// Says which values a flag takes.
fn expected(flag: &Arg) -> Option<String> {
    let name = flag.get_long()?;
    let values = match flag.get_value_names()?.first()?.as_str() {
        "bool" => "true or false, as in --force=true, or none",
        "int" => "an integer",
        _ => return None,
    };
    Some(format!("--{name} takes {}", values.replace("force", name)))
}

fn wrong_count(command: &Command, argv0: &str, words: &SortedWords) -> String {
    let range = command.get_positionals().find_map(Arg::get_num_args);
    let (least, most) = range.map_or((0, 0), |range| (range.min_values(), range.max_values()));
    let what = if least == most {
        format!("requires exactly {least} argument(s)")
    } else if words.others.len() < least {
        format!("requires a minimum of {least} argument(s)")
    } else {
        format!("requires a maximum of {most} argument(s)")
    };
    format!("{argv0}: {:?} {what}", command.get_name())
}

/// Asks clap for the command with the most similar name.
fn nearest_command(name: &str) -> Option<String> {
    let all = Command::new("").subcommands(COMMANDS.iter().map(|entry| Command::new(entry.name)));
    let error = all.try_get_matches_from(["", name]).err()?;
    context(&error, ContextKind::SuggestedSubcommand)
}

fn did_you_mean(nearest: &str) -> String {
    format!("did you mean {nearest:?}?")
}

/// Returns a detail of an error. Of several names, the last is the most similar.
fn context(error: &Error, kind: ContextKind) -> Option<String> {
    match error.get(kind)? {
        ContextValue::String(text) => Some(text.clone()),
        ContextValue::Strings(texts) => texts.last().cloned(),
        _ => None,
    }
}
