// SPDX-License-Identifier: Apache-2.0
//! sysfs for a container whose network namespace belongs to another user namespace.

use crate::boundary::step::{Call, During};
use crate::boundary::tree::{Shape, Tree};
use crate::config::namespaces::{NamespaceKind, Namespaces, Origin};
use crate::error::{Context, Error, Result};
use crate::prepare::namespaces;
use crate::prepare::trees::{HostFile, Trees};
use libc::MS_PRIVATE;
use nix::sys::stat::fstat;
use runtime_sys::mount::Depth;
use runtime_sys::{Errno, ns};

/// Returns whether the kernel refuses the container a new mount of sysfs. sysfs shows the
/// devices of the network namespace. A new mount takes CAP_SYS_ADMIN in the user namespace
/// that owns the network namespace (net_current_may_mount of net/core/net-sysfs.c).
pub(super) fn is_refused(all: &Namespaces) -> Result<bool> {
    let network = match all.origin(NamespaceKind::Network) {
        Origin::New => return Ok(false),
        Origin::Shared => c"/proc/self/ns/net",
        Origin::Path(path) => path.as_c_str(),
    };
    match all.origin(NamespaceKind::User) {
        // The new user namespace does not own the older network namespace.
        Origin::New => Ok(true),
        Origin::Shared => {
            let is_initial = ns::is_initial_user_namespace().context(|| "stat /proc/self/ns/user")?;
            Ok(!is_initial && !namespaces::belongs_to_own_user(NamespaceKind::Network, network)?)
        }
        Origin::Path(user) => {
            let owner = match ns::owner(namespaces::open(NamespaceKind::Network, network)?) {
                Err(Errno::EPERM) => return Ok(true),
                other => other.context(|| "ioctl(NS_GET_USERNS)")?,
            };
            let [owner, user] = [owner, namespaces::open(NamespaceKind::User, user)?]
                .map(|namespace| fstat(namespace).map(|st| (st.st_dev, st.st_ino)));
            Ok(owner.context(|| "stat")? != user.context(|| "stat")?)
        }
    }
}

/// Makes a tree of the host's /sys with all mounts below it.
pub(super) fn of_host(i: usize, trees: &mut Trees) -> Result<Tree> {
    let shape =
        Shape { depth: Depth::All, propagation: [Some((MS_PRIVATE, Depth::All)), None], id_map: None };
    HostFile::open(c"/sys").during(Call::Open).and_then(|file| trees.plain(&file, file.leaf, shape)).map_err(
        |(call, errno)| Error::os(errno, call.name()).wrap(format!("mounts[{i}]: cloning the host's /sys")),
    )
}
