// SPDX-License-Identifier: Apache-2.0
//! Rows about control groups and systemd.

use super::caller::Caller;
use super::files;
use super::row::{Fitness, Row, Topic, optional, reason, required, text};
use crate::cgroup::survey::{Availability, Survey};
use crate::cgroup::systemd::Manager;
use crate::error::Result;

const MOUNTED: Topic = required(
    "cgroup.mounted",
    "no container can be made",
    "boot with systemd.unified_cgroup_hierarchy=1, or mount -t cgroup2 cgroup2 /sys/fs/cgroup",
);
const UNIFIED: Topic = optional(
    "cgroup.unified",
    "the controllers of cgroup v1 are not used: limits on them are refused",
    "boot with systemd.unified_cgroup_hierarchy=1, or cgroup_no_v1=all",
);
const WRITABLE: Topic = required(
    "cgroup.writable",
    "no cgroup can be made for a container",
    "mount cgroups read-write: without ProtectControlGroups=, in a container with a cgroup namespace and a writable cgroup mount",
);
/// The topic for a caller that may make containers without a cgroup.
const DELEGATED: Topic = optional(
    "cgroup.writable",
    "containers have no cgroup, and a configuration with limits is refused",
    "let systemd delegate a cgroup: systemd-run --user --scope -p Delegate=yes, or --systemd-cgroup",
);
const KILL: Topic =
    required("cgroup.kill", "containers cannot be killed and deleted", "use Linux 5.14 or newer");
const SYSTEMD: Topic = optional(
    "cgroup.systemd",
    "--systemd-cgroup and engines with the cgroup driver \"systemd\" fail",
    "use the driver \"cgroupfs\"; for users: install dbus-user-session, and log in or `loginctl enable-linger`",
);
const DRIVER: Topic = optional("cgroup.driver", "", "");

/// The controllers that config.json can ask for, each with the topic of its row.
const CONTROLLERS: [(&str, Topic); 7] = [
    (
        "cpu",
        controller(
            "cgroup.controller.cpu",
            "linux.resources.cpu with shares, quota, period, burst or idle is refused",
        ),
    ),
    ("cpuset", controller("cgroup.controller.cpuset", "linux.resources.cpu with cpus or mems is refused")),
    ("memory", controller("cgroup.controller.memory", "linux.resources.memory is refused")),
    ("io", controller("cgroup.controller.io", "linux.resources.blockIO is refused")),
    ("pids", controller("cgroup.controller.pids", "linux.resources.pids is refused")),
    ("hugetlb", controller("cgroup.controller.hugetlb", "linux.resources.hugepageLimits is refused")),
    ("rdma", controller("cgroup.controller.rdma", "linux.resources.rdma is refused")),
];

const fn controller(name: &'static str, effect: &'static str) -> Topic {
    optional(name, effect, "use a kernel with this controller, and do not turn it off (cgroup_disable=)")
}

const IN_VERSION_1: &str = "boot with systemd.unified_cgroup_hierarchy=1, or cgroup_no_v1=all";
const NOT_DELEGATED: &str = "enable it in cgroup.subtree_control of that cgroup; for users: `Delegate=cpu cpuset io memory pids` for user@.service, and --systemd-cgroup";

/// Returns whether the cgroup of a container can have the controller.
pub(crate) fn availability(controller: &str) -> Result<Availability> {
    let survey = Survey::new()?;
    survey.availability(controller).map_err(|errno| crate::error::Error::os(errno, "read cgroup.controllers"))
}

pub(super) fn rows(caller: &Caller) -> Vec<Row> {
    let mut rows = match Survey::new() {
        Err(error) => vec![
            MOUNTED.row(Fitness::Missing, reason(&error)),
            UNIFIED.row(Fitness::Unknown, NONE),
            writable(caller).row(Fitness::Unknown, NONE),
            KILL.row(Fitness::Unknown, NONE),
        ],
        Ok(survey) => of_hierarchy(caller, &survey),
    };
    let survey = Survey::new();
    rows.extend(CONTROLLERS.map(|(name, topic)| match &survey {
        Ok(survey) => of_controller(caller, survey, name, topic),
        Err(_) => topic.row(Fitness::Unknown, NONE),
    }));
    let systemd = Manager::ours().and_then(Manager::version);
    rows.push(match &systemd {
        Ok(version) => SYSTEMD.works(format!("systemd {version}")),
        Err(error) => SYSTEMD.row(Fitness::Missing, reason(error)),
    });
    rows.push(DRIVER.works(match systemd {
        Ok(_) => "engines should use systemd",
        Err(_) => "engines should use cgroupfs",
    }));
    rows
}

const NONE: &str = "no cgroup2 file system";

fn writable(caller: &Caller) -> Topic {
    if caller.is_root && caller.in_initial_user_namespace == Some(true) { WRITABLE } else { DELEGATED }
}

fn of_hierarchy(caller: &Caller, survey: &Survey) -> Vec<Row> {
    let at = survey.mount_point().to_string_lossy();
    let unified = match survey.is_hybrid() {
        false => UNIFIED.works("version 2 alone"),
        true => UNIFIED.row(
            Fitness::Limited,
            format!("version 1 is mounted too; version 2 has {}", listed(&survey.controllers())),
        ),
    };
    let parent = survey.parent();
    let made = match may_make(survey, caller) {
        Ok(()) => writable(caller).works(parent),
        Err(errno) => writable(caller).row(Fitness::Missing, format!("{parent}: {}", text(errno))),
    };
    let kill = match survey.has_kill() {
        Some(true) => KILL.works(""),
        Some(false) => KILL.row(Fitness::Missing, "no file cgroup.kill"),
        None => KILL.row(Fitness::Unknown, "there is no cgroup to look at"),
    };
    vec![MOUNTED.works(at), unified, made, kill]
}

/// Checks that the caller may make cgroups beside its own, and move processes there.
fn may_make(survey: &Survey, caller: &Caller) -> runtime_sys::Result<()> {
    survey.may_make()?;
    if caller.is_root { Ok(()) } else { survey.may_move() }
}

fn of_controller(caller: &Caller, survey: &Survey, name: &str, topic: Topic) -> Row {
    match survey.availability(name) {
        Ok(Availability::Yes) if may_make(survey, caller).is_err() => {
            topic.mended_by(DELEGATED.remedy).row(Fitness::Missing, "the caller can make no cgroup")
        }
        Ok(Availability::Yes) => topic.works(""),
        Ok(Availability::NotBelow { cgroup, why }) => {
            let topic = topic.mended_by(NOT_DELEGATED);
            topic.row(Fitness::Missing, format!("cannot be enabled below {cgroup}: {why}"))
        }
        Ok(Availability::Absent) if is_in_version_1(name) => {
            topic.mended_by(IN_VERSION_1).row(Fitness::Missing, "version 1 has it on this host")
        }
        Ok(Availability::Absent) => topic.row(Fitness::Missing, "the hierarchy does not have it"),
        Err(errno) => topic.row(Fitness::Unknown, text(errno)),
    }
}

/// Returns whether a hierarchy of version 1 has the controller, by its name there.
fn is_in_version_1(controller: &str) -> bool {
    let name = if controller == "io" { "blkio" } else { controller };
    files::kernel(c"/proc/self/cgroup").is_some_and(|text| {
        text.lines()
            .any(|line| line.split(':').nth(1).is_some_and(|list| list.split(',').any(|one| one == name)))
    })
}

fn listed(controllers: &[String]) -> String {
    if controllers.is_empty() { "no controllers".to_owned() } else { controllers.join(", ") }
}
