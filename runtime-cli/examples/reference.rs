// SPDX-License-Identifier: Apache-2.0
//! Man pages and completions for shells, from the commands that the program parses its arguments by
//! (`make reference`):
//!
//! ```text
//! cargo run -p runtime-cli --example reference DIRECTORY
//! ```
#![allow(clippy::disallowed_methods, clippy::print_stderr)] // A tool of the build.

#[path = "../src/args/flags.rs"]
mod flags;
#[path = "../src/args/table.rs"]
mod table;

use clap::{Arg, ArgAction, Command};
use clap_complete::Shell;
use clap_mangen::Man;
use std::io::Result;
use std::path::{Path, PathBuf};
use table::{ARGUMENTS, COMMANDS, Entry};

const PROGRAM: &str = "runtime-cli";

const ABOUT: &str = "Open Container Initiative runtime";
const LONG_ABOUT: &str = "\
Runs containers as the Open Container Initiative (OCI) specifies them. It is meant to be \
called by engines and supervisors (containerd, Docker, Podman, CRI-O), with the command \
line of runc(8), and can be used by hand.

Options of the program stand before the command, options of a command behind it. All of \
--flag value, --flag=value, -flag value and -flag=value are the same; options that take \
no value can be given =true or =false.";

fn main() -> std::process::ExitCode {
    let Some(directory) = std::env::args_os().nth(1).map(PathBuf::from) else {
        eprintln!("usage: reference DIRECTORY");
        return std::process::ExitCode::FAILURE;
    };
    match write_all(&directory) {
        Ok(()) => std::process::ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{}: {error}", directory.display());
            std::process::ExitCode::FAILURE
        }
    }
}

fn write_all(directory: &Path) -> Result<()> {
    let pages = directory.join("man");
    std::fs::create_dir_all(&pages)?;
    std::fs::write(pages.join(format!("{PROGRAM}.8")), page(program())?)?;
    for entry in COMMANDS {
        let name = format!("{PROGRAM}-{}", entry.name);
        std::fs::write(pages.join(format!("{name}.8")), page(subcommand(entry).name(name))?)?;
    }
    let completions = directory.join("completions");
    std::fs::create_dir_all(&completions)?;
    for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
        clap_complete::generate_to(shell, &mut with_plain_switches(program()), PROGRAM, &completions)?;
    }
    Ok(())
}

fn page(command: Command) -> Result<Vec<u8>> {
    let mut page = Vec::new();
    let version = format!("{PROGRAM} {}", env!("CARGO_PKG_VERSION"));
    Man::new(command).section("8").manual("Containers").source(version).render(&mut page)?;
    Ok(page)
}

fn program() -> Command {
    table::program()
        .about(ABOUT)
        .long_about(LONG_ABOUT)
        // clap would refer to a page for it.
        .disable_help_subcommand(true)
        .override_usage(format!("{PROGRAM} [global options] command [command options] [arguments...]"))
        .mut_arg(ARGUMENTS, |arguments| arguments.hide(true))
        .subcommands(COMMANDS.iter().map(subcommand))
}

/// Hides that a switch takes a value behind `=`: the shells would ask for one.
fn with_plain_switches(command: Command) -> Command {
    let plain = |arg: Arg| {
        let plain = arg.clone().action(ArgAction::SetTrue).num_args(0).require_equals(false);
        let plain = plain.default_missing_value(None).value_parser(clap::value_parser!(bool));
        if arg.is_require_equals_set() { plain } else { arg }
    };
    command.mut_args(plain).mut_subcommands(with_plain_switches)
}

fn subcommand(entry: &Entry) -> Command {
    let command = entry.command();
    let text = |text: Option<&clap::builder::StyledStr>| text.map(ToString::to_string).unwrap_or_default();
    let (about, description) = (text(command.get_about()), text(command.get_long_about()));
    let arguments = command.get_positionals().flat_map(|arg| arg.get_value_names().unwrap_or_default());
    let usage: String = arguments.map(|usage| format!(" {usage}")).collect();
    command
        .long_about(format!("{}.\n\n{}", sentence(&about), description.replace("{program}", PROGRAM)))
        .override_usage(format!("{PROGRAM} {} [options]{usage}", entry.name))
        // The usage line has them.
        .mut_args(|arg| if arg.get_id() == ARGUMENTS { arg.hide(true) } else { arg })
}

fn sentence(summary: &str) -> String {
    let mut chars = summary.chars();
    chars.next().map(|first| first.to_uppercase().chain(chars).collect()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_and_completions_have_the_whole_table() {
        program().debug_assert();
        let directory = tempfile::tempdir().unwrap();
        write_all(directory.path()).unwrap();
        let read = |name: &str| std::fs::read_to_string(directory.path().join(name)).unwrap();
        let completions = [
            read("completions/runtime-cli.bash"),
            read("completions/_runtime-cli"),
            read("completions/runtime-cli.fish"),
        ];
        let check = |page: &str, command: &Command| {
            for flag in command.get_opts().filter(|flag| !flag.is_hide_set()) {
                let long = flag.get_long().unwrap();
                assert!(page.contains(&long.replace('-', "\\-")), "{long}: {page}");
                assert!(completions.iter().all(|text| text.contains(long)), "{long}");
            }
        };
        check(&read("man/runtime-cli.8"), &program());
        for entry in COMMANDS {
            let page = read(&format!("man/runtime-cli-{}.8", entry.name));
            assert!(page.contains(".TH runtime-cli-") && !page.contains("{program}"), "{page}");
            check(&page, &subcommand(entry));
            assert!(completions.iter().all(|text| text.contains(entry.name)));
        }
    }
}
