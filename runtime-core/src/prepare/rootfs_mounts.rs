// SPDX-License-Identifier: Apache-2.0
//! The mounts that the caller gives for the root file system: `ContainerBuilder::rootfs_mounts`.

use super::mounts::filesystem;
use super::mounts::user_namespaces::UserNamespaces;
use super::trees::HostFile;
use crate::boundary::plan::{FsOptions, Mount, MountKind, NewMount};
use crate::boundary::step::Call;
use crate::boundary::tree::{IdMap, Shape, Tree};
use crate::child::rootfs_maker::Place;
use crate::config::field::{c_string, invalid, unsupported};
use crate::config::mounts::{
    Filesystem, Follow, FsOption, IdMap as IdMapConfig, Mount as MountConfig, MountSource,
};
use crate::config::rootfs_mounts::RootfsMount;
use crate::error::{Error, ErrorKind, Result};
use crate::parent::{explain, helpers};
use crate::path::show;
use libc::{MS_PRIVATE, MS_SLAVE};
use runtime_sys::mount::{Depth, MountAttr, attr};
use std::ffi::CStr;
use std::fmt::Arguments;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// Makes the mounts, as a detached tree. Fails if `cancel` becomes readable meanwhile.
pub(crate) fn make(
    mounts: &[RootfsMount],
    place: &Place<'_>,
    cancel: Option<BorrowedFd<'_>>,
) -> Result<OwnedFd> {
    let mut planner = Planner { place, user_namespaces: UserNamespaces::default() };
    let (mut all, mut origins) = (Vec::new(), Vec::new());
    for (i, m) in mounts.iter().enumerate() {
        let at = format_args!("rootfs_mounts[{i}]");
        if let MountSource::New { fstype, options, .. } = &m.mount.source
            && fstype.as_c_str() == c"overlay"
        {
            check_paths(at, options)?;
        }
        match (&m.layers, &m.mount.source) {
            (Some(map), MountSource::New { options, .. }) => {
                let (layers, options) = planner.mapped_layers(at, options, map)?;
                all.extend(layers);
                all.push(planner.mount(at, &m.mount, Some(&options))?);
            }
            _ => all.push(planner.mount(at, &m.mount, None)?),
        }
        origins.resize(all.len(), i);
    }
    helpers::make_rootfs(place, &mut all, &origins, cancel)
}

/// Refuses relative paths in the options of an overlay: the process that mounts has another working directory
/// than the caller.
fn check_paths(at: Arguments<'_>, options: &[FsOption]) -> Result<()> {
    const PATHS: [&CStr; 5] = [c"lowerdir", c"lowerdir+", c"datadir+", c"upperdir", c"workdir"];
    for option in options.iter().filter(|option| PATHS.contains(&option.key.as_c_str())) {
        for path in filesystem::layers(at, option)?.iter().filter_map(|part| part.value.as_deref()) {
            if !path.to_bytes().starts_with(b"/") {
                let (key, path) = (option.key.to_string_lossy(), path.to_string_lossy());
                let why =
                    format_args!("{key}: {path:?}: a path in the options of an overlay must be absolute");
                return Err(invalid(format_args!("{at}.options"), why));
            }
        }
    }
    Ok(())
}

/// The state that all mounts share.
struct Planner<'a> {
    place: &'a Place<'a>,
    user_namespaces: UserNamespaces<'a>,
}

impl<'a> Planner<'a> {
    /// Makes the plan of the mounts that an overlay with id-mapped layers is made of: a tmpfs, which the
    /// overlay then covers, and in it the layers. Overlayfs takes its layers by path, with their mappings.
    /// Returns the options of the overlay, too, with one for each layer (since Linux 6.7).
    fn mapped_layers(
        &mut self,
        at: Arguments<'_>,
        options: &[FsOption],
        map: &'a IdMapConfig,
    ) -> Result<(Vec<Mount>, Vec<FsOption>)> {
        let scratch = NewMount {
            fstype: c"tmpfs".to_owned(),
            options: FsOptions::Parameters([].into()),
            attr: attr::NOSUID | attr::NODEV | attr::NOEXEC,
            shows: None,
            label: None,
            readonly_superblock: false,
            copy_up: false,
            mode_of_target: false,
        };
        let mut mounts = vec![plain(c".", c"tmpfs", MountKind::New(scratch))];
        let mut own = Vec::new();
        for option in options {
            if option.key.as_c_str() != c"lowerdir" {
                own.push(option.clone());
                continue;
            }
            for layer in filesystem::layers(at, option)? {
                let Some(source) = &layer.value else { continue };
                let name = (mounts.len() - 1).to_string();
                let named = format_args!("{at}.options");
                let tree = self.bind((at, named), source, Depth::One, Follow::Yes, Some(map))?;
                mounts.push(plain(&c_string(at, &name)?, source, tree));
                let path = format!("{}/{name}", self.place.path);
                own.push(FsOption { key: layer.key, value: Some(c_string(at, &path)?) });
            }
        }
        Ok((mounts, own))
    }

    /// Makes the plan of a mount. `instead` are the options of the file system, if not those of `m`.
    fn mount(
        &mut self,
        at: Arguments<'_>,
        m: &'a MountConfig,
        instead: Option<&[FsOption]>,
    ) -> Result<Mount> {
        let (source, what) = match &m.source {
            MountSource::Bind { path, depth, follow, id_map } => {
                let named = format_args!("{at}.source");
                (path, self.bind((at, named), path, *depth, *follow, id_map.as_ref())?)
            }
            MountSource::New { kind, fstype, source, options, copy_up } => {
                let options = instead.unwrap_or(options);
                let new = NewMount {
                    fstype: fstype.clone(),
                    options: filesystem::options(at, m, (*kind, fstype), source, options, None)?,
                    attr: m.flags.new_attr(),
                    shows: None,
                    label: None,
                    readonly_superblock: *kind == Filesystem::Other,
                    copy_up: *copy_up,
                    mode_of_target: false,
                };
                (source, MountKind::New(new))
            }
            MountSource::Remount { .. } => return Err(unsupported(at, "remount")),
        };
        let is_bind = matches!(what, MountKind::Tree { .. });
        Ok(Mount {
            no_follow: m.no_follow,
            attr: m.flags.bind_attr().filter(|_| is_bind),
            all: m.all,
            propagation: m.propagation.clone().into(),
            ..plain(&m.destination, source, what)
        })
    }

    /// Clones the source of a bind mount. Like the rootfs of a bundle, the clone propagates no mount to
    /// its source. `at` is the name of the mount in errors, and `named` that of the property with the path.
    fn bind(
        &mut self,
        (at, named): (Arguments<'_>, Arguments<'_>),
        path: &CStr,
        depth: Depth,
        follow: Follow,
        map: Option<&'a IdMapConfig>,
    ) -> Result<MountKind> {
        let id_map = match map {
            Some(map) => {
                let namespace = self.user_namespaces.get(at, &map.uid, &map.gid)?;
                Some(IdMap { namespace, depth: map.depth })
            }
            None => None,
        };
        let failed = |errno, call: &str| {
            let error = Error::os(errno, format!("{call} {}", show(path)));
            error.wrap_as(ErrorKind::Setup, named.to_string()).at(&named.to_string())
        };
        let open = if follow == Follow::No { HostFile::open_last } else { HostFile::open };
        let file = open(path).map_err(|errno| failed(errno, "open"))?;
        let private = (!self.place.receives).then_some((MS_PRIVATE, Depth::One));
        let shape = Shape { depth, propagation: [Some((MS_SLAVE, Depth::All)), private], id_map };
        let leaf = file.leaf;
        match shape.clone_tree(file.as_fd()) {
            Ok(tree) => Ok(MountKind::Tree { tree: Tree::Cloned(tree), leaf }),
            Err((Call::MapIds, errno)) => Err(explain::map_ids(failed(errno, Call::MapIds.name()), errno)),
            Err((call, errno)) => Err(failed(errno, call.name())),
        }
    }
}

/// Makes the plan of a mount without options.
fn plain(destination: &CStr, source: &CStr, what: MountKind) -> Mount {
    Mount {
        destination: destination.to_owned(),
        source: source.to_owned(),
        what,
        no_follow: false,
        attr: None,
        all: MountAttr::default(),
        propagation: [].into(),
        readonly_later: false,
        attached: None,
        id: 0,
    }
}
