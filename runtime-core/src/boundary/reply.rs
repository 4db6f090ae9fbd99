// SPDX-License-Identifier: Apache-2.0
//! The child's messages to the parent, and their form on the wire.

use super::step::{Call, Step, StepFailure};
use runtime_sys::Errno;

/// A message from the child.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reply {
    /// The pid of the process that the sender has cloned to take its place.
    Cloned(i32),
    /// A request for the tree of the mount with this index. The parent clones and sends it.
    NeedMount(u32),
    /// The process's arrival in its namespaces. The second message includes the namespaces that
    /// the process makes as root of its user namespace.
    Namespaces,
    /// A request to the parent to run its hooks.
    Barrier,
    /// The number that the filter's listener will have in the child once the filter is loaded. Sent
    /// before the load, because after it every call of the child may wait for the agent.
    Listener(i32),
    /// The end of the preparation: the container is made and the program was found.
    Ready,
    /// The step that failed. The child exits.
    Failed(StepFailure),
}

/// First bytes of messages that are not failures. Steps have lower numbers.
const NAMESPACES: u8 = 250;
const NEED_MOUNT: u8 = 251;
const LISTENER: u8 = 252;
const CLONED: u8 = 253;
const BARRIER: u8 = 254;
const READY: u8 = 255;

/// The size of a reply on the wire: step or kind, call, errno, and item, pid or descriptor. A
/// failure is followed by up to [`MESSAGE_MAX`] bytes of the kernel's message.
pub(crate) const WIRE_LEN: usize = 8;

/// The limit of the kernel's message in a reply, in bytes.
pub(crate) const MESSAGE_MAX: usize = 255;

impl Reply {
    pub(crate) fn encode(self) -> [u8; WIRE_LEN] {
        let pack = |kind: u8, call: u8, errno: u16, value: [u8; 4]| {
            let [e0, e1] = errno.to_ne_bytes();
            let [v0, v1, v2, v3] = value;
            [kind, call, e0, e1, v0, v1, v2, v3]
        };
        let plain = |kind: u8, value: [u8; 4]| pack(kind, 0, 0, value);
        match self {
            Reply::Cloned(pid) => plain(CLONED, pid.to_ne_bytes()),
            Reply::NeedMount(item) => plain(NEED_MOUNT, item.to_ne_bytes()),
            Reply::Namespaces => plain(NAMESPACES, [0; 4]),
            Reply::Barrier => plain(BARRIER, [0; 4]),
            Reply::Listener(fd) => plain(LISTENER, fd.to_ne_bytes()),
            Reply::Ready => plain(READY, [0; 4]),
            // The kernel's error numbers end at 4095 (MAX_ERRNO).
            Reply::Failed(f) => pack(f.step as u8, f.call as u8, f.errno as u16, f.item.to_ne_bytes()),
        }
    }

    /// Decodes a reply. `None` if the bytes are not one.
    pub(crate) fn decode(bytes: [u8; WIRE_LEN]) -> Option<Self> {
        let [kind, call, e0, e1, v0, v1, v2, v3] = bytes;
        let value = [v0, v1, v2, v3];
        Some(match kind {
            CLONED => Reply::Cloned(i32::from_ne_bytes(value)),
            NEED_MOUNT => Reply::NeedMount(u32::from_ne_bytes(value)),
            NAMESPACES => Reply::Namespaces,
            BARRIER => Reply::Barrier,
            LISTENER => Reply::Listener(i32::from_ne_bytes(value)),
            READY => Reply::Ready,
            step => Reply::Failed(StepFailure {
                step: Step::from_byte(step)?,
                call: Call::from_byte(call)?,
                item: u32::from_ne_bytes(value),
                errno: Errno::from_raw(u16::from_ne_bytes([e0, e1]).into()),
            }),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replies_survive_the_wire() {
        let failure =
            StepFailure { step: Step::Mount, item: 70_000, call: Call::Fsopen, errno: Errno::ENODEV };
        for reply in [
            Reply::Cloned(70_000),
            Reply::NeedMount(70_000),
            Reply::Namespaces,
            Reply::Barrier,
            Reply::Listener(7),
            Reply::Ready,
            Reply::Failed(failure),
        ] {
            assert_eq!(Reply::decode(reply.encode()), Some(reply));
        }
        assert_eq!(Reply::decode([Step::ALL.len() as u8, 0, 0, 0, 0, 0, 0, 0]), None);
        assert_eq!(Reply::decode([0, Call::ALL.len() as u8, 0, 0, 0, 0, 0, 0]), None);
        assert!(Step::ALL.len() < usize::from(NAMESPACES));
    }
}
