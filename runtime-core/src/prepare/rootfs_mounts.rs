// SPDX-License-Identifier: Apache-2.0
//! The mounts that the caller gives for the root file system: `ContainerBuilder::rootfs_mounts`.

use super::mounts::filesystem;
use super::trees::HostFile;
use crate::boundary::plan::{FsOptions, Mount, MountKind, NewMount};
use crate::boundary::step::Call;
use crate::boundary::tree::{IdMap, Shape, Tree};
use crate::child::rootfs_maker::Place;
use crate::config::field::{c_string, unsupported};
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
use std::os::fd::{BorrowedFd, OwnedFd};
use std::sync::Arc;

/// Makes the mounts, as a detached tree. Fails if `cancel` becomes readable meanwhile.
pub(crate) fn make(
    mounts: &[RootfsMount],
    place: &Place<'_>,
    cancel: Option<BorrowedFd<'_>>,
) -> Result<OwnedFd> {
    let (mut all, mut origins) = (Vec::new(), Vec::new());
    for (i, m) in mounts.iter().enumerate() {
        let at = format_args!("rootfs_mounts[{i}]");
        match (&m.layers, &m.mount.source) {
            (Some(map), MountSource::New { options, .. }) => {
                let (layers, options) = mapped_layers(at, options, map, place)?;
                all.extend(layers);
                all.push(plan(at, &m.mount, Some(&options), place)?);
            }
            _ => all.push(plan(at, &m.mount, None, place)?),
        }
        origins.resize(all.len(), i);
    }
    helpers::make_rootfs(place, &mut all, &origins, cancel)
}

/// Makes the plan of the mounts that an overlay with id-mapped layers is made of: a tmpfs, which the
/// overlay then covers, and in it the layers. Overlayfs takes its layers by path, with their mappings.
/// Returns the options of the overlay, too, with one for each layer (since Linux 6.7): for a page of
/// options, a mount point of its own would cover the layers.
fn mapped_layers(
    at: Arguments<'_>,
    options: &[FsOption],
    map: &IdMapConfig,
    place: &Place<'_>,
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
    let mut mounts = vec![mount(c".", c"tmpfs", MountKind::New(scratch))];
    let mut own = Vec::new();
    for option in options {
        if option.key.as_c_str() != c"lowerdir" {
            own.push(option.clone());
            continue;
        }
        for layer in filesystem::layers(at, option)? {
            let Some(source) = &layer.value else { continue };
            let name = (mounts.len() - 1).to_string();
            let tree = bind(at, source, Depth::One, Follow::Yes, Some(map), place)?;
            mounts.push(mount(&c_string(at, &name)?, source, tree));
            own.push(FsOption {
                key: layer.key,
                value: Some(c_string(at, &format!("{}/{name}", place.path))?),
            });
        }
    }
    Ok((mounts, own))
}

/// Makes the plan of a mount without options.
fn mount(destination: &CStr, source: &CStr, what: MountKind) -> Mount {
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

/// Makes the plan of a mount. `instead` are the options of the file system, if not those of `m`.
fn plan(
    at: Arguments<'_>,
    m: &MountConfig,
    instead: Option<&[FsOption]>,
    place: &Place<'_>,
) -> Result<Mount> {
    let (source, what) = match &m.source {
        MountSource::Bind { path, depth, follow, id_map } => {
            (path, bind(at, path, *depth, *follow, id_map.as_ref(), place)?)
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
        ..mount(&m.destination, source, what)
    })
}

/// Clones the source of a bind mount. Like the rootfs of a bundle, the clone propagates no mount to
/// its source.
fn bind(
    at: Arguments<'_>,
    path: &CStr,
    depth: Depth,
    follow: Follow,
    map: Option<&IdMapConfig>,
    place: &Place<'_>,
) -> Result<MountKind> {
    let id_map = match map {
        Some(map) => {
            let namespace = Arc::new(helpers::user_namespace(&map.uid, &map.gid)?);
            Some(IdMap { namespace, depth: map.depth })
        }
        None => None,
    };
    let failed = |errno, call: &str| {
        let error = Error::os(errno, format!("{call} {}", show(path)));
        error.wrap_as(ErrorKind::Setup, format!("{at}.source")).at(&format!("{at}.source"))
    };
    let open = if follow == Follow::No { HostFile::open_last } else { HostFile::open };
    let file = open(path).map_err(|errno| failed(errno, "open"))?;
    let propagation = [Some((MS_SLAVE, Depth::All)), (!place.receives).then_some((MS_PRIVATE, Depth::One))];
    let shape = Shape { depth, propagation, id_map };
    let leaf = file.leaf;
    match shape.clone_tree(std::os::fd::AsFd::as_fd(&file)) {
        Ok(tree) => Ok(MountKind::Tree { tree: Tree::Cloned(tree), leaf }),
        Err((Call::MapIds, errno)) => Err(explain::map_ids(failed(errno, Call::MapIds.name()), errno)),
        Err((call, errno)) => Err(failed(errno, call.name())),
    }
}
