// SPDX-License-Identifier: Apache-2.0
//! `events`.

use super::context::CommandContext;
use crate::args::flags::{INTERVAL, STATS};
use crate::failure::Failure;
use runtime_core::Event;
use runtime_core::stats::Stats;
use serde::Serialize;
use std::io::Write;
use std::time::Duration;

/// One line of output.
#[derive(Serialize)]
struct EventLine<'a> {
    #[serde(rename = "type")]
    kind: &'a str,
    id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<&'a Stats>,
}

pub(super) fn events(context: &CommandContext<'_>) -> Result<u8, Failure> {
    let container = context.container()?;
    let interval = match context.flags.get(INTERVAL).map(|text| text.to_string_lossy()) {
        None => Duration::from_secs(5),
        Some(text) => parse_interval(&text)?,
    };
    if context.flags.is_set(STATS) {
        print(&container.id().to_string(), &Event::Stats(Box::new(container.stats()?)))?;
        return Ok(0);
    }
    for event in container.events(interval)? {
        print(&container.id().to_string(), &event?)?;
    }
    Ok(0)
}

/// Prints an event. Fails if the reader is gone, and the failure ends the command.
fn print(id: &str, event: &Event) -> Result<(), Failure> {
    let line = match event {
        Event::Stats(stats) => EventLine { kind: "stats", id, data: Some(stats) },
        Event::OutOfMemory => EventLine { kind: "oom", id, data: None },
        // runc's output has no other events.
        _ => return Ok(()),
    };
    let text = serde_json::to_string(&line).unwrap_or_default() + "\n";
    let mut stdout = std::io::stdout();
    let written = stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush());
    written.map_err(|error| Failure::io("write", &error))
}

fn parse_interval(text: &str) -> Result<Duration, Failure> {
    match parse_duration(text) {
        None => {
            Err(Failure::new(format!("invalid value {text:?} for flag -interval: not a duration such as 5s")))
        }
        Some(seconds) if seconds <= 0.0 => Err(Failure::new("duration interval must be greater than 0")),
        Some(seconds) => Ok(Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX)),
    }
}

/// Parses a duration of Go into seconds: `1.5s`, `100ms`, `1h2m`, `-3s`, `0`.
fn parse_duration(text: &str) -> Option<f64> {
    let (sign, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (-1.0, rest),
        None => (1.0, text.strip_prefix('+').unwrap_or(text)),
    };
    if rest == "0" {
        return Some(0.0);
    }
    let mut seconds = 0.0;
    loop {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.').filter(|at| *at > 0)?;
        let (number, behind) = rest.split_at(digits);
        let unit_end = behind.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(behind.len());
        let (unit, next) = behind.split_at(unit_end);
        let scale = match unit {
            "ns" => 1e-9,
            "us" | "µs" | "μs" => 1e-6,
            "ms" => 1e-3,
            "s" => 1.0,
            "m" => 60.0,
            "h" => 3600.0,
            _ => return None,
        };
        seconds += number.parse::<f64>().ok()? * scale;
        rest = next;
        if rest.is_empty() {
            return Some(sign * seconds);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_those_of_go() {
        for (text, want) in [
            ("5s", 5.0),
            ("100ms", 0.1),
            ("1m30s", 90.0),
            ("1.5h", 5400.0),
            ("-3s", -3.0),
            ("0", 0.0),
            (".5s", 0.5),
        ] {
            let seconds = parse_duration(text).unwrap();
            assert!((seconds - want).abs() < 1e-9, "{text}: {seconds}");
        }
        for text in ["", "5", "s", "5 s", "5x", "1s2", "--1s", "1..2s"] {
            assert_eq!(parse_duration(text), None, "{text}");
        }
        assert_eq!(parse_interval("-1s").unwrap_err().text, "duration interval must be greater than 0");
        assert_eq!(parse_interval("99999999999999999999h").unwrap(), Duration::MAX);
    }
}
