// SPDX-License-Identifier: Apache-2.0
//! Attacks by a user of the host on the runtime's files.

use conformance::Result;
use conformance::score::Score;
use std::fs::OpenOptions;
use std::os::unix::fs::{OpenOptionsExt, symlink};
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::path::Path;

pub(crate) fn run(score: &Score, words: &[&str]) -> Result {
    match words {
        ["open", directory] => open(score, Path::new(directory)),
        ["pid-file", file, secret] => pid_file(score, Path::new(file), secret),
        _ => Err(format!("no such verb: {words:?}")),
    }
}

/// Opens the files of a container's state as soon as they exist, by the names that runtimes use.
fn open(score: &Score, directory: &Path) -> Result {
    const NAMES: [&str; 9] = [
        "",
        "state.json",
        "state.json.new",
        "exec.fifo",
        "seccomp.bpf",
        "status",
        "config.json",
        "notify/notify.sock",
        "notify/socket",
    ];
    score.set_ready();
    loop {
        score.count_near();
        for path in NAMES.map(|name| directory.join(name)) {
            let opens = |write: bool| {
                let mut options = OpenOptions::new();
                options.read(!write).write(write).custom_flags(nix::libc::O_NONBLOCK);
                options.open(&path).is_ok()
            };
            let connects = || UnixStream::connect(&path).is_ok() || connects_datagram(&path);
            if opens(false) || opens(true) || connects() {
                println!("opened {}", path.display());
                score.count_success();
            }
        }
    }
}

fn connects_datagram(path: &Path) -> bool {
    UnixDatagram::unbound().is_ok_and(|socket| socket.connect(path).is_ok())
}

/// Replaces the file for the pid, which root is about to write, by links to the host's file.
fn pid_file(score: &Score, file: &Path, secret: &str) -> Result {
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    let names = [name.to_string(), format!(".{name}"), format!("{name}.new"), format!("{name}~")];
    score.set_ready();
    loop {
        for path in names.iter().map(|name| file.with_file_name(name)) {
            if symlink(secret, &path).is_ok() {
                score.count_near();
            }
        }
        for path in names.iter().map(|name| file.with_file_name(name)) {
            // The file may have been replaced meanwhile, which is as good.
            let _removed = std::fs::remove_file(path);
        }
    }
}
