// SPDX-License-Identifier: Apache-2.0
//! sysfs where the network belongs to another user namespace.

use crate::boundary::step::{Call, During};
use crate::boundary::tree::{Shape, Tree};
use crate::config::namespaces::{Kind, Namespaces, Origin};
use crate::error::{Context, Error, Result};
use crate::prepare::namespaces;
use crate::prepare::trees::{HostFile, Trees};
use libc::MS_PRIVATE;
use nix::sys::stat::fstat;
use runtime_sys::mount::Depth;
use runtime_sys::{Errno, ns};

/// Whether the kernel refuses the container a sysfs of its own. It shows the devices of the
/// network namespace, and takes CAP_SYS_ADMIN in the user namespace that owns that
/// (net_current_may_mount of net/core/net-sysfs.c).
pub(super) fn is_refused(all: &Namespaces) -> Result<bool> {
    let network = match all.origin(Kind::Network) {
        Origin::New => return Ok(false),
        Origin::Shared => c"/proc/self/ns/net",
        Origin::Path(path) => path.as_c_str(),
    };
    match all.origin(Kind::User) {
        // It is newer than the network.
        Origin::New => Ok(true),
        Origin::Shared => {
            let is_initial = ns::is_initial_user_namespace().context(|| "stat /proc/self/ns/user")?;
            Ok(!is_initial && !namespaces::belongs_to_own_user(Kind::Network, network)?)
        }
        Origin::Path(user) => {
            let owner = match ns::owner(namespaces::open(Kind::Network, network)?) {
                Err(Errno::EPERM) => return Ok(true),
                other => other.context(|| "ioctl(NS_GET_USERNS)")?,
            };
            let [owner, user] = [owner, namespaces::open(Kind::User, user)?]
                .map(|namespace| fstat(namespace).map(|st| (st.st_dev, st.st_ino)));
            Ok(owner.context(|| "stat")? != user.context(|| "stat")?)
        }
    }
}

/// The host's /sys, with all that is mounted below it.
pub(super) fn of_host(i: usize, trees: &mut Trees) -> Result<Tree> {
    let shape =
        Shape { depth: Depth::All, propagation: [Some((MS_PRIVATE, Depth::All)), None], id_map: None };
    HostFile::open(c"/sys").during(Call::Open).and_then(|file| trees.plain(&file, file.leaf, shape)).map_err(
        |(call, errno)| Error::os(errno, call.name()).wrap(format!("mounts[{i}]: cloning the host's /sys")),
    )
}
