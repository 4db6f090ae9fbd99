// SPDX-License-Identifier: Apache-2.0
//! The options of the runtime in containerd's configuration.

use crate::proto::common::Any;
use crate::proto::options;
use crate::status::{Code, Result, Status};
use prost::Message;
use runtime_sys::{fd, text};
use serde::Deserialize;

/// The options of a container. Their names are those of `containerd.runc.v1.Options`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "PascalCase")]
pub(crate) struct Options {
    /// Use chroot(2) in place of pivot_root(2).
    pub(crate) no_pivot_root: bool,
    /// Leave the container in the caller's session keyring.
    pub(crate) no_new_keyring: bool,
    /// The cgroup of the shim itself.
    pub(crate) shim_cgroup: String,
    /// The owner of the pipes of the standard streams.
    pub(crate) io_uid: u32,
    /// Their group.
    pub(crate) io_gid: u32,
    /// The program that runc's shim calls.
    pub(crate) binary_name: String,
    /// The directory of the records; `ROOT/NAMESPACE` is that of one namespace.
    pub(crate) root: String,
    /// Let systemd make the cgroups.
    pub(crate) systemd_cgroup: bool,
    /// The program CRIU, in configurations from before containerd 2.
    pub(crate) criu_path: String,
    /// The directory with the files of a checkpoint, for a caller that containerd does not read it for.
    pub(crate) criu_image_path: String,
    /// The directory for CRIU's own files.
    pub(crate) criu_work_path: String,
}

const RUNC: &str = "containerd.runc.v1.Options";
const RUNC_CHECKPOINT: &str = "containerd.runc.v1.CheckpointOptions";
const LINUX_CHECKPOINT: &str = "containerd.linux.runc.CheckpointOptions";
const LINUX: &str = "containerd.linux.runc.CreateOptions";
const GENERIC: &str = "runtimeoptions.v1.Options";

/// The largest configuration file.
const FILE_MAX: usize = 1 << 20;

impl Options {
    /// Returns true for a message that [`of`](Self::of) takes.
    pub(crate) fn are(any: &Any) -> bool {
        [RUNC, LINUX, GENERIC].contains(&any.name())
    }

    /// Reads the options that a request has, of one of the types that containerd sends.
    pub(crate) fn of(any: Option<&Any>) -> Result<Self> {
        let Some(any) = any else { return Ok(Options::default()) };
        let malformed =
            |error: prost::DecodeError| invalid(format!("options of type {}: {error}", any.type_url));
        let options = match any.name() {
            // containerd sends an empty message if there are none.
            "" => Options::default(),
            RUNC => options::Runc::decode(any.value.as_slice()).map_err(malformed)?.into(),
            LINUX => options::Linux::decode(any.value.as_slice()).map_err(malformed)?.into(),
            GENERIC => Self::of_generic(&options::Generic::decode(any.value.as_slice()).map_err(malformed)?)?,
            other => {
                return Err(invalid(format!(
                    "options of the unknown type {other}: expected {RUNC} or {GENERIC}"
                )));
            }
        };
        if options.binary_name.is_empty() {
            Ok(options)
        } else {
            Err(invalid(
                "the option BinaryName: this shim calls no runtime program, it is the runtime".to_owned(),
            ))
        }
    }

    fn of_generic(generic: &options::Generic) -> Result<Self> {
        let (text, place) = if !generic.config_body.is_empty() {
            (generic.config_body.clone(), "ConfigBody")
        } else if generic.config_path.is_empty() {
            return Ok(Options::default());
        } else {
            let path =
                text::c_str(generic.config_path.as_str()).map_err(|error| invalid(error.to_string()))?;
            let read = fd::open_follow(fd::CWD, &path, libc::O_RDONLY, 0)
                .and_then(|file| fd::read_all(file, FILE_MAX));
            let read = read
                .map_err(|errno| Status::io(&errno.into(), format_args!("open {}", generic.config_path)))?;
            (read, generic.config_path.as_str())
        };
        let text = std::str::from_utf8(&text).map_err(|error| invalid(format!("{place}: {error}")))?;
        toml::from_str(text).map_err(|error| invalid(format!("{place}: {}", error.to_string().trim_end())))
    }
}

/// Reads the options of a checkpoint in the directory `path`.
pub(crate) fn of_checkpoint(any: Option<&Any>, path: &str) -> Result<options::Checkpoint> {
    let Some(any) = any else { return Ok(options::Checkpoint::default()) };
    let malformed = |error: prost::DecodeError| invalid(format!("options of type {}: {error}", any.type_url));
    let options = match any.name() {
        "" => options::Checkpoint::default(),
        RUNC_CHECKPOINT => options::Checkpoint::decode(any.value.as_slice()).map_err(malformed)?,
        LINUX_CHECKPOINT => options::LinuxCheckpoint::decode(any.value.as_slice()).map_err(malformed)?.into(),
        other => {
            return Err(invalid(format!("options of the unknown type {other}: expected {RUNC_CHECKPOINT}")));
        }
    };
    if options.image_path.is_empty() || options.image_path == path {
        return Ok(options);
    }
    // containerd 1 reads it for runc's shim only, and names a directory of its own, which it removes.
    Err(invalid(format!(
        "image_path is {:?}, but this containerd wants the images in {path:?}: make the checkpoint without \
         image_path, as an image of containerd",
        options.image_path
    )))
}

impl From<options::LinuxCheckpoint> for options::Checkpoint {
    fn from(linux: options::LinuxCheckpoint) -> Self {
        options::Checkpoint {
            exit: linux.exit,
            open_tcp: linux.open_tcp,
            external_unix_sockets: linux.external_unix_sockets,
            terminal: linux.terminal,
            file_locks: linux.file_locks,
            empty_namespaces: linux.empty_namespaces,
            cgroups_mode: linux.cgroups_mode,
            image_path: linux.image_path,
            work_path: linux.work_path,
            parent_path: String::new(),
        }
    }
}

impl From<options::Runc> for Options {
    fn from(runc: options::Runc) -> Self {
        Options {
            no_pivot_root: runc.no_pivot_root,
            no_new_keyring: runc.no_new_keyring,
            shim_cgroup: runc.shim_cgroup,
            io_uid: runc.io_uid,
            io_gid: runc.io_gid,
            binary_name: runc.binary_name,
            root: runc.root,
            systemd_cgroup: runc.systemd_cgroup,
            criu_path: runc.criu_path,
            criu_image_path: runc.criu_image_path,
            criu_work_path: runc.criu_work_path,
        }
    }
}

impl From<options::Linux> for Options {
    fn from(linux: options::Linux) -> Self {
        Options {
            no_pivot_root: linux.no_pivot_root,
            no_new_keyring: linux.no_new_keyring,
            shim_cgroup: linux.shim_cgroup,
            io_uid: linux.io_uid,
            io_gid: linux.io_gid,
            criu_image_path: linux.criu_image_path,
            criu_work_path: linux.criu_work_path,
            ..Options::default()
        }
    }
}

fn invalid(text: String) -> Status {
    Status::new(Code::InvalidArgument, text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_type_of_options_is_read() {
        let runc = options::Runc { systemd_cgroup: true, root: "/run/x".to_owned(), ..Default::default() };
        let any = Any::of("containerd.runc.v1.Options", &runc);
        let read = Options::of(Some(&any)).unwrap();
        assert_eq!(read, Options { systemd_cgroup: true, root: "/run/x".to_owned(), ..Options::default() });

        let generic = options::Generic {
            config_body: b"SystemdCgroup = true\nRoot = '/run/x'\n".to_vec(),
            ..Default::default()
        };
        let any = Any::of("type.googleapis.com/runtimeoptions.v1.Options", &generic);
        assert_eq!(Options::of(Some(&any)).unwrap(), read);
        assert_eq!(Options::of(None).unwrap(), Options::default());

        let linux = options::Linux { io_uid: 7, no_new_keyring: true, ..Default::default() };
        let read = Options::of(Some(&Any::of(LINUX, &linux))).unwrap();
        assert_eq!(read, Options { io_uid: 7, no_new_keyring: true, ..Options::default() });
    }

    #[test]
    fn options_without_a_meaning_are_errors() {
        let text = |any: &Any| {
            let error = Options::of(Some(any)).unwrap_err();
            assert_eq!(error.code, Code::InvalidArgument);
            error.message
        };
        assert!(
            text(&Any::of("other.Options", &options::Runc::default())).contains("unknown type other.Options")
        );
        let generic =
            options::Generic { config_body: b"SystemdGroup = true\n".to_vec(), ..Default::default() };
        assert!(text(&Any::of("runtimeoptions.v1.Options", &generic)).contains("SystemdGroup"));
        let runc = options::Runc { binary_name: "runc".to_owned(), ..Default::default() };
        assert!(text(&Any::of("containerd.runc.v1.Options", &runc)).contains("BinaryName"));
        let broken = Any { type_url: "containerd.runc.v1.Options".to_owned(), value: vec![0xff] };
        assert!(text(&broken).contains("containerd.runc.v1.Options"));
    }
}
