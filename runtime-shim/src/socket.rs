// SPDX-License-Identifier: Apache-2.0
//! The socket of a shim: one for each group of containers, named by a hash.

use crate::status::{Result, Status};
use runtime_sys::{fd, text};
use sha2::{Digest, Sha256};
use std::fmt::Write;
use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::os::unix::fs::DirBuilderExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The directory of the sockets, if containerd names no other.
pub(crate) const DIRECTORY: &str = "/run/containerd/s";

/// The time for a shim to take a connection.
const PATIENCE: Duration = Duration::from_secs(1);

/// The time for the kernel to close the socket of a shim that was killed.
const ENDING: Duration = Duration::from_millis(200);
const TRIES: usize = 3;

/// Returns the path of the socket for a group in a namespace of the containerd at `address`.
pub(crate) fn path(directory: &str, address: &str, namespace: &str, group: &str) -> PathBuf {
    let name = format!("{}/{namespace}/{group}", address.trim_end_matches('/'));
    let mut hash = String::with_capacity(64);
    for byte in Sha256::digest(name.as_bytes()) {
        // Into a `String` this never fails.
        runtime_sys::ignore(write!(hash, "{byte:02x}"));
    }
    Path::new(directory).join(hash)
}

/// Listens on the socket at `path`; `None` if a shim already does. The socket of a dead shim is
/// replaced. Only root can connect.
pub(crate) fn listen(path: &Path) -> Result<Option<UnixListener>> {
    let _locked = lock(path)?;
    // Set before the socket exists, so that it never has another mode. There is one thread.
    let former = fd::umask(0o177);
    let bound = bind(path);
    fd::umask(former);
    bound
}

fn bind(path: &Path) -> Result<Option<UnixListener>> {
    let mut bound = UnixListener::bind(path);
    if bound.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::AddrInUse) {
        if !is_dead(path) {
            return Ok(None);
        }
        remove_file(path)?;
        bound = UnixListener::bind(path);
    }
    bound.map(Some).map_err(|error| Status::io(&error, format_args!("bind {}", path.display())))
}

/// Removes the socket at `path` if no shim listens on it. A shim that was just killed may not have closed
/// it: the end of a connection tells that.
pub(crate) fn remove_dead(path: &Path) -> Result<()> {
    let _locked = lock(path)?;
    for _ in 0..TRIES {
        match connect(path) {
            Ok(connection) if !has_end(&connection) => return Ok(()),
            Ok(_) => {}
            Err(errno) if is_of_the_dead(errno) => return remove_file(path),
            Err(_) => return Ok(()),
        }
    }
    Ok(())
}

/// Returns true if nobody listens on the socket, or it is gone by now. A shim that is too busy to take a
/// connection lives.
fn is_dead(path: &Path) -> bool {
    connect(path).is_err_and(is_of_the_dead)
}

fn connect(path: &Path) -> runtime_sys::Result<UnixStream> {
    runtime_sys::socket::connect_within(path.as_os_str().as_encoded_bytes(), PATIENCE).map(UnixStream::from)
}

fn is_of_the_dead(errno: runtime_sys::Errno) -> bool {
    matches!(errno, runtime_sys::Errno::ECONNREFUSED | runtime_sys::Errno::ENOENT)
}

/// Returns true if a connection, on which a shim says nothing first, ends within a short time.
fn has_end(connection: &UnixStream) -> bool {
    let mut connection = connection;
    let ended = connection.set_read_timeout(Some(ENDING)).and_then(|()| connection.read(&mut [0]));
    ended.map_or_else(|error| error.kind() == io::ErrorKind::ConnectionReset, |length| length == 0)
}

/// Removes the socket of this shim.
pub(crate) fn remove_file(path: &Path) -> Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(Status::io(&error, format_args!("unlink {}", path.display())))
        }
        _ => Ok(()),
    }
}

/// Makes and locks the directory of a socket: between bind(2) and listen(2), a socket looks like that
/// of a dead shim.
fn lock(socket: &Path) -> Result<OwnedFd> {
    let directory = socket.parent().unwrap_or(Path::new("/"));
    let failed =
        |error: io::Error, call: &str| Status::io(&error, format_args!("{call} {}", directory.display()));
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(directory)
        .map_err(|error| failed(error, "mkdir"))?;
    let name = text::c_str(directory.as_os_str().as_encoded_bytes())
        .map_err(|errno| failed(errno.into(), "open"))?;
    let opened = fd::open_follow(fd::CWD, &name, libc::O_RDONLY | libc::O_DIRECTORY, 0);
    let opened = opened.map_err(|errno| failed(errno.into(), "open"))?;
    fd::flock(&opened, libc::LOCK_EX).map_err(|errno| failed(errno.into(), "flock"))?;
    Ok(opened)
}

#[cfg(test)]
#[allow(clippy::disallowed_methods)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_a_socket_is_that_of_containerd() {
        // printf '%s' /run/containerd/containerd.sock/k8s.io/pod | sha256sum
        let path = path(DIRECTORY, "/run/containerd/containerd.sock", "k8s.io", "pod");
        let hash = "b9cab8e84f817f3c3bb561c7ea8dcbfba051d5d8f56ec2c3f204bc387d13f7d0";
        assert_eq!(path, Path::new(DIRECTORY).join(hash));
    }

    #[test]
    fn the_socket_of_a_dead_shim_is_replaced_and_that_of_a_live_one_is_kept() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("s/socket");
        let former = fd::umask(0o027);
        let first = listen(&path).unwrap().unwrap();
        assert_eq!(std::os::unix::fs::MetadataExt::mode(&std::fs::metadata(&path).unwrap()) & 0o777, 0o600);
        assert!(listen(&path).unwrap().is_none());
        assert_eq!(fd::umask(former), 0o027, "the program that is started inherits it");
        remove_dead(&path).unwrap();
        assert!(std::fs::symlink_metadata(&path).is_ok());
        drop(first);
        let second = listen(&path).unwrap().unwrap();
        // As a shim that was killed, and whose descriptors are being closed.
        let ending = std::thread::spawn(move || {
            std::thread::sleep(ENDING / 4);
            drop(second);
        });
        remove_dead(&path).unwrap();
        assert!(std::fs::symlink_metadata(&path).is_err());
        ending.join().unwrap();
        remove_dead(&path).unwrap();
        // Like a socket that is removed after bind(2) has found it.
        std::os::unix::fs::symlink("nowhere", &path).unwrap();
        assert!(listen(&path).unwrap().is_some());
    }
}
