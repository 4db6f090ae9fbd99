// SPDX-License-Identifier: Apache-2.0
//! The mounts that the caller gives for the root file system: `ContainerBuilder::rootfs_mounts`.

use super::mounts::filesystem;
use super::trees::HostFile;
use crate::boundary::plan::{Mount, MountKind, NewMount};
use crate::boundary::step::Call;
use crate::boundary::tree::{IdMap, Shape, Tree};
use crate::child::rootfs_maker::Place;
use crate::config::field::unsupported;
use crate::config::mounts::{Filesystem, Follow, IdMap as IdMapConfig, Mount as MountConfig, MountSource};
use crate::error::{Error, ErrorKind, Result};
use crate::parent::{explain, helpers};
use crate::path::show;
use libc::{MS_PRIVATE, MS_SLAVE};
use runtime_sys::mount::Depth;
use std::ffi::CStr;
use std::fmt::Arguments;
use std::os::fd::OwnedFd;
use std::sync::Arc;

/// Makes the mounts, as a detached tree.
pub(crate) fn make(mounts: &[MountConfig], place: &Place<'_>) -> Result<OwnedFd> {
    let plan = |(i, m)| plan(format_args!("rootfs_mounts[{i}]"), m);
    let mut mounts = mounts.iter().enumerate().map(plan).collect::<Result<Vec<_>>>()?;
    helpers::make_rootfs(place, &mut mounts)
}

fn plan(at: Arguments<'_>, m: &MountConfig) -> Result<Mount> {
    let (source, what) = match &m.source {
        MountSource::Bind { path, depth, follow, id_map } => {
            (path, bind(at, path, *depth, *follow, id_map.as_ref())?)
        }
        MountSource::New { kind, fstype, source, options, copy_up } => {
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
        destination: m.destination.clone(),
        source: source.clone(),
        what,
        no_follow: m.no_follow,
        attr: m.flags.bind_attr().filter(|_| is_bind),
        all: m.all,
        propagation: m.propagation.clone().into(),
        readonly_later: false,
        attached: None,
        id: 0,
    })
}

/// Clones the source of a bind mount, which gets no mount from the container, as the rootfs of a
/// bundle.
fn bind(
    at: Arguments<'_>,
    path: &CStr,
    depth: Depth,
    follow: Follow,
    map: Option<&IdMapConfig>,
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
    let propagation = [Some((MS_SLAVE, Depth::All)), Some((MS_PRIVATE, Depth::One))];
    let shape = Shape { depth, propagation, id_map };
    let leaf = file.leaf;
    match shape.clone_tree(std::os::fd::AsFd::as_fd(&file)) {
        Ok(tree) => Ok(MountKind::Tree { tree: Tree::Cloned(tree), leaf }),
        Err((Call::MapIds, errno)) => Err(explain::map_ids(failed(errno, Call::MapIds.name()), errno)),
        Err((call, errno)) => Err(failed(errno, call.name())),
    }
}
