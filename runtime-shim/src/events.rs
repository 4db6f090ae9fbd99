// SPDX-License-Identifier: Apache-2.0
//! The events of the shim, which containerd gets in their order. While containerd is not there, or
//! restarts, they are kept.

use crate::proto::Any;
use crate::proto::Timestamp;
use crate::proto::events::{
    Envelope, ForwardRequest, TaskCreate, TaskDelete, TaskExecAdded, TaskExecStarted, TaskExit, TaskId,
    TaskStart,
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
            Event::Delete(event) => ("/tasks/delete", "TaskDelete", event.encode_to_vec()),
        }
    }
}

/// The events that containerd does not have yet.
pub(crate) struct Publisher {
    namespace: String,
    /// Encoded requests, the oldest first. The first stays here until containerd has it.
    queue: RefCell<VecDeque<Vec<u8>>>,
    changed: Notify,
    lost: Cell<u64>,
}

impl Publisher {
    pub(crate) fn new(namespace: &str) -> Self {
        Publisher {
            namespace: namespace.to_owned(),
            queue: RefCell::default(),
            changed: Notify::new(),
            lost: Cell::new(0),
        }
    }

    /// Adds an event. Does not wait.
    pub(crate) fn send(&self, event: &Event) {
        let (topic, name, value) = event.encode();
        let envelope = Envelope {
            timestamp: Some(Timestamp::now()),
            namespace: self.namespace.clone(),
            topic: topic.to_owned(),
            event: Some(Any { type_url: format!("containerd.events.{name}"), value }),
        };
        let mut queue = self.queue.borrow_mut();
        if queue.len() >= KEPT_MAX {
            queue.pop_front();
            self.lost.set(self.lost.get() + 1);
        }
        queue.push_back(ForwardRequest { envelope: Some(envelope) }.encode_to_vec());
        drop(queue);
        self.changed.notify_waiters();
    }

    /// Sends the events to the socket at `address`, for ever.
    pub(crate) async fn run(&self, address: &str) {
        let mut client = None;
        let mut pause = PAUSES.0;
        loop {
            let changed = self.changed.notified();
            let next = self.queue.borrow().front().cloned();
            let Some(request) = next else {
                changed.await;
                continue;
            };
            let lost = self.lost.get();
            match timeout(PATIENCE, forward(&mut client, address, request)).await {
                Ok(Ok(())) => {
                    // A full queue may have dropped this event meanwhile.
                    if self.lost.get() == lost {
                        self.queue.borrow_mut().pop_front();
                    }
                    self.changed.notify_waiters();
                    if self.lost.take() > 0 {
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
