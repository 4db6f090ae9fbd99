// SPDX-License-Identifier: Apache-2.0
//! The steps for `mounts`.

use super::plan::{PlannedMount, PlannedMountKind};
use super::words::{
    Name, absolute, attributes, cleared_attributes, id_map, propagation, set_attributes, text,
};
use crate::boundary::plan::{FsOptions, Mount, MountKind, NewMount, Parameters};
use crate::boundary::tree::{Cloner, Shape, Tree, TreeSource};
use crate::config::mounts::{Flags, IdMap, Mount as MountConfig, MountSource};
use crate::config::namespaces::Namespaces;
use runtime_sys::mount::{Depth, attr};
use std::ffi::CStr;

/// Returns the details of a mount. `config` is the entry that the plan of it was made from.
pub(super) fn mount(m: &Mount, config: &MountConfig, namespaces: &Namespaces) -> PlannedMount {
    let mut planned = PlannedMount {
        kind: PlannedMountKind::Bind,
        destination: absolute(&m.destination),
        source: text(&m.source),
        of_container: false,
        filesystem: None,
        recursive: false,
        attributes: Vec::new(),
        cleared: Vec::new(),
        options: Vec::new(),
        propagation: Vec::new(),
        id_map: Vec::new(),
        cloned_by: None,
    };
    if let Some(change) = &m.attr {
        planned.attributes = set_attributes(change.set, change.clear, Depth::One);
        planned.cleared = cleared_attributes(change.set, change.clear, Depth::One);
    }
    planned.attributes.extend(set_attributes(m.all.set, m.all.clear, Depth::All));
    planned.cleared.extend(cleared_attributes(m.all.set, m.all.clear, Depth::All));
    match &m.what {
        MountKind::Tree { tree, .. } => {
            if let Tree::Later(later) = tree {
                shaped(&mut planned, &later.shape);
                // The host's mount stands in for a new one.
                if let (TreeSource::Named { name, .. }, MountSource::New { .. }) =
                    (&later.source, &config.source)
                {
                    planned.source = text(name);
                }
                planned.cloned_by = Some(cloner(later.cloner));
            }
        }
        MountKind::FromContainer(inside) => {
            planned.source = absolute(&inside.path);
            planned.of_container = true;
            planned.recursive = inside.depth == Depth::All;
            planned.cloned_by = Some(cloner(if inside.by_helper { Cloner::Helper } else { Cloner::Child }));
        }
        MountKind::New(new) => made(&mut planned, new, m.readonly_later),
        MountKind::Symlink { target } => {
            planned.kind = PlannedMountKind::Symlink;
            planned.source = text(target);
        }
        MountKind::Remount(change) => {
            planned.kind = PlannedMountKind::Remount;
            planned.options = parameters(&change.parameters);
        }
    }
    planned.propagation.extend(m.propagation.iter().map(|(flag, depth)| propagation(*flag, *depth)));
    planned.propagation.dedup();
    if let MountSource::Bind { id_map: Some(map), .. } = &config.source {
        planned.id_map = mapped(map, namespaces);
    }
    planned
}

fn shaped(planned: &mut PlannedMount, shape: &Shape) {
    planned.recursive = shape.depth == Depth::All;
    let changes = shape.propagation.iter().flatten();
    planned.propagation.extend(changes.map(|(flag, depth)| propagation(*flag, *depth)));
}

fn made(planned: &mut PlannedMount, new: &NewMount, readonly_later: bool) {
    let later = if readonly_later { attr::RDONLY } else { 0 };
    planned.kind = PlannedMountKind::New;
    planned.filesystem = Some(text(&new.fstype));
    planned.attributes =
        attributes(new.attr | later).into_iter().chain(planned.attributes.drain(..)).collect();
    planned.options = match &new.options {
        FsOptions::Parameters(all) => parameters(all),
        FsOptions::Page { flags, data, .. } => {
            let words = Flags { set: *flags, cleared: 0 }.superblock_words().map(text);
            words.chain([text(data)]).filter(|text| !text.is_empty()).collect()
        }
    };
    if new.copy_up {
        planned.options.push("tmpcopyup".to_owned());
    }
}

/// Returns the parameters as options, without the source, which they have, too.
fn parameters(all: &Parameters) -> Vec<String> {
    let is_source = |key: &CStr| key == c"source";
    let others = all.iter().filter(|(key, _)| !is_source(key));
    others
        .map(|(key, value)| match value {
            Some(value) => format!("{}={}", text(key), text(value)),
            None => text(key),
        })
        .collect()
}

fn mapped(map: &IdMap, namespaces: &Namespaces) -> Vec<String> {
    let (uid, gid) = match map.uid.is_empty() {
        true => (&namespaces.uid_map, &namespaces.gid_map),
        false => (&map.uid, &map.gid),
    };
    let lines =
        |name: &'static str, ranges| id_map(ranges).into_iter().map(move |line| format!("{name} {line}"));
    lines("uid", uid).chain(lines("gid", gid)).collect()
}

/// Returns the name of the process that clones a tree.
fn cloner(cloner: Cloner) -> &'static str {
    match cloner {
        Cloner::Parent => "runtime",
        Cloner::Helper => "helper",
        Cloner::Child => "init",
    }
}

/// Returns the words for a mount, in the manner of mount(8).
pub(super) fn words(m: &PlannedMount) -> String {
    let (source, destination) = (Name(&m.source), Name(&m.destination));
    let of = if m.of_container { "the container's " } else { "" };
    let mut out = match m.kind {
        PlannedMountKind::New => {
            format!("{source} on {destination} type {}", m.filesystem.as_deref().unwrap_or_default())
        }
        PlannedMountKind::Bind if m.recursive => format!("{of}{source} with its mounts on {destination}"),
        PlannedMountKind::Bind => format!("{of}{source} on {destination}"),
        PlannedMountKind::Symlink => return format!("make the link {destination} to {source}"),
        PlannedMountKind::Remount => format!("remount {destination}"),
    };
    // A bind mount loses all restrictions of its source that the options do not name.
    let cleared = if m.kind == PlannedMountKind::Remount { m.cleared.as_slice() } else { &[] };
    let all = [m.attributes.as_slice(), cleared, &m.options, &m.propagation];
    let all: Vec<&str> = all.into_iter().flatten().map(String::as_str).collect();
    if !all.is_empty() {
        out.push_str(&format!(" ({})", all.join(",")));
    }
    if !m.id_map.is_empty() {
        out.push_str(&format!(
            "; id mappings (ID of the file system, ID of the mount, count): {}",
            m.id_map.join(", ")
        ));
    }
    out
}
