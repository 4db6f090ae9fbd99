// SPDX-License-Identifier: Apache-2.0
//! The log, in the two formats that engines read: the text of logrus, and JSON lines.

use crate::args::Values;
use crate::args::flags::{DEBUG, LOG, LOG_FORMAT};
use crate::failure::io_text;
use crate::output;
use std::cell::RefCell;
use std::fs::{File, OpenOptions};
use std::io::{IsTerminal, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::time::SystemTime;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Format {
    Text,
    Json,
}

/// The log of the program.
#[derive(Debug)]
pub(crate) struct Log {
    /// The log file, `None` for standard error.
    file: Option<RefCell<File>>,
    format: Format,
    debug: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Level {
    Debug,
    Warning,
    Error,
}

impl Level {
    fn name(self) -> &'static str {
        match self {
            Level::Debug => "debug",
            Level::Warning => "warning",
            Level::Error => "error",
        }
    }
}

/// A log that cannot be opened.
#[derive(Debug)]
pub(crate) struct LogError(String);

impl std::fmt::Display for LogError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl Log {
    /// Opens the log that the global flags name. Lines are appended to the file.
    pub(crate) fn open(globals: &Values) -> Result<Self, LogError> {
        let format = match globals.get(LOG_FORMAT).map(|f| f.to_string_lossy()).as_deref() {
            None | Some("" | "text") => Format::Text,
            Some("json") => Format::Json,
            Some(other) => return Err(LogError(format!("invalid log-format: {other}"))),
        };
        let file = match globals.path(LOG) {
            None => None,
            Some(path) => {
                let opened = OpenOptions::new()
                    .create(true)
                    .append(true)
                    .mode(0o644)
                    .custom_flags(nix::libc::O_SYNC)
                    .open(path)
                    .map_err(|error| LogError(format!("open {}: {}", path.display(), io_text(&error))))?;
                Some(RefCell::new(opened))
            }
        };
        Ok(Log { file, format, debug: globals.is_set(DEBUG) })
    }

    /// Returns a log on standard error, for errors before the flags are parsed.
    pub(crate) fn to_stderr() -> Self {
        Log { file: None, format: Format::Text, debug: false }
    }

    pub(crate) fn is_debug(&self) -> bool {
        self.debug
    }

    pub(crate) fn debug(&self, message: &str) {
        if self.debug {
            self.line(Level::Debug, message);
        }
    }

    pub(crate) fn warning(&self, message: &str) {
        self.line(Level::Warning, message);
    }

    /// Logs a hint about an error that is printed in one line, as runc prints it. A program that reads
    /// standard error gets the hint only with --debug.
    pub(crate) fn hint(&self, message: &str) {
        if self.debug || self.file.is_some() || std::io::stderr().is_terminal() {
            self.warning(message);
        }
    }

    /// Logs the error that ends the program. If the log is a file, the text goes to standard error
    /// too, where conmon and users look for it.
    pub(crate) fn fatal(&self, message: &str) {
        self.line(Level::Error, message);
        if self.file.is_some() {
            output::print_error(&format!("{}\n", escape(message)));
        }
    }

    fn line(&self, level: Level, message: &str) {
        let time = humantime::format_rfc3339_seconds(SystemTime::now()).to_string();
        let line = match self.format {
            Format::Json => json(level, message, &time),
            Format::Text if self.file.is_none() && std::io::stderr().is_terminal() => {
                format!("{:.4}[{time}] {}\n", level.name().to_ascii_uppercase(), escape(message))
            }
            Format::Text => format!("time={time:?} level={} msg={}\n", level.name(), quote(message)),
        };
        match &self.file {
            None => output::print_error(&line),
            Some(file) => {
                // A failure is ignored: a full disk must not keep a container from running. A fatal
                // error is on standard error too.
                runtime_sys::ignore(file.borrow_mut().write_all(line.as_bytes()));
            }
        }
    }
}

/// Returns a line of JSON: one object with sorted keys.
fn json(level: Level, message: &str, time: &str) -> String {
    #[derive(serde::Serialize)]
    struct LogLine<'a> {
        level: &'a str,
        msg: &'a str,
        time: &'a str,
    }
    let line = LogLine { level: level.name(), msg: message, time };
    serde_json::to_string(&line).unwrap_or_default() + "\n"
}

/// Quotes a text as logrus does. Plain text stays unquoted, other text is quoted like Go's %q.
fn quote(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-._/@^+".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        return text.to_owned();
    }
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match c {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '\n' => quoted.push_str("\\n"),
            '\r' => quoted.push_str("\\r"),
            '\t' => quoted.push_str("\\t"),
            c => push_escaped(&mut quoted, c),
        }
    }
    quoted.push('"');
    quoted
}

/// Escapes a message for a terminal, except newlines and tabs. The message may contain the output
/// of a hook, and so escape sequences of a program of the image.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\n' | '\t' => escaped.push(c),
            c => push_escaped(&mut escaped, c),
        }
    }
    escaped
}

/// Appends a character. Escapes a control character (C0 or C1), and a character that changes the
/// direction of text, as Go's %q does.
fn push_escaped(text: &mut String, c: char) {
    let turns =
        matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    match c as u32 {
        code if c.is_ascii_control() => text.push_str(&format!("\\x{code:02x}")),
        code if c.is_control() || turns => text.push_str(&format!("\\u{code:04x}")),
        _ => text.push(c),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_for_terminals_are_escaped() {
        let text = "a\tb\n\u{1b}]0;c\u{7}\r\u{9b}2J\u{202e}d\u{2068}ä\u{7f}";
        assert_eq!(escape(text), "a\tb\n\\x1b]0;c\\x07\\x0d\\u009b2J\\u202ed\\u2068ä\\x7f");
        assert_eq!(quote("\u{1b}\u{9b}\u{202e}\r"), "\"\\x1b\\u009b\\u202e\\r\"");
    }

    #[test]
    fn lines_are_those_that_engines_parse() {
        assert_eq!(quote("plain/path-1.0"), "plain/path-1.0");
        assert_eq!(quote(""), "\"\"");
        assert_eq!(quote("exec: \"x\"\n\u{1}ä"), "\"exec: \\\"x\\\"\\n\\x01ä\"");
        assert_eq!(
            json(Level::Error, "a \"b\"", "2026-01-02T03:04:05Z"),
            "{\"level\":\"error\",\"msg\":\"a \\\"b\\\"\",\"time\":\"2026-01-02T03:04:05Z\"}\n"
        );
    }
}
