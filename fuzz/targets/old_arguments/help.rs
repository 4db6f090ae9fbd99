// SPDX-License-Identifier: Apache-2.0
//! The help, in the layout of runc.

use super::flags::{Flag, Takes};
use super::table::{COMMANDS, Command, GLOBALS};

const ABOUT: &str = "\
{program} runs containers as the Open Container Initiative (OCI) specifies
them. It is meant to be called by engines and supervisors (containerd, Docker,
Podman, CRI-O), and can be used by hand:

    # {program} run [ -b bundle ] <container-id>

A container is described by a bundle: a directory with a configuration file
named \"config.json\" and a root file system. <container-id> is a name of your
choice, unique on the host.";

/// Returns the help of a command, or of the whole program.
pub(crate) fn help(program: &str, topic: Option<&Command>) -> String {
    let mut text = String::new();
    match topic {
        None => app(&mut text, program),
        Some(command) => of_command(&mut text, program, command),
    }
    text
}

fn app(text: &mut String, program: &str) {
    heading(
        text,
        "NAME",
        &format!("{program} - Open Container Initiative runtime\n\n{}", ABOUT.replace("{program}", program)),
    );
    heading(text, "USAGE", &format!("{program} [global options] command [command options] [arguments...]"));
    heading(text, "VERSION", env!("CARGO_PKG_VERSION"));
    let rows: Vec<_> = COMMANDS
        .iter()
        .map(|c| (c.name.to_owned(), c.summary))
        .chain([("help, h".to_owned(), "show this, or the help of one command")])
        .collect();
    heading(text, "COMMANDS", &columns(&rows));
    let mut rows = flag_rows(GLOBALS);
    rows.push(("--help, -h".to_owned(), "show help"));
    rows.push(("--version, -v".to_owned(), "print the version"));
    heading(text, "GLOBAL OPTIONS", &columns(&rows));
    text.pop();
}

fn of_command(text: &mut String, program: &str, command: &Command) {
    heading(text, "NAME", &format!("{program} {} - {}", command.name, command.summary));
    heading(text, "USAGE", format!("{program} {} [options] {}", command.name, command.usage).trim_end());
    heading(text, "DESCRIPTION", &command.description.replace("{program}", program));
    let mut rows = flag_rows(command.flags);
    rows.push(("--help, -h".to_owned(), "show help"));
    heading(text, "OPTIONS", &columns(&rows));
    heading(text, "GLOBAL OPTIONS", &columns(&flag_rows(GLOBALS)));
    text.pop();
}

fn heading(text: &mut String, title: &str, body: &str) {
    text.push_str(&format!("{title}:\n"));
    for line in body.lines() {
        let line = format!("   {line}");
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text.push('\n');
}

fn flag_rows(flags: &'static [Flag]) -> Vec<(String, &'static str)> {
    flags
        .iter()
        .filter(|flag| !flag.hidden)
        .map(|flag| {
            let value = match flag.takes {
                Takes::Nothing => "",
                Takes::Text | Takes::Texts => " string",
                Takes::Integer | Takes::Integers => " int",
            };
            let names: Vec<_> = flag
                .names
                .iter()
                .map(
                    |name| {
                        if name.len() == 1 { format!("-{name}{value}") } else { format!("--{name}{value}") }
                    },
                )
                .collect();
            (names.join(", "), flag.help)
        })
        .collect()
}

fn columns(rows: &[(String, &str)]) -> String {
    let width = rows.iter().map(|(left, _)| left.len()).max().unwrap_or(0);
    rows.iter().map(|(left, right)| format!("{left:width$}  {right}\n")).collect()
}
