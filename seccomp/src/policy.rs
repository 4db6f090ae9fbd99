// SPDX-License-Identifier: Apache-2.0
//! A checked profile: later steps cannot refuse it for its contents.

use crate::action::Action;
use crate::arch::Arch;
use crate::condition::{Condition, Operator};
use crate::flag::{Flag, NEW_LISTENER};
use crate::profile::{Arg, Profile, SyscallRule};
use crate::table::{Calls, Syscall};

/// A checked profile for one kind of machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    pub(crate) default: Action,
    /// Without duplicates, the native one first.
    pub(crate) archs: Vec<Arch>,
    pub(crate) rules: Vec<Rule>,
    flags: u32,
    listener: Option<Listener>,
    notes: Vec<String>,
}

/// The receiver of notifications.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listener {
    /// The socket of the agent.
    pub path: String,
    /// Data for the agent.
    pub metadata: Option<String>,
}

/// A rule of the profile: an action for some calls, if any alternative holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Rule {
    pub(crate) calls: Calls,
    pub(crate) action: Action,
    pub(crate) any: Vec<Alternative>,
}

/// Conditions that must all hold, sorted by argument, at most one for each argument; none means
/// always.
pub(crate) type Alternative = Vec<Condition>;

/// The error for a profile that is invalid, or asks for something that does not exist.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{path}: {reason}")]
pub struct PolicyError {
    path: String,
    reason: String,
}

/// A limit for hostile profiles, whose notes could fill the memory or a log.
const MAX_NOTES: usize = 100;

const ARGUMENTS: usize = 6;

impl Policy {
    /// Checks a profile for a kernel whose own ABI is `native`. Errors: a value of the profile is not
    /// valid; the error has its path.
    pub fn new(profile: &Profile<'_>, native: Arch) -> Result<Policy, PolicyError> {
        let mut notes = Vec::new();
        let default = action(profile.default_action, profile.default_errno_ret, || {
            ("defaultAction".to_owned(), "defaultErrnoRet".to_owned())
        })?;
        let archs = architectures(&profile.architectures, native)?;
        let rules = profile
            .syscalls
            .iter()
            .enumerate()
            .map(|(index, rule)| Rule::new(rule, index, &mut notes))
            .collect::<Result<Vec<_>, _>>()?;
        // A rule counts even if none of its names is known: the age of the tables must not decide
        // whether there is a listener.
        let notifies = default == Action::Notify || rules.iter().any(|rule| rule.action == Action::Notify);
        let listener = listener(profile, notifies)?;
        let flags = flags(profile.flags.as_deref(), notifies, &mut notes)?;
        Ok(Policy { default, archs, rules, flags, listener, notes })
    }

    /// Returns the action for calls without a rule.
    pub fn default_action(&self) -> Action {
        self.default
    }

    /// Returns its ABIs, without duplicates, the native one first. Calls of other ABIs kill.
    pub fn architectures(&self) -> &[Arch] {
        &self.archs
    }

    /// Returns the second argument for `seccomp(SECCOMP_SET_MODE_FILTER, ...)`.
    ///
    /// It has `SECCOMP_FILTER_FLAG_NEW_LISTENER` if the policy notifies, and
    /// `SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV` only then: the kernel refuses it alone.
    pub fn filter_flags(&self) -> u32 {
        self.flags
    }

    /// Returns the receiver of the listener, if the policy notifies.
    pub fn listener(&self) -> Option<&Listener> {
        self.listener.as_ref()
    }

    /// Returns the ignored parts and the reasons, for debugging a profile; at most 100 lines.
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// Returns true if numbers above those that the profile names get ENOSYS.
    ///
    /// A program that tries a call newer than the profile falls back to an older call on ENOSYS,
    /// and gives up on EPERM.
    pub(crate) fn hides_newer_calls(&self) -> bool {
        !self.default.is_open()
    }
}

impl Rule {
    fn new(rule: &SyscallRule<'_>, index: usize, notes: &mut Vec<String>) -> Result<Rule, PolicyError> {
        let action = action(rule.action, rule.errno_ret, || {
            (format!("syscalls[{index}].action"), format!("syscalls[{index}].errnoRet"))
        })?;
        if rule.names.is_empty() {
            return Err(PolicyError::new(format!("syscalls[{index}].names"), "names no system call"));
        }
        let mut calls = Calls::default();
        for (i, name) in rule.names.iter().enumerate() {
            match Syscall::from_name(name) {
                Some(call) => calls.insert(call),
                None if name.is_empty() => {
                    return Err(PolicyError::new(format!("syscalls[{index}].names[{i}]"), "is empty"));
                }
                None => note(notes, || {
                    format!("syscalls[{index}].names[{i}]: the unknown system call {name:?} is ignored")
                }),
            }
        }
        Ok(Rule { calls, action, any: alternatives(&rule.args, index)? })
    }
}

fn alternatives(args: &[Arg<'_>], rule: usize) -> Result<Vec<Alternative>, PolicyError> {
    let mut conditions = args
        .iter()
        .enumerate()
        .map(|(i, arg)| {
            let path = |field| format!("syscalls[{rule}].args[{i}].{field}");
            let argument = u8::try_from(arg.index)
                .ok()
                .filter(|argument| usize::from(*argument) < ARGUMENTS)
                .ok_or_else(|| {
                    PolicyError::new(path("index"), format!("{} is not one of 0 to 5", arg.index))
                })?;
            let operator = Operator::from_name(arg.op).ok_or_else(|| {
                PolicyError::unknown(path("op"), arg.op, "operator", Operator::ALL.map(Operator::name))
            })?;
            Ok(Condition::new(argument, operator, arg.value, arg.value_two))
        })
        .collect::<Result<Vec<_>, PolicyError>>()?;
    let mut seen = [false; ARGUMENTS];
    let repeats = conditions.iter().any(|c| std::mem::replace(&mut seen[usize::from(c.argument)], true));
    if repeats {
        // libseccomp cannot test an argument twice in a rule, so runtimes have always made a rule
        // of each condition, and profiles rely on that.
        return Ok(conditions.into_iter().map(|condition| vec![condition]).collect());
    }
    conditions.sort_unstable_by_key(|condition| condition.argument);
    Ok(vec![conditions])
}

/// Parses an action; `paths` are the paths of its two fields.
fn action(
    name: &str,
    errno: Option<u32>,
    paths: impl Fn() -> (String, String),
) -> Result<Action, PolicyError> {
    let action = Action::from_name(name)
        .ok_or_else(|| PolicyError::unknown(paths().0, name, "action", Action::names()))?;
    match errno {
        None => Ok(action),
        Some(errno) => action.with_errno(errno).map_err(|reason| PolicyError::new(paths().1, reason)),
    }
}

fn architectures(names: &[&str], native: Arch) -> Result<Vec<Arch>, PolicyError> {
    let mut archs = vec![native];
    for (i, name) in names.iter().enumerate() {
        let arch = Arch::from_name(name).ok_or_else(|| {
            PolicyError::unknown(
                format!("architectures[{i}]"),
                name,
                "architecture that this compiler knows",
                Arch::ALL.map(Arch::name),
            )
        })?;
        if !archs.contains(&arch) {
            archs.push(arch);
        }
    }
    Ok(archs)
}

fn flags(names: Option<&[&str]>, notifies: bool, notes: &mut Vec<String>) -> Result<u32, PolicyError> {
    let mut bits = if notifies { NEW_LISTENER } else { 0 };
    let Some(names) = names else {
        return Ok(bits | Flag::SpecAllow.bit());
    };
    for (i, name) in names.iter().enumerate() {
        let flag = Flag::from_name(name).ok_or_else(|| {
            PolicyError::unknown(format!("flags[{i}]"), name, "flag", Flag::ALL.map(Flag::name))
        })?;
        if flag == Flag::WaitKillableRecv && !notifies {
            note(notes, || format!("flags[{i}]: {name} is ignored, for nothing notifies"));
        } else {
            bits |= flag.bit();
        }
    }
    Ok(bits)
}

fn listener(profile: &Profile<'_>, notifies: bool) -> Result<Option<Listener>, PolicyError> {
    let Profile { listener_path: path, listener_metadata: metadata, .. } = profile;
    if path.is_empty() && !metadata.is_empty() {
        return Err(PolicyError::new("listenerMetadata", "is set, but listenerPath is not"));
    }
    if !notifies {
        return Ok(None);
    }
    if path.is_empty() {
        return Err(PolicyError::new("listenerPath", "is not set, but SCMP_ACT_NOTIFY is used"));
    }
    let metadata = (!metadata.is_empty()).then(|| (*metadata).to_owned());
    Ok(Some(Listener { path: (*path).to_owned(), metadata }))
}

fn note(notes: &mut Vec<String>, text: impl FnOnce() -> String) {
    if notes.len() < MAX_NOTES {
        notes.push(text());
    } else {
        notes[MAX_NOTES - 1] = "there are more notes than these".to_owned();
    }
}

impl PolicyError {
    fn new(path: impl Into<String>, reason: impl Into<String>) -> PolicyError {
        PolicyError { path: path.into(), reason: reason.into() }
    }

    fn unknown(
        path: String,
        name: &str,
        what: &str,
        allowed: impl IntoIterator<Item = &'static str>,
    ) -> PolicyError {
        let allowed = allowed.into_iter().collect::<Vec<_>>().join(", ");
        PolicyError::new(path, format!("{name:?} is no {what}; allowed are {allowed}"))
    }

    /// Returns the place in `linux.seccomp`, for example `syscalls[3].args[0].op`.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Returns the fault at this place.
    pub fn reason(&self) -> &str {
        &self.reason
    }
}
