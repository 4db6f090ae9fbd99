// SPDX-License-Identifier: Apache-2.0
//! The events of the shim, which containerd gets in their order. While containerd is not there, or
//! restarts, they are kept.

use crate::proto::common::Any;
use crate::proto::common::Timestamp;
use crate::proto::events::{
    Envelope, ForwardRequest, TaskCheckpointed, TaskCreate, TaskDelete, TaskExecAdded, TaskExecStarted,
    TaskExit, TaskId, TaskStart,
};
use crate::status::Code;
use crate::ttrpc::Client;
use prost::Message;
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::{sleep, timeout};

/// The most events that are kept. While containerd is away it makes no calls, so there are few.
const KEPT_MAX: usize = 4096;
/// The longest request: with the rest of the call it has to fit into a message of ttrpc.
const LENGTH_MAX: usize = (4 << 20) - 1024;
/// The time for one answer of containerd.
const PATIENCE: Duration = Duration::from_secs(5);
/// The pauses between two attempts, from the first to the longest.
const PAUSES: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(1));

/// An event of a task.
pub(crate) enum Event {
    Create(TaskCreate),
    Start(TaskStart),
    ExecAdded(TaskExecAdded),
    ExecStarted(TaskExecStarted),
    Exit(TaskExit),
    OutOfMemory(TaskId),
    Paused(TaskId),
    Resumed(TaskId),
    Checkpointed(TaskCheckpointed),
    Delete(TaskDelete),
}

impl Event {
    /// Returns the topic, the name of the message, and the message.
    fn encode(&self) -> (&'static str, &'static str, Vec<u8>) {
        match self {
            Event::Create(event) => ("/tasks/create", "TaskCreate", event.encode_to_vec()),
            Event::Start(event) => ("/tasks/start", "TaskStart", event.encode_to_vec()),
            Event::ExecAdded(event) => ("/tasks/exec-added", "TaskExecAdded", event.encode_to_vec()),
            Event::ExecStarted(event) => ("/tasks/exec-started", "TaskExecStarted", event.encode_to_vec()),
            Event::Exit(event) => ("/tasks/exit", "TaskExit", event.encode_to_vec()),
            Event::OutOfMemory(event) => ("/tasks/oom", "TaskOOM", event.encode_to_vec()),
            Event::Paused(event) => ("/tasks/paused", "TaskPaused", event.encode_to_vec()),
            Event::Resumed(event) => ("/tasks/resumed", "TaskResumed", event.encode_to_vec()),
            Event::Checkpointed(event) => ("/tasks/checkpointed", "TaskCheckpointed", event.encode_to_vec()),
            Event::Delete(event) => ("/tasks/delete", "TaskDelete", event.encode_to_vec()),
        }
    }
}

/// The events that containerd does not have yet.
pub(crate) struct Publisher {
    namespace: String,
    /// The oldest first. The first stays here until containerd has it.
    queue: RefCell<VecDeque<Kept>>,
    changed: Notify,
    /// The number of all events, which numbers them.
    count: Cell<u64>,
    lost: Cell<u64>,
}

/// An event that containerd does not have yet.
struct Kept {
    number: u64,
    /// The container, if the event is that of an OOM kill.
    out_of_memory: Option<String>,
    /// The encoded request.
    request: Vec<u8>,
}

impl Publisher {
    pub(crate) fn new(namespace: &str) -> Self {
        Publisher {
            namespace: namespace.to_owned(),
            queue: RefCell::default(),
            changed: Notify::new(),
            count: Cell::new(0),
            lost: Cell::new(0),
        }
    }

    /// Adds an event. Does not wait. A container can cause OOM kills without end, so a second event of
    /// them is not added, and the first to be lost is one of them.
    pub(crate) fn send(&self, event: &Event) {
        let mut queue = self.queue.borrow_mut();
        let out_of_memory = match event {
            Event::OutOfMemory(task) => Some(task.container_id.clone()),
            _ => None,
        };
        if out_of_memory.is_some() && queue.iter().any(|kept| kept.out_of_memory == out_of_memory) {
            return;
        }
        let (topic, name, value) = event.encode();
        let envelope = Envelope {
            timestamp: Some(Timestamp::now()),
            namespace: self.namespace.clone(),
            topic: topic.to_owned(),
            event: Some(Any { type_url: format!("containerd.events.{name}"), value }),
        };
        let request = ForwardRequest { envelope: Some(envelope) }.encode_to_vec();
        if request.len() > LENGTH_MAX {
            // containerd would refuse it each time, and get none of the later ones.
            return crate::log::warn(format_args!(
                "an event {topic} has {} bytes: it is lost",
                request.len()
            ));
        }
        if queue.len() >= KEPT_MAX {
            let least = queue.iter().position(|kept| kept.out_of_memory.is_some()).unwrap_or(0);
            queue.remove(least);
            self.lost.set(self.lost.get() + 1);
        }
        let number = self.count.get();
        self.count.set(number + 1);
        queue.push_back(Kept { number, out_of_memory, request });
        drop(queue);
        self.changed.notify_waiters();
    }

    /// Sends the events to the socket at `address`, for ever.
    pub(crate) async fn run(&self, address: &str) {
        let mut client = None;
        let mut pause = PAUSES.0;
        loop {
            let changed = self.changed.notified();
            let next = self.queue.borrow().front().map(|kept| (kept.number, kept.request.clone()));
            let Some((number, request)) = next else {
                changed.await;
                continue;
            };
            match timeout(PATIENCE, forward(&mut client, address, request)).await {
                Ok(Ok(())) => {
                    // A full queue may have dropped this event meanwhile.
                    let is_it = |kept: &Kept| kept.number == number;
                    if self.queue.borrow().front().is_some_and(is_it) {
                        self.queue.borrow_mut().pop_front();
                    }
                    self.changed.notify_waiters();
                    let lost = self.lost.take();
                    if lost > 0 {
                        crate::log::warn(format_args!(
                            "{lost} events are lost: containerd was away for too long"
                        ));
                    }
                    pause = PAUSES.0;
                }
                other => {
                    crate::log::debug(format_args!("sending an event to {address}: {other:?}"));
                    client = None;
                    sleep(pause).await;
                    pause = (pause * 2).min(PAUSES.1);
                }
            }
        }
    }

    /// Waits until containerd has all events.
    pub(crate) async fn all_sent(&self) {
        loop {
            let changed = self.changed.notified();
            if self.queue.borrow().is_empty() {
                return;
            }
            changed.await;
        }
    }
}

async fn forward(client: &mut Option<Client>, address: &str, request: Vec<u8>) -> std::io::Result<()> {
    let connected = match client.take() {
        Some(connected) => connected,
        None => Client::connect(address).await?,
    };
    let connected = client.insert(connected);
    let response = connected.call("containerd.services.events.ttrpc.v1.Events", "Forward", request).await?;
    const UNAVAILABLE: i32 = 14;
    match response.status {
        Some(status) if status.code == UNAVAILABLE || status.code == Code::ResourceExhausted as i32 => {
            Err(std::io::Error::other(status.message))
        }
        // Another attempt would not change this, and would hold up all later events.
        Some(status) if status.code != 0 => {
            crate::log::warn(format_args!("containerd refuses an event: {}", status.message));
            Ok(())
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn oom_kills_do_not_push_out_other_events() {
        let events = Publisher::new("test");
        let oom = |id: usize| events.send(&Event::OutOfMemory(TaskId { container_id: id.to_string() }));
        events.send(&Event::Exit(TaskExit::default()));
        for _ in 0..10 {
            oom(1);
        }
        assert_eq!(events.queue.borrow().len(), 2, "one OOM event of a container waits");
        (2..KEPT_MAX + 10).for_each(oom);
        let queue = events.queue.borrow();
        assert_eq!(queue.len(), KEPT_MAX);
        assert!(queue.front().unwrap().out_of_memory.is_none(), "the exit is lost");
    }

    #[test]
    fn an_event_that_no_message_can_hold_holds_up_nothing() {
        let events = Publisher::new("test");
        events.send(&Event::Create(TaskCreate { bundle: "x".repeat(5 << 20), ..TaskCreate::default() }));
        assert!(events.queue.borrow().is_empty());
    }
}
