// SPDX-License-Identifier: Apache-2.0
//! `start`: returns the address of the shim of a container. The containers of a pod have one.

use crate::args::Args;
use crate::bootstrap::Bootstrap;
use crate::status::{Code, Result, Status};
use crate::{record, socket};
use runtime_sys::{fd, process, text};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};

/// The annotations with the group of a container, in the order of runc's shim.
const GROUPS: [&str; 2] = ["io.containerd.runc.v2.group", "io.kubernetes.cri.sandbox-id"];
/// The size of a config.json that is read; the library reads no more, either.
const CONFIG_MAX: usize = 16 << 20;

/// The only part of config.json that `start` needs.
#[derive(Deserialize)]
struct Config {
    #[serde(default)]
    annotations: Option<BTreeMap<String, String>>,
}

/// Starts the shim of the container's group, unless it runs, and returns the answer for containerd.
pub(crate) fn start(args: &Args, input: &[u8]) -> Result<Vec<u8>> {
    // A descriptor that containerd has left open must not live as long as the shim.
    let failed = |errno: runtime_sys::Errno| Status::io(&errno.into(), "close_range");
    fd::close_range(3, i32::MAX, libc::CLOSE_RANGE_CLOEXEC).map_err(failed)?;
    let bootstrap = Bootstrap::new(args, input, |name| std::env::var(name).ok())?;
    let group = group(Path::new("."), &args.id)?;
    let path = socket::path(&bootstrap.socket_dir, &args.address, &args.namespace, &group);
    let address = format!("unix://{}", path.display());
    // First, because `delete` finds the socket by it.
    record::write_address(Path::new("."), &address)?;
    match listen_and_spawn(args, &bootstrap, &path) {
        Ok(()) => Ok(bootstrap.answer(address)),
        Err(error) => {
            record::remove_address(Path::new("."))?;
            Err(error)
        }
    }
}

/// Starts the shim whose socket is at `path`, unless it runs.
fn listen_and_spawn(args: &Args, bootstrap: &Bootstrap, path: &Path) -> Result<()> {
    let Some(listener) = socket::listen(path)? else { return Ok(()) };
    let started = adjust(bootstrap).and_then(|()| {
        // Its name in ps(1) is that of the program, not `exe`.
        let program =
            std::env::current_exe().map_err(|error| Status::io(&error, "readlink /proc/self/exe"))?;
        let mut shim = Command::new(program);
        shim.args(["-namespace", &args.namespace, "-id", &args.id, "-address", &args.address]);
        if bootstrap.debug {
            shim.arg("-debug");
        }
        // The socket is standard input, because std passes no other descriptors. containerd reads
        // standard output to its end, so the shim must not have it.
        shim.stdin(OwnedFd::from(listener)).stdout(Stdio::null()).stderr(Stdio::null());
        shim.env("TTRPC_ADDRESS", &bootstrap.ttrpc_address).process_group(0);
        shim.spawn().map_err(|error| Status::io(&error, "starting the shim"))
    });
    if let Err(error) = started {
        socket::remove_file(path)?;
        return Err(error);
    }
    Ok(())
}

/// Returns the group of the container whose bundle is `bundle`: by default, its id.
pub(crate) fn group(bundle: &Path, id: &str) -> Result<String> {
    let path = bundle.join("config.json");
    let failed =
        |errno: runtime_sys::Errno| Status::io(&errno.into(), format_args!("open {}", path.display()));
    let name = text::c_str(path.as_os_str().as_encoded_bytes()).map_err(failed)?;
    let json =
        fd::open_follow(fd::CWD, &name, libc::O_RDONLY, 0).and_then(|file| fd::read_all(file, CONFIG_MAX));
    let config: Config = serde_json::from_slice(&json.map_err(failed)?)
        .map_err(|error| Status::new(Code::InvalidArgument, format!("{}: {error}", path.display())))?;
    let annotations = config.annotations.unwrap_or_default();
    let named = GROUPS.iter().find_map(|name| annotations.get(*name));
    Ok(named.cloned().unwrap_or_else(|| id.to_owned()))
}

/// Changes what the shim inherits from this process.
fn adjust(bootstrap: &Bootstrap) -> Result<()> {
    let failed = |errno: runtime_sys::Errno, what: &str| Status::io(&errno.into(), what);
    if std::env::var_os("SCHED_CORE").is_some_and(|value| !value.is_empty()) {
        process::create_core_cookie().map_err(|errno| failed(errno, "SCHED_CORE: prctl(PR_SCHED_CORE)"))?;
    }
    let cgroup = &bootstrap.options.shim_cgroup;
    if !cgroup.is_empty() {
        let mount = if runtime_core::is_unified() { "/sys/fs/cgroup" } else { "/sys/fs/cgroup/unified" };
        let procs = format!("{mount}/{}/cgroup.procs", cgroup.trim_matches('/'));
        write(&procs, "0")?;
    }
    let parent = std::os::unix::process::parent_id();
    let score = std::fs::read_to_string(format!("/proc/{parent}/oom_score_adj"))
        .and_then(|text| text.trim().parse::<i32>().map_err(io::Error::other))
        .map_err(|error| Status::io(&error, format_args!("/proc/{parent}/oom_score_adj")))?;
    const MAX: i32 = 1000;
    // The kernel should kill the shim before containerd.
    write("/proc/self/oom_score_adj", &(score + 1).min(MAX).to_string())
}

fn write(path: &str, content: &str) -> Result<()> {
    let name = text::c_str(path).map_err(|errno| Status::io(&errno.into(), path))?;
    let written = fd::write_file(fd::CWD, &name, content.as_bytes());
    written.map_err(|errno| Status::io(&errno.into(), format_args!("write {path}")))
}
