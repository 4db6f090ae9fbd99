// SPDX-License-Identifier: Apache-2.0
//! A bundle with a mistake, the command that shows it, and the remedy.

use crate::edit;
use crate::list::{Edits, Mistake, Needs};
use conformance::console::ConsoleSocket;
use conformance::runtime::finish;
use conformance::{Bundle, Result, host, payload};
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::Path;
use std::process::Command;

/// The user of the entries without root.
const USER: u32 = 4321;

/// Returns the reason why a mistake cannot be made on this host.
pub(crate) fn cannot_be_judged(mistake: &Mistake) -> Option<&'static str> {
    match mistake.needs {
        Needs::Nothing => None,
        Needs::Amd64 => (std::env::consts::ARCH != "x86_64").then_some("it is about x86_64"),
        Needs::AppArmor => {
            let enabled = fs::read_to_string("/sys/module/apparmor/parameters/enabled");
            (!enabled.is_ok_and(|enabled| enabled.starts_with('Y'))).then_some("the kernel has no AppArmor")
        }
        Needs::Newuidmap => {
            (!Path::new("/usr/bin/newuidmap").exists()).then_some("the host has no newuidmap")
        }
        Needs::Memory(has) => {
            let is_there = host::controllers().iter().any(|controller| controller == "memory");
            (is_there != has).then_some("it depends on the host's controller \"memory\"")
        }
    }
}

/// Makes the mistake, compares the message, applies the remedy and runs the container.
pub(crate) fn judge(mistake: &Mistake) -> Result {
    let bundle = bundle();
    let dir = tempfile::Builder::new().prefix("scene-").tempdir().unwrap();
    let (state, log) = (dir.path().join("state"), dir.path().join("log"));
    fs::create_dir(&state).unwrap();
    fs::write(&log, "").unwrap();
    for (path, mode) in [(dir.path(), 0o755), (&state, 0o700), (&log, 0o666)] {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }
    if mistake.user {
        chown(&state, Some(USER), Some(USER)).unwrap();
    }
    let programs = dir.path().join("programs");
    fs::create_dir(&programs).unwrap();
    fs::copy(conformance::bundle::beside("runtime-cli"), programs.join("program")).unwrap();
    let wrapper = format!(
        "#!/bin/sh\nexec {} --root {} --log {} --log-format json \"$@\"\n",
        programs.join("program").display(),
        state.display(),
        log.display()
    );
    fs::write(programs.join("runtime-cli"), wrapper).unwrap();
    fs::set_permissions(programs.join("runtime-cli"), fs::Permissions::from_mode(0o755)).unwrap();

    let mut config = bundle.config.clone();
    let mut write = |name: &str, edits: Edits| {
        for (path, value) in edits {
            edit::apply(&mut config, path, &value.replace("/bundle", bundle.path().to_str().unwrap()));
        }
        fs::write(bundle.path().join(name), serde_json::to_string_pretty(&config).unwrap()).unwrap();
    };
    write("config.json", mistake.edits);
    write("mended.json", mistake.remedy_edits);
    let socket = ConsoleSocket::new()?;
    let by = match mistake.user {
        true => format!("setpriv --reuid={USER} --regid={USER} --clear-groups env USER=user sh -uc"),
        false => "sh -uc".to_owned(),
    };
    // One mount namespace for all, so that the mounts of the mistake are there when it is mended.
    let script = format!(
        "set -eu\n{}\nset +e\n{by} \"$COMMAND\" 2>\"$SCENE/stderr\" >/dev/null\necho $? >\"$SCENE/status\"\n\
         cp \"$LOG\" \"$SCENE/shown\"\nset -e\ncp mended.json config.json\n{}\n{by} \"$AFTER\"\n\
         {by} 'runtime-cli delete --force web; runtime-cli delete --force shop'",
        mistake.shell, mistake.remedy_shell
    );
    let mut command = Command::new("unshare");
    command.args(["--mount", "--propagation", "private", "sh", "-c", &script]).current_dir(bundle.path());
    let path = std::env::var("PATH").unwrap_or_default();
    command.env("PATH", format!("{}:{path}", programs.display()));
    command.env("COMMAND", mistake.command).env("SCENE", dir.path()).env("LOG", &log);
    command.env("CONSOLE", socket.path()).stdin(std::process::Stdio::null());
    let after = if mistake.after.is_empty() { mistake.command } else { mistake.after };
    command.env("AFTER", after);
    let mended = finish(command)?;
    host::await_children()?;

    let read = |name: &str| fs::read_to_string(dir.path().join(name)).unwrap_or_default();
    let seen = shown(&read("stderr"), &read("shown"))
        .replace(bundle.path().to_str().unwrap(), "/bundle")
        .replace(state.to_str().unwrap(), "/run/runc")
        .replace(host::hierarchy().to_str().unwrap(), "/sys/fs/cgroup");
    let status = read("status");
    if (status.trim() == "0") != mistake.starts {
        return Err(format!("the status is {status}: {seen}\n{mended}"));
    }
    let is_older = !mistake.older.is_empty() && matches(&seen, mistake.older);
    if !is_older && !matches(&seen, mistake.message) {
        return Err(format!(
            "status {status}, the message is\n{seen}\nand should be\n{}\n{mended}",
            mistake.message
        ));
    }
    mended.ok().map_err(|error| format!("after the remedy: {error}\n{}", read("log"))).map(drop)
}

/// Makes a bundle whose program is `app`, which ends at once. `wait` is a program that does not end.
fn bundle() -> Bundle {
    let bundle = Bundle::new(&[]).unwrap();
    let bin = bundle.rootfs("bin");
    fs::create_dir(&bin).unwrap();
    for (name, content) in [("app", payload::exits()), ("wait", payload::waits())] {
        fs::write(bin.join(name), content).unwrap();
        fs::set_permissions(bin.join(name), fs::Permissions::from_mode(0o755)).unwrap();
    }
    fs::remove_file(bundle.rootfs("probe")).unwrap();
    bundle.with(|config| config["process"]["args"] = json!(["app"])).unwrap()
}

/// Returns what a terminal shows of a command: its standard error, and its log without the times.
fn shown(stderr: &str, log: &str) -> String {
    let lines: Vec<Value> = log.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let text = |line: &Value, key: &str| line[key].as_str().unwrap_or_default().to_owned();
    // With a log file, the error is on standard error too.
    let mut rest = stderr.to_owned();
    let mut shown = String::new();
    for line in &lines {
        let message = text(line, "msg");
        rest = rest.replacen(&format!("{message}\n"), "", 1);
        let level = text(line, "level").to_uppercase();
        writeln!(shown, "{} {}", &level[..4], message.trim_end()).unwrap();
    }
    format!("{rest}{shown}").trim_end().to_owned()
}

/// Compares a text with a pattern, in which `…` stands for any text.
fn matches(text: &str, pattern: &str) -> bool {
    let mut parts = pattern.split('…');
    let Some(mut rest) = parts.next().and_then(|first| text.strip_prefix(first)) else { return false };
    let parts: Vec<&str> = parts.collect();
    for part in &parts {
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    rest.is_empty() || parts.last() == Some(&"")
}
