// SPDX-License-Identifier: Apache-2.0
//! The descriptors that a process of a plan needs. The process closes all others at its birth: it
//! must not have those of the runtime, of other threads of the program, or of the runtime's caller.
//!
//! Descriptors that the process replaces, and so closes, are included: the number of a descriptor
//! that was closed before could belong to another descriptor by then.
//!
//! The patterns here name every field, so that a field added to the plan has to be considered.

use crate::boundary::plan::{
    Dev, FromContainer, InitPlan, Join, Labels, Mount, MountKind, NewMount, Node, PidNamespace, Plan,
    Process, Program, Rootfs, TerminalPlan,
};
use crate::boundary::tree::{Cloner, IdMap, Later, Shape, Tree, TreeHelper, TreeSource};
use std::os::fd::{AsFd, AsRawFd, RawFd};

/// The list of descriptors.
struct Kept(Vec<RawFd>);

impl Kept {
    fn add<'a>(&mut self, fds: impl IntoIterator<Item = &'a (impl AsFd + 'a)>) {
        self.0.extend(fds.into_iter().map(|fd| fd.as_fd().as_raw_fd()));
    }
}

impl Plan {
    /// Returns the descriptors of the process that the plan is for, without those of the channel.
    pub(crate) fn descriptors(&self) -> Vec<RawFd> {
        let Plan {
            joins,
            clone_flags: _,
            // The program file comes through the channel.
            seal: _,
            labels,
            wait_go: _,
            hide: _,
            becomes_root: _,
            proc,
            root: _,
            enter,
            container,
            process,
        } = self;
        let mut held = Kept(Vec::new());
        held.add(joins.iter().map(|Join { fd, flags: _ }| fd));
        held.add(labels.as_ref().map(|Labels { proc, writes: _ }| proc));
        held.add(proc);
        held.add(enter);
        if let Some(container) = container {
            of_container(container, &mut held);
        }
        of_process(process, &mut held);
        held.0
    }

    /// Returns the descriptors of the helper that clones trees, without its sockets.
    pub(crate) fn helpers_descriptors(&self) -> Vec<RawFd> {
        let mut held = Kept(Vec::new());
        if let Some(container) = &self.container {
            of_trees(&container.rootfs, Cloner::Helper, &mut held);
        }
        held.0
    }
}

fn of_container(container: &InitPlan, held: &mut Kept) {
    let InitPlan {
        namespace_root: _,
        late_namespaces: _,
        awaits_devices: _,
        cgroup_namespace: _,
        time_namespace: _,
        network,
        loopback: _,
        hostname: _,
        domainname: _,
        rootfs,
        sysctls: _,
        barrier: _,
        awaits_filter: _,
        readonly_paths: _,
        masked_paths: _,
        mask_label: _,
    } = container;
    held.add(network);
    let Rootfs {
        root,
        tree: _,
        helper,
        own_namespace: _,
        chrooted: _,
        mount_point: _,
        pivot: _,
        readonly: _,
        propagation: _,
        mounts: _,
        covered: _,
        dev: _,
    } = rootfs;
    held.add([root]);
    held.add(helper.as_ref().and_then(|TreeHelper { socket, uses_mntns_holder: _ }| socket.as_ref()));
    of_trees(rootfs, Cloner::Child, held);
}

/// Adds the descriptors that `cloner` needs for the trees that it is to clone. The existing clones
/// belong to the init ([`Cloner::Child`]).
fn of_trees(rootfs: &Rootfs, cloner: Cloner, held: &mut Kept) {
    let add_tree = |tree: &Tree, held: &mut Kept| match tree {
        Tree::Cloned(tree) if cloner == Cloner::Child => held.add([tree]),
        Tree::Later(Later { cloner: other, source, shape }) if *other == cloner => {
            match source {
                TreeSource::Open(file) => held.add([file]),
                TreeSource::Named { .. } | TreeSource::New(_) => {}
            }
            let Shape { depth: _, propagation: _, id_map } = shape;
            of_id_map(id_map.as_ref(), held);
        }
        Tree::Cloned(_) | Tree::Later(_) | Tree::Taken => {}
    };
    add_tree(&rootfs.tree, held);
    for mount in &rootfs.mounts {
        let Mount {
            destination: _,
            source: _,
            what,
            no_follow: _,
            attr: _,
            all: _,
            propagation: _,
            readonly_later: _,
            // Not there before the child has made the mount.
            attached: _,
            id: _,
        } = mount;
        match what {
            MountKind::Tree { tree, leaf: _ } => add_tree(tree, held),
            MountKind::FromContainer(FromContainer {
                path: _,
                depth: _,
                no_follow: _,
                id_map,
                by_helper,
            }) => {
                if *by_helper == (cloner == Cloner::Helper) {
                    of_id_map(id_map.as_ref(), held);
                }
            }
            MountKind::New(NewMount {
                fstype: _,
                options: _,
                attr: _,
                shows,
                label: _,
                readonly_superblock: _,
                copy_up: _,
                mode_of_target: _,
            }) => {
                // The child opens the context later.
                if let Some(PidNamespace { joined, context: _ }) = shows
                    && cloner == Cloner::Child
                {
                    held.add([joined]);
                }
            }
            MountKind::Symlink { target: _ } | MountKind::Remount(_) => {}
        }
    }
    let Dev { place: _, nodes, links: _ } = &rootfs.dev;
    for Node { path: _, kind: _, dev: _, mode: _, uid: _, gid: _, host } in nodes {
        if let Some(tree) = host {
            add_tree(tree, held);
        }
    }
}

fn of_id_map(id_map: Option<&IdMap>, held: &mut Kept) {
    held.add(id_map.map(|IdMap { namespace, depth: _ }| &**namespace));
}

fn of_process(process: &Process, held: &mut Kept) {
    let Process {
        keyring: _,
        terminal,
        stdio,
        streams: _,
        personality: _,
        memory_policy: _,
        rlimits: _,
        umask: _,
        cwd: _,
        make_cwd: _,
        args: _,
        env: _,
        home: _,
        program,
        no_new_privileges: _,
        filter: _,
        capabilities: _,
        uid: _,
        gid: _,
        groups: _,
        keeps: _,
        enters_pid: _,
        inherited_oom_score: _,
        // The caller's descriptors. Their numbers are below those of all these.
        preserve_fds: _,
        fifo,
    } = process;
    held.add(terminal.as_ref().map(|TerminalPlan { socket, size: _ }| socket));
    held.add(stdio.iter().flatten());
    held.add(match program {
        Program::OfHost { path: _, file, by_path: _ } => Some(file),
        Program::Path(_) | Program::Search { .. } => None,
    });
    held.add(fifo);
}
