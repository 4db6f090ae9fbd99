// SPDX-License-Identifier: Apache-2.0
//! Helpers that several groups of cases share.

use conformance::console::ConsoleSocket;
use conformance::report::HookReport;
use conformance::runtime::finish;
use conformance::{Bundle, Doing, Output, Report, Result, Runtime, each, ensure, ensure_eq, host};
use serde_json::{Value, json};
use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::process::{Command, Stdio};

/// One case.
#[derive(Debug)]
pub(crate) struct Case {
    /// The name, in a few words.
    pub(crate) name: &'static str,
    /// The sentence that demands the behaviour, and its source.
    pub(crate) quote: &'static str,
    /// The check.
    pub(crate) run: fn(&Runtime) -> Result,
}

// --- containers ---

/// Fails unless a container with the change is made, and runs.
pub(crate) fn accepts(runtime: &Runtime, change: impl FnOnce(&mut Value)) -> Result {
    runtime.run_in(&Bundle::new(&["exit", "0"])?.with(change)?, &["run", "c"])?.ok().map(drop)
}

/// Fails unless `run` refuses a container with the change.
pub(crate) fn refused(runtime: &Runtime, change: impl FnOnce(&mut Value)) -> Result {
    let bundle = Bundle::new(&["exit", "0"])?.with(change)?;
    runtime.run_in(&bundle, &["run", "c"])?.failed().map(drop)
}

/// Runs a check while the container `c` runs.
pub(crate) fn in_container(
    runtime: &Runtime,
    probe: &[&str],
    change: impl FnOnce(&mut Value),
    check: impl FnOnce(&Bundle) -> Result,
) -> Result {
    let bundle = Bundle::new(probe)?.with(change)?;
    runtime.run_in(&bundle, &["run", "--detach", "c"])?.ok()?;
    let checked = check(&bundle);
    end(runtime, "c")?;
    checked
}

/// Kills a container, reaps the children of this program in its pid namespace, and deletes it.
pub(crate) fn end(runtime: &Runtime, id: &str) -> Result {
    runtime.run(&["kill", id, "KILL"])?;
    host::await_children()?;
    runtime.run(&["delete", "--force", id])?.ok().map(drop)
}

/// Runs a container and returns its report. `caller` is a command that executes its arguments, and
/// so executes the runtime.
pub(crate) fn run_by(runtime: &Runtime, caller: &[&str], change: impl FnOnce(&mut Value)) -> Result<Report> {
    let bundle = Bundle::new(&["report"])?.with(change)?;
    serde_json::from_str(&output_by(runtime, caller, &bundle)?.ok()?.stdout).doing("the probe's report")
}

/// Runs the bundle's container by way of `caller`, as [`run_by`] does.
pub(crate) fn output_by(runtime: &Runtime, caller: &[&str], bundle: &Bundle) -> Result<Output> {
    command_by(runtime, caller, bundle, &["run", "c"])
}

/// Runs a command of the runtime in the bundle's directory, executed by `caller`.
pub(crate) fn command_by(
    runtime: &Runtime,
    caller: &[&str],
    bundle: &Bundle,
    args: &[&str],
) -> Result<Output> {
    let (program, before) = caller.split_first().unwrap_or((&"env", &[]));
    let mut command = Command::new(program);
    command.args(before).arg(runtime.program()).arg("--root").arg(runtime.root()).args(args);
    command.current_dir(bundle.path()).stdin(Stdio::null());
    finish(command)
}

/// Returns the document that `features` prints.
pub(crate) fn features(runtime: &Runtime) -> Result<Value> {
    let output = runtime.run(&["features"])?.ok()?;
    serde_json::from_str(&output.stdout).doing(&output.stdout)
}

/// Returns all that a container writes to the terminal that this socket was sent.
pub(crate) fn terminal_output(socket: &ConsoleSocket) -> Result<String> {
    let mut text = Vec::new();
    // A master ends with EIO.
    let _end = File::from(socket.receive()?).read_to_end(&mut text);
    Ok(String::from_utf8_lossy(&text).into_owned())
}

/// Checks the links in /dev that lead to the process's own descriptors.
pub(crate) fn has_links(report: &Report) -> Result {
    for (name, target) in [("fd", ""), ("stdin", "/0"), ("stdout", "/1"), ("stderr", "/2")] {
        let kind = report.dev.get(name).map(|node| node.kind.clone());
        ensure_eq!(kind, Some(format!("link /proc/self/fd{target}")));
    }
    Ok(())
}

// --- changes of a configuration ---

/// A change, for a table of them.
pub(crate) type Change = fn(&mut Value);

/// Checks each change, and names those that fail.
pub(crate) fn rows(rows: &[(&str, Change)], check: impl Fn(Change) -> Result) -> Result {
    each(0..rows.len(), |&i| check(rows[i].1).map_err(|why| format!("{}: {why}", rows[i].0)))
}

/// Gives the container the caller's `dev` as /dev, a root that can be written to, and no
/// masked paths, which would need the container's own /dev/null.
pub(crate) fn bind_dev(config: &mut Value, dev: &Path) {
    config["root"]["readonly"] = json!(false);
    config["linux"]["maskedPaths"] = json!([]);
    with_image_dev(config);
    conformance::change::push(
        config,
        json!({ "destination": "/dev", "type": "bind", "source": dev, "options": ["rbind"] }),
    );
}

/// Removes the mounts at and below /dev: the image's /dev stays.
pub(crate) fn with_image_dev(config: &mut Value) {
    if let Some(mounts) = config["mounts"].as_array_mut() {
        mounts.retain(|mount| !mount["destination"].as_str().is_some_and(|to| to.starts_with("/dev")));
    }
}

/// Adds an entry of linux.namespaces.
pub(crate) fn add_namespace(config: &mut Value, namespace: Value) {
    if let Some(list) = config["linux"]["namespaces"].as_array_mut() {
        list.push(namespace);
    }
}

// --- hooks ---

/// Returns a hook that appends a report to the bundle's log (see [`reports`]).
pub(crate) fn probe_hook(bundle: &Bundle, kind: &str, name: &str, env: &[&str]) -> Value {
    let log = if kind == "startContainer" { "/log".into() } else { bundle.rootfs("log") };
    // Long enough to show a peer that does not wait for the hook.
    let delay = if kind == "startContainer" { "100" } else { "0" };
    let mut hook = hook(bundle, kind, &["after", delay, "hook", &log.display().to_string(), name]);
    hook["env"] = json!(env);
    hook
}

/// Returns a hook that executes the probe. Its path is the container's for a startContainer hook,
/// and the host's for the others.
pub(crate) fn hook(bundle: &Bundle, kind: &str, args: &[&str]) -> Value {
    let path = if kind == "startContainer" { "/probe".into() } else { bundle.rootfs("probe") };
    let args = [&["probe"], args].concat();
    json!({ "path": path, "args": args })
}

/// Reads the reports of the hooks that have run so far.
pub(crate) fn reports(log: &Path) -> Result<Vec<HookReport>> {
    let text = std::fs::read_to_string(log).unwrap_or_default();
    // The last line may be half written.
    let complete = text.rfind('\n').map_or("", |end| &text[..end]);
    complete.lines().map(|line| serde_json::from_str(line).doing(line)).collect()
}

// --- the host ---

/// Returns this program's namespace, as /proc/self/ns/`file` names it.
pub(crate) fn own_namespace(file: &str) -> Result<String> {
    let link = std::fs::read_link(format!("/proc/self/ns/{file}")).doing("readlink")?;
    Ok(link.display().to_string())
}

/// A pair of interfaces in the runtime's network namespace, until it is dropped.
pub(crate) struct Device {
    pub(crate) name: &'static str,
}

impl Device {
    pub(crate) fn new(name: &'static str) -> Result<Self> {
        ip(&format!("link add {name} type veth peer name {name}-peer"))?;
        Ok(Device { name })
    }
}

impl Drop for Device {
    fn drop(&mut self) {
        // The kernel removes the pair with the container's namespace, some time later.
        let _gone = ip(&format!("link delete {}-peer", self.name));
    }
}

/// Runs ip(8), which must succeed.
pub(crate) fn ip(args: &str) -> Result {
    let output = Command::new("ip").args(args.split(' ')).output().doing("ip")?;
    ensure!(output.status.success(), "ip {args}: {}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}
