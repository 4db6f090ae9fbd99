// SPDX-License-Identifier: Apache-2.0
//! Creations that fail, or that go on after their deletion, leave nothing.

use super::*;
use crate::cgroup::Hierarchy;
use crate::cgroup::record::CgroupRecord;
use crate::config::Caller;
use crate::id::ContainerId;
use crate::ops::container::Runtime;
use crate::ops::target::CgroupManager;
use crate::spec::Spec;
use std::path::{Path, PathBuf};

/// Runs a create with this script, after which it fails. Returns the error, and the path of the
/// cgroup in the plan.
fn create(id: &str, script: impl FnOnce(&mut Transaction<'_>, &Locked, &Path)) -> (String, PathBuf) {
    create_in(id, "", script)
}

fn create_in(
    id: &str,
    cgroups_path: &str,
    script: impl FnOnce(&mut Transaction<'_>, &Locked, &Path),
) -> (String, PathBuf) {
    let root = tempfile::tempdir().unwrap();
    let container = &Runtime::new(root.path()).container(ContainerId::new(id).unwrap());
    let mut spec = Spec::example(true);
    spec.linux.as_mut().unwrap().cgroups_path = cgroups_path.to_owned();
    let config = &Config::new(&spec, "/b", &Caller::default(), &mut Vec::new()).unwrap();
    let target = Target::find(config, "/b/rootfs".into(), id, CgroupManager::Fs, cgroups_path).unwrap();
    let cgroup = target.cgroup_path();
    let path = PathBuf::from(&cgroup);
    let record = Record::creating(id, "/b".into(), "/b/rootfs".into(), cgroup, target.cgroup.record());
    let options = &ProcessOptions::default();
    let (notes, made) = (Vec::new(), Made::default());
    let hooks = &mut CallerHooks::default();
    let tx = Transaction {
        container,
        config,
        target,
        options,
        rootless: Rootless::Auto,
        record,
        notes,
        made,
        hooks,
    };
    let failed = tx.run::<()>(|tx, entry| {
        script(tx, entry, root.path());
        Err(Error::new(ErrorKind::System, "the script fails"))
    });
    (failed.map(drop).unwrap_err().report(), path)
}

/// Runs a create that was stopped until `delete --force` stopped waiting for it and removed its
/// state directory. Returns whether the cgroup is left that the create makes when it goes on,
/// before `then` and its failure.
fn goes_on_after_its_deletion(id: &str, then: impl FnOnce(&Path)) -> bool {
    let (error, cgroup) = create(id, |tx, entry, root| {
        std::fs::remove_dir_all(root.join(id)).unwrap();
        tx.make_cgroup(entry).unwrap().unwrap();
        then(root);
    });
    assert_eq!(error, "the script fails");
    // A cgroup that is left is removed, too.
    cgroup.exists() && std::fs::remove_dir(cgroup).is_ok()
}

#[test]
fn the_error_names_all_that_could_not_be_undone() {
    let id = format!("undone-{}", std::process::id());
    let (error, _) = create(&id, |tx, _, _| {
        tx.made.owns_cgroup = true;
        tx.record.set_cgroup("/proc/self/stat/x".into(), CgroupRecord::Fs { made: 1 });
        tx.record.host_mount_below = Some(0);
        tx.record.rootfs = "x".repeat(5000);
    });
    assert!(error.starts_with("the script fails; hint: not everything could be undone: "), "{error}");
    assert!(error.contains("open cgroup /proc/self/stat: not a directory"), "{error}");
    assert!(error.contains("statx x"), "{error}");
}

/// Another deletion has removed cgroups of the path, empty ones, after the create has planned.
#[test]
fn cgroups_that_are_removed_meanwhile_are_made_and_recorded() {
    let name = format!("removed-{}", std::process::id());
    for existing in ["", "/pod", "/pod/c"] {
        let cgroups_path = format!("/{name}/pod/c");
        let top = PathBuf::from(Hierarchy::find().unwrap().absolute(&name));
        std::fs::create_dir_all(format!("{}{existing}", top.display())).unwrap();
        let (error, cgroup) = create_in(&name, &cgroups_path, |tx, entry, _| {
            for level in ["/pod/c", "/pod", ""] {
                let level = format!("{}{level}", top.display());
                assert!(std::fs::remove_dir(&level).is_ok() || !Path::new(&level).exists());
            }
            tx.make_cgroup(entry).unwrap().unwrap();
            assert!(tx.record.cgroup == CgroupRecord::Fs { made: 3 } && !tx.target.cgroup.adopts());
        });
        assert_eq!((error.as_str(), cgroup.exists(), top.exists()), ("the script fails", false, false));
    }
}

#[test]
fn a_create_that_goes_on_after_its_deletion_leaves_no_cgroup() {
    let id = format!("later-{}", std::process::id());
    assert!(!goes_on_after_its_deletion(&id, |_| ()));
}

#[test]
fn another_container_with_the_id_keeps_its_cgroup() {
    let id = format!("other-{}", std::process::id());
    assert!(goes_on_after_its_deletion(&id, |root| std::fs::create_dir(root.join(&id)).unwrap()));
}
