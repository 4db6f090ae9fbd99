// SPDX-License-Identifier: Apache-2.0
//! The help, in the layout of runc.

use super::syntax::takes_value;
use super::table::{self, COMMANDS, Entry};
use clap::builder::StyledStr;
use clap::{Arg, Command};

const ABOUT: &str = "\
{program} runs containers as the Open Container Initiative (OCI) specifies
them. It is meant to be called by engines and supervisors (containerd, Docker,
Podman, CRI-O), and can be used by hand:

    # {program} run [ -b bundle ] <container-id>

A container is described by a bundle: a directory with a configuration file
named \"config.json\" and a root file system. <container-id> is a name of your
choice, unique on the host.";

/// Returns the help of a command, or of the whole program.
pub(crate) fn help(program: &str, topic: Option<&Entry>) -> String {
    let mut text = String::new();
    match topic {
        None => app(&mut text, program),
        Some(entry) => of_command(&mut text, program, &entry.command()),
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
        .map(|entry| (entry.name.to_owned(), string(entry.command().get_about())))
        .chain([("help, h".to_owned(), "show this, or the help of one command".to_owned())])
        .collect();
    heading(text, "COMMANDS", &columns(&rows));
    heading(text, "GLOBAL OPTIONS", &columns(&flag_rows(table::program().get_opts())));
    text.pop();
}

fn of_command(text: &mut String, program: &str, command: &Command) {
    let name = command.get_name();
    heading(text, "NAME", &format!("{program} {name} - {}", string(command.get_about())));
    let arguments = command.get_positionals().flat_map(|arg| arg.get_value_names().unwrap_or_default());
    let usage: String = arguments.map(|usage| format!(" {usage}")).collect();
    heading(text, "USAGE", &format!("{program} {name} [options]{usage}"));
    heading(text, "DESCRIPTION", &string(command.get_long_about()).replace("{program}", program));
    heading(text, "OPTIONS", &columns(&flag_rows(command.get_opts())));
    let globals = table::program();
    let inherited = globals.get_opts().filter(|flag| !["help", "version"].contains(&flag.get_id().as_str()));
    heading(text, "GLOBAL OPTIONS", &columns(&flag_rows(inherited)));
    text.pop();
}

fn string(text: Option<&StyledStr>) -> String {
    text.map(StyledStr::to_string).unwrap_or_default()
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

fn flag_rows<'c>(flags: impl Iterator<Item = &'c Arg>) -> Vec<(String, String)> {
    flags.filter(|flag| !flag.is_hide_set()).map(|flag| (names(flag), string(flag.get_help()))).collect()
}

/// Returns the names of a flag, each with the type of its value.
fn names(flag: &Arg) -> String {
    let types = flag.get_value_names().unwrap_or_default().iter().filter(|_| takes_value(flag));
    let value: String = types.map(|name| format!(" {name}")).collect();
    let long = flag.get_long().map(|name| format!("--{name}{value}"));
    let short = flag.get_short().map(|name| format!("-{name}{value}"));
    long.into_iter().chain(short).collect::<Vec<_>>().join(", ")
}

fn columns(rows: &[(String, String)]) -> String {
    let width = rows.iter().map(|(left, _)| left.len()).max().unwrap_or(0);
    rows.iter().map(|(left, right)| format!("{left:width$}  {right}\n")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_lines_are_those_that_programs_read() {
        assert!(help("runc", None).starts_with("NAME:\n   runc - Open Container Initiative runtime\n"));
        for entry in COMMANDS {
            let text = help("x", Some(entry));
            assert!(text.starts_with(&format!("NAME:\n   x {} - ", entry.name)), "{text}");
            assert!(!text.contains("{program}") && text.ends_with('\n') && !text.ends_with("\n\n"));
        }
    }

    #[test]
    fn hidden_flags_are_not_shown() {
        let kill = COMMANDS.iter().find(|c| c.name == "kill").unwrap();
        assert!(!help("x", Some(kill)).contains("--all"));
    }
}
