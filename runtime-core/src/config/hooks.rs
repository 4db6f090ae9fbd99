// SPDX-License-Identifier: Apache-2.0
//! `hooks`: programs to run at points of the life cycle.

use super::field::{c_string, invalid};
use crate::error::Result;
use crate::hook::{Hook, HookKind};
use crate::spec;
use std::time::Duration;

/// The hooks of a container, by kind.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Hooks([Vec<Hook>; 6]);

impl Hooks {
    pub(crate) fn new(spec: Option<&spec::Hooks>) -> Result<Self> {
        let Some(spec) = spec else { return Ok(Hooks::default()) };
        let mut all = Hooks::default();
        for kind in HookKind::ALL {
            let list = match kind {
                HookKind::Prestart => &spec.prestart,
                HookKind::CreateRuntime => &spec.create_runtime,
                HookKind::CreateContainer => &spec.create_container,
                HookKind::StartContainer => &spec.start_container,
                HookKind::Poststart => &spec.poststart,
                HookKind::Poststop => &spec.poststop,
            };
            let checked =
                list.iter().enumerate().map(|(i, spec)| hook(kind, i, spec)).collect::<Result<_>>()?;
            if let Some(place) = all.0.get_mut(kind as usize) {
                *place = checked;
            }
        }
        Ok(all)
    }

    /// Returns true if there is a hook to run between the mounts and pivot_root.
    pub(crate) fn are_before_pivot(&self) -> bool {
        [HookKind::Prestart, HookKind::CreateRuntime, HookKind::CreateContainer]
            .into_iter()
            .any(|kind| !self.of(kind).is_empty())
    }

    /// Returns the hooks of one kind, in their order.
    pub(crate) fn of(&self, kind: HookKind) -> &[Hook] {
        self.0.get(kind as usize).map_or(&[], Vec::as_slice)
    }
}

fn hook(kind: HookKind, i: usize, spec: &spec::Hook) -> Result<Hook> {
    let at = format_args!("hooks.{}[{i}]", kind.name());
    if !spec.path.starts_with('/') {
        return Err(invalid(
            format_args!("{at}.path"),
            format_args!("{:?} is not an absolute path", spec.path),
        ));
    }
    drop(c_string(format_args!("{at}.path"), &spec.path)?);
    for (field, list) in [("args", spec.args.as_slice()), ("env", spec.env.as_deref().unwrap_or_default())] {
        for (j, string) in list.iter().enumerate() {
            drop(c_string(format_args!("{at}.{field}[{j}]"), string)?);
        }
    }
    let timeout = match spec.timeout {
        None => None,
        Some(seconds) => match u64::try_from(seconds) {
            Ok(seconds @ 1..) => Some(Duration::from_secs(seconds)),
            _ => {
                return Err(invalid(
                    format_args!("{at}.timeout"),
                    format_args!("expected more than 0, got {seconds}"),
                ));
            }
        },
    };
    Ok(Hook {
        path: spec.path.clone(),
        args: if spec.args.is_empty() { vec![spec.path.clone()] } else { spec.args.clone() },
        env: spec.env.clone(),
        timeout,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hooks_are_checked_and_have_defaults() {
        let spec = |path: &str, timeout| spec::Hooks {
            poststop: vec![spec::Hook { path: path.into(), timeout, ..Default::default() }],
            ..Default::default()
        };
        let hooks = Hooks::new(Some(&spec("/bin/true", Some(3)))).unwrap();
        assert_eq!(hooks.of(HookKind::Poststop)[0].args, ["/bin/true"]);
        assert_eq!(hooks.of(HookKind::Poststop)[0].timeout, Some(Duration::from_secs(3)));
        assert!(hooks.of(HookKind::Prestart).is_empty());
        let report = |path: &str, timeout| Hooks::new(Some(&spec(path, timeout))).unwrap_err().report();
        assert_eq!(report("true", None), "hooks.poststop[0].path: \"true\" is not an absolute path");
        assert_eq!(report("/bin/true", Some(0)), "hooks.poststop[0].timeout: expected more than 0, got 0");
        assert!(report("/bin/\0", None).starts_with("hooks.poststop[0].path: "));
    }
}
