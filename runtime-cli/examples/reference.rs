// SPDX-License-Identifier: Apache-2.0
//! Man pages and completions for shells, from the table that the program parses
//! its arguments by (`make reference`):
//!
//! ```text
//! cargo run -p runtime-cli --example reference DIRECTORY
//! ```
//!
//! clap only carries the table to the crates that write these formats; the
//! program itself does not use it (docs/decisions/arguments.md).
#![allow(clippy::disallowed_methods, clippy::print_stderr)] // A tool of the build.

#[path = "../src/args/flags.rs"]
mod flags;
#[path = "../src/args/table.rs"]
mod table;

use clap::{Arg, ArgAction, ValueHint};
use clap_complete::Shell;
use clap_mangen::Man;
use flags::{Flag, Takes};
use std::io::Result;
use std::path::{Path, PathBuf};
use table::{COMMANDS, Command, GLOBALS, Order};

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
    for command in COMMANDS {
        let name = format!("{PROGRAM}-{}", command.name);
        std::fs::write(pages.join(format!("{name}.8")), page(subcommand(command).name(name))?)?;
    }
    let completions = directory.join("completions");
    std::fs::create_dir_all(&completions)?;
    for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
        clap_complete::generate_to(shell, &mut program(), PROGRAM, &completions)?;
    }
    Ok(())
}

fn page(command: clap::Command) -> Result<Vec<u8>> {
    let mut page = Vec::new();
    let version = format!("{PROGRAM} {}", env!("CARGO_PKG_VERSION"));
    // clap would refer to a page for it.
    let command = command.disable_help_subcommand(true);
    Man::new(command).section("8").manual("Containers").source(version).render(&mut page)?;
    Ok(page)
}

fn program() -> clap::Command {
    let version = Arg::new("version").short('v').long("version").action(ArgAction::Version);
    clap::Command::new(PROGRAM)
        .version(env!("CARGO_PKG_VERSION"))
        .disable_version_flag(true)
        .disable_help_flag(true)
        .about(ABOUT)
        .long_about(LONG_ABOUT)
        .override_usage(format!("{PROGRAM} [global options] command [command options] [arguments...]"))
        .args(GLOBALS.iter().filter(|flag| !flag.hidden).map(argument))
        .args([help(), version.help("print the version")])
        .subcommands(COMMANDS.iter().map(subcommand))
}

fn subcommand(command: &'static Command) -> clap::Command {
    let description = command.description.replace("{program}", PROGRAM);
    let (least, most) = command.arguments;
    // The usage line says what they are.
    let arguments = (most > 0).then(|| {
        Arg::new("arguments")
            .num_args(least..=most.min(1000))
            .trailing_var_arg(command.order == Order::FlagsFirst)
            .hide(true)
    });
    clap::Command::new(command.name)
        .about(command.summary)
        .long_about(format!("{}.\n\n{description}", sentence(command.summary)))
        .disable_help_flag(true)
        .override_usage(format!("{PROGRAM} {} [options] {}", command.name, command.usage))
        .args(command.flags.iter().filter(|flag| !flag.hidden).map(argument))
        .arg(help())
        .args(arguments)
}

fn help() -> Arg {
    Arg::new("help").short('h').long("help").action(ArgAction::Help).help("show help")
}

fn argument(flag: &'static Flag) -> Arg {
    let name = flag.names.first().copied().unwrap_or_default();
    let mut argument = Arg::new(name).help(flag.help);
    for name in flag.names {
        argument = match name.chars().collect::<Vec<_>>()[..] {
            [letter] => argument.short(letter),
            _ => argument.long(*name),
        };
    }
    let (value, hint) = match (flag.takes, name) {
        (Takes::Nothing, _) => return argument.action(ArgAction::SetTrue),
        (Takes::Integer | Takes::Integers, _) => ("N", ValueHint::Other),
        (_, "bundle" | "root") => ("DIRECTORY", ValueHint::DirPath),
        (_, "console-socket" | "log" | "pid-file" | "pidfd-socket" | "process" | "resources") => {
            ("FILE", ValueHint::FilePath)
        }
        _ => ("VALUE", ValueHint::Unknown),
    };
    let repeats = matches!(flag.takes, Takes::Texts | Takes::Integers);
    let action = if repeats { ArgAction::Append } else { ArgAction::Set };
    argument.action(action).value_name(value).value_hint(hint)
}

fn sentence(summary: &str) -> String {
    let mut chars = summary.chars();
    chars.next().map(|first| first.to_uppercase().chain(chars).collect()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_of_the_table_is_in_the_pages_and_completions() {
        program().debug_assert();
        let directory = tempfile::tempdir().unwrap();
        write_all(directory.path()).unwrap();
        let read = |name: &str| std::fs::read_to_string(directory.path().join(name)).unwrap();
        let completions = [
            read("completions/runtime-cli.bash"),
            read("completions/_runtime-cli"),
            read("completions/runtime-cli.fish"),
        ];
        let check = |page: &str, flags: &[Flag]| {
            for name in flags.iter().filter(|flag| !flag.hidden).flat_map(|flag| flag.names) {
                assert!(page.contains(&name.replace('-', "\\-")), "{name}: {page}");
                assert!(completions.iter().all(|text| text.contains(name)), "{name}");
            }
        };
        check(&read("man/runtime-cli.8"), GLOBALS);
        for command in COMMANDS {
            let page = read(&format!("man/runtime-cli-{}.8", command.name));
            assert!(page.contains(".TH runtime-cli-") && !page.contains("{program}"), "{page}");
            check(&page, command.flags);
            assert!(completions.iter().all(|text| text.contains(command.name)));
        }
    }
}
