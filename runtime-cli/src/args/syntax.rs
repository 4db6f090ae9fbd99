// SPDX-License-Identifier: Apache-2.0
//! The syntax of Go's flag package, rewritten for clap. A flag has one or two dashes, its value is
//! the next word or follows `=`, letters are not bundled, and a word behind the first argument can
//! be a flag. `--` ends the flags, also directly behind the id.

use super::table::PROGRAM;
use clap::{Arg, Command};
use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};

/// A flag as it was written.
#[derive(Debug)]
pub(super) struct WrittenFlag {
    /// The word of the flag.
    pub(super) word: OsString,
    /// The name without dashes, long or short.
    pub(super) name: String,
    pub(super) value: Option<OsString>,
    /// The long name of the command's flag; `None` if the command has none of that name.
    pub(super) flag: Option<String>,
}

/// The words of a command line, sorted.
#[derive(Debug, Default)]
pub(super) struct SortedWords {
    /// The flags, up to the first that the command does not have.
    pub(super) flags: Vec<WrittenFlag>,
    /// The arguments that are no flags.
    pub(super) others: Vec<OsString>,
}

impl SortedWords {
    /// Sorts `words`. `command` says which flags there are, which of them take a value, and whether
    /// a flag can follow an argument.
    pub(super) fn sort(command: &Command, words: Vec<OsString>) -> Self {
        let flags_first = command.get_positionals().any(Arg::is_trailing_var_arg_set);
        let mut sorted = SortedWords::default();
        let mut words = words.into_iter().peekable();
        while let Some(word) = words.next() {
            if word == "--" {
                sorted.others.extend(words);
                break;
            }
            if flags_first && !is_flag(&word) {
                sorted.others.push(word);
                // `exec ID -- COMMAND`: as in runc with version 3 of urfave/cli (its main branch of
                // 2026). Behind the name of a command, the word belongs to that command.
                if command.get_name() != PROGRAM {
                    words.next_if(|word| word == "--");
                }
                sorted.others.extend(words);
                break;
            }
            if !is_flag(&word) {
                sorted.others.push(word);
                continue;
            }
            let mut written = WrittenFlag::split(&word);
            let flag = command.get_opts().find(|flag| written.names(flag));
            if written.value.is_none() && flag.is_some_and(takes_value) {
                written.value = words.next();
                if written.value.is_none() {
                    // Otherwise clap could report the arguments, and not the missing value.
                    sorted.others.clear();
                }
            }
            written.flag = flag.and_then(Arg::get_long).map(str::to_owned);
            let is_known = flag.is_some();
            sorted.flags.push(written);
            if !is_known {
                break;
            }
        }
        sorted
    }

    /// Returns the command line for clap: the flags by their long names, each in one word with its
    /// value, then `--` and the arguments.
    pub(super) fn line(&self) -> Vec<OsString> {
        let mut line = vec![OsString::new()];
        line.extend(self.flags.iter().map(WrittenFlag::rewritten));
        line.push("--".into());
        line.extend_from_slice(&self.others);
        line
    }
}

impl WrittenFlag {
    /// Returns true for the flag with this long name.
    pub(super) fn is(&self, name: &str) -> bool {
        self.flag.as_deref() == Some(name)
    }

    /// Splits a word that begins with a dash.
    fn split(word: &OsString) -> Self {
        let bytes = word.as_bytes();
        let bytes = bytes.strip_prefix(b"-").unwrap_or(bytes);
        let bytes = bytes.strip_prefix(b"-").unwrap_or(bytes);
        let mut parts = bytes.splitn(2, |byte| *byte == b'=');
        let name = String::from_utf8_lossy(parts.next().unwrap_or_default()).into_owned();
        let value = parts.next().map(|value| OsString::from_vec(value.to_vec()));
        WrittenFlag { word: word.clone(), name, value, flag: None }
    }

    fn names(&self, flag: &Arg) -> bool {
        flag.get_long() == Some(&self.name)
            || flag.get_short().is_some_and(|short| *short.encode_utf8(&mut [0; 4]) == *self.name)
    }

    fn rewritten(&self) -> OsString {
        let mut word = OsString::from("--");
        word.push(self.flag.as_ref().unwrap_or(&self.name));
        match (&self.value, &self.flag) {
            (Some(value), _) => {
                word.push("=");
                word.push(value);
            }
            // Without a name, the word would end the flags.
            (None, None) => word.push("="),
            (None, Some(_)) => {}
        }
        word
    }
}

fn is_flag(word: &OsString) -> bool {
    word.len() > 1 && word.as_bytes().starts_with(b"-")
}

/// Returns true if the value of a flag may be the next word.
pub(super) fn takes_value(flag: &Arg) -> bool {
    !flag.is_require_equals_set()
}
