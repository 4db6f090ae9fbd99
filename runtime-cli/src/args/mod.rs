// SPDX-License-Identifier: Apache-2.0
//! The arguments of the program: commands of clap ([`table`]), in the syntax of Go's flag package
//! ([`syntax`]), which callers of runc use, with the texts and statuses of runc ([`usage`])
//! (docs/decisions/arguments.md).
//!
//! The parser is pure: it reads neither files nor the environment.

pub(crate) mod flags;
mod help;
mod syntax;
pub(crate) mod table;
mod usage;
mod values;

pub(crate) use help::help;
pub(crate) use usage::Usage;
pub(crate) use values::Values;

use clap::{ArgMatches, Command};
use std::ffi::{OsStr, OsString};
use syntax::SortedWords;
use table::{ARGUMENTS, Entry};
use usage::{UsageKind, find};

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
    Help(Option<&'static Entry>),
    Version,
    Run(Call),
}

/// A command with its flags and arguments.
#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) command: &'static Entry,
    pub(crate) flags: Values,
    pub(crate) arguments: Vec<OsString>,
}

/// Parses the arguments of the program. The first is the program's name.
pub(crate) fn parse(args: impl IntoIterator<Item = OsString>) -> Result<Invocation, Usage> {
    let mut args = args.into_iter();
    let argv0 = args.next().unwrap_or_default();
    let name = std::path::Path::new(&argv0).file_name().unwrap_or(OsStr::new("runtime-cli"));
    let program = name.to_string_lossy().into_owned();
    match parse_all(args.collect(), &argv0.to_string_lossy()) {
        Ok((globals, request)) => Ok(Invocation { program, globals, request }),
        Err(kind) => Err(Usage::new(program, kind)),
    }
}

fn parse_all(words: Vec<OsString>, argv0: &str) -> Result<(Values, Request), UsageKind> {
    let (mut globals, help) = parse_flags(table::program(), None, words, argv0)?;
    let mut rest = arguments(&mut globals).into_iter();
    let is_given = |name| globals.contains_id(name);
    let (version, topic) = (is_given("version"), rest.next());
    let globals = Values(globals);
    if help {
        return Ok((globals, Request::Help(None)));
    }
    if version {
        return Ok((globals, Request::Version));
    }
    let Some(name) = topic else { return Ok((globals, Request::Help(None))) };
    let name = name.to_string_lossy();
    if name == "help" || name == "h" {
        let topic = rest.next().map(|topic| topic.to_string_lossy().into_owned());
        let entry = match topic {
            None => None,
            Some(topic) => Some(find(&topic).ok_or(UsageKind::UnknownCommand(topic))?),
        };
        return Ok((globals, Request::Help(entry)));
    }
    let Some(command) = find(&name) else { return Err(UsageKind::UnknownCommand(name.into_owned())) };
    let (mut flags, help) = parse_flags(command.command(), Some(command), rest.collect(), argv0)?;
    if help {
        return Ok((globals, Request::Help(Some(command))));
    }
    let arguments = arguments(&mut flags);
    Ok((globals, Request::Run(Call { command, flags: Values(flags), arguments })))
}

/// Parses the words of one command, or those of the program. Returns true too if help was asked
/// for, which a wrong number of arguments does not prevent.
fn parse_flags(
    mut command: Command,
    entry: Option<&'static Entry>,
    words: Vec<OsString>,
    argv0: &str,
) -> Result<(ArgMatches, bool), UsageKind> {
    let sorted = SortedWords::sort(&command, words);
    let help = sorted.flags.iter().any(|written| written.is("help"));
    match command.try_get_matches_from_mut(sorted.line()) {
        Ok(matches) => Ok((matches, help)),
        Err(error) => match UsageKind::of(&error, &command, entry, &sorted, argv0) {
            UsageKind::Count { .. } if help => Ok((ArgMatches::default(), true)),
            kind => Err(kind),
        },
    }
}

fn arguments(matches: &mut ArgMatches) -> Vec<OsString> {
    matches.try_remove_many(ARGUMENTS).ok().flatten().into_iter().flatten().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(args: &[&str]) -> Result<Invocation, UsageKind> {
        let args = ["/bin/runc"].iter().chain(args).map(OsString::from);
        parse(args).map_err(Usage::into_kind)
    }

    fn call(args: &[&str]) -> Call {
        match run(args).unwrap().request {
            Request::Run(call) => call,
            other => panic!("{other:?}"),
        }
    }

    fn flag_error(args: &[&str]) -> String {
        match run(args).unwrap_err() {
            UsageKind::Flag { text, .. } => text,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_flag_is_written_in_all_ways_of_go() {
        for args in [["--bundle", "x"], ["-bundle", "x"], ["-b", "x"], ["--b", "x"]] {
            let call = call(&["create", args[0], args[1], "id"]);
            assert_eq!(call.flags.get(flags::BUNDLE).unwrap(), "x");
            assert_eq!(call.arguments, ["id"]);
        }
        for arg in ["--bundle=x=y", "-b=x=y"] {
            assert_eq!(call(&["create", arg, "id"]).flags.get(flags::BUNDLE).unwrap(), "x=y");
        }
        for (arg, set) in [("--force", true), ("-f=1", true), ("--force=false", false), ("-force=F", false)] {
            assert_eq!(call(&["delete", arg, "id"]).flags.is_set(flags::FORCE), set, "{arg}");
        }
    }

    #[test]
    fn flags_may_follow_the_id_unless_the_rest_is_for_another_program() {
        assert!(call(&["delete", "id", "--force"]).flags.is_set(flags::FORCE));
        assert_eq!(call(&["kill", "id", "-a"]).arguments, ["id", "-a"]);
        assert_eq!(call(&["ps", "-f", "json", "id", "-e", "-f"]).arguments, ["id", "-e", "-f"]);
        assert_eq!(call(&["delete", "--", "-f"]).arguments, ["-f"]);
        assert_eq!(call(&["delete", "-"]).arguments, ["-"]);
    }

    #[test]
    fn two_dashes_may_separate_the_id_from_the_rest() {
        let arguments = |args: &[&str]| call(args).arguments;
        assert_eq!(arguments(&["exec", "id", "--", "ls", "-l", "--"]), ["id", "ls", "-l", "--"]);
        assert_eq!(arguments(&["exec", "id", "--", "--", "ls"]), ["id", "--", "ls"]);
        assert_eq!(arguments(&["exec", "--", "id", "--", "ls"]), ["id", "--", "ls"]);
        assert_eq!(arguments(&["exec", "id", "ls", "--"]), ["id", "ls", "--"]);
        assert_eq!(arguments(&["ps", "id", "--", "-e"]), ["id", "-e"]);
        assert_eq!(arguments(&["kill", "id", "--", "9"]), ["id", "9"]);
        assert_eq!(arguments(&["kill", "--", "-a"]), ["-a"]);
    }

    #[test]
    #[cfg(debug_assertions)]
    #[should_panic(expected = "Unknown argument or group id")]
    fn a_command_asks_for_its_own_flags_only() {
        call(&["create", "id"]).flags.is_set(flags::KEEP);
    }

    #[test]
    fn globals_come_first() {
        let invocation = run(&["--root", "/x", "-log-format=json", "state", "id"]).unwrap();
        assert_eq!(invocation.program, "runc");
        assert_eq!(invocation.globals.get(flags::ROOT).unwrap(), "/x");
        assert_eq!(invocation.globals.get(flags::LOG_FORMAT).unwrap(), "json");
        assert_eq!(flag_error(&["state", "--root", "/x", "id"]), "flag provided but not defined: -root");
    }

    #[test]
    fn wrong_arguments_have_the_errors_of_runc() {
        assert_eq!(flag_error(&["--bogus"]), "flag provided but not defined: -bogus");
        assert_eq!(flag_error(&["create", "--bundle"]), "flag needs an argument: --bundle");
        assert_eq!(
            flag_error(&["delete", "--force=maybe", "x"]),
            "invalid value \"maybe\" for flag -force: parse error"
        );
        assert!(
            flag_error(&["create", "--preserve-fds", "x", "y"]).contains("strconv.ParseInt: parsing \"x\"")
        );
        assert_eq!(run(&["foo", "-h"]).unwrap_err(), UsageKind::UnknownCommand("foo".into()));
        // Podman takes this text as proof of support for checkpoints of pods.
        let probe = flag_error(&["restore", "--lsm-mount-context"]);
        assert_eq!(probe, "flag needs an argument: --lsm-mount-context");
        let count = |args: &[&str]| match run(args).unwrap_err() {
            UsageKind::Count { text, .. } => text,
            other => panic!("{other:?}"),
        };
        assert_eq!(count(&["state"]), "/bin/runc: \"state\" requires exactly 1 argument(s)");
        assert_eq!(count(&["state", "a", "b"]), "/bin/runc: \"state\" requires exactly 1 argument(s)");
        assert_eq!(count(&["kill"]), "/bin/runc: \"kill\" requires a minimum of 1 argument(s)");
        assert_eq!(
            count(&["kill", "a", "9", "b"]),
            "/bin/runc: \"kill\" requires a maximum of 2 argument(s)"
        );
    }

    #[test]
    fn a_hint_follows_the_error() {
        let hint = |args: &[&str]| {
            let args = ["runc"].iter().chain(args).map(OsString::from);
            parse(args).unwrap_err().hint()
        };
        assert_eq!(hint(&["delet", "x"]).as_deref(), Some("did you mean \"delete\"?"));
        assert_eq!(hint(&["help", "crate"]).as_deref(), Some("did you mean \"create\"?"));
        for nothing_near in [&["xyz"][..], &["-"], &["--", "-x"], &["state"]] {
            assert_eq!(hint(nothing_near), None, "{nothing_near:?}");
        }
        for misspelt in ["--forse", "-forse", "--force-"] {
            assert_eq!(hint(&["delete", misspelt, "x"]).as_deref(), Some("did you mean \"--force\"?"));
        }
        assert_eq!(hint(&["--rot=/x", "list"]).as_deref(), Some("did you mean \"--root\"?"));
        let expected = "--force takes true or false, as in --force=true, or none";
        assert_eq!(hint(&["delete", "-f=maybe", "x"]).as_deref(), Some(expected));
        assert_eq!(
            hint(&["exec", "--preserve-fds", "x"]).as_deref(),
            Some("--preserve-fds takes an integer")
        );
        assert_eq!(hint(&["create", "--bundle"]), None);
    }

    #[test]
    fn help_and_version_come_before_commands() {
        assert!(matches!(run(&[]).unwrap().request, Request::Help(None)));
        assert!(matches!(run(&["-h"]).unwrap().request, Request::Help(None)));
        assert!(matches!(run(&["help"]).unwrap().request, Request::Help(None)));
        assert!(
            matches!(run(&["kill", "--help"]).unwrap().request, Request::Help(Some(c)) if c.name == "kill")
        );
        assert!(
            matches!(run(&["help", "kill"]).unwrap().request, Request::Help(Some(c)) if c.name == "kill")
        );
        assert!(matches!(run(&["-v"]).unwrap().request, Request::Version));
        assert_eq!(run(&["help", "foo"]).unwrap_err(), UsageKind::UnknownCommand("foo".into()));
    }
}
