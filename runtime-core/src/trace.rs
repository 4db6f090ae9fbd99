// SPDX-License-Identifier: Apache-2.0
//! Where the time goes: a timeline of an operation's steps, in the runtime and in
//! the container's process.
//!
//! Whoever wants one calls [`Trace::begin`] before the operation and
//! [`Trace::to_json`] after it, in the same thread. The file can be looked at with
//! the tracing page of a browser (`chrome://tracing`, <https://ui.perfetto.dev>).
//!
//! Steps are marked at their end; a step lasts from the end of the one before in
//! the same process. Nothing is marked, and next to nothing is paid, unless a
//! trace was begun. The child marks without heap or locks: into memory that it
//! shares with its parent.

use crate::boundary::step::{Step, byte_enum};
use crate::error::{Context, Result};
use crate::sys::shared;
use std::cell::Cell;
use std::sync::atomic::{AtomicU64, Ordering};

byte_enum! {
    /// What the runtime itself has done.
    Mark {
        LoadConfig, CheckConfig, CompileFilter, FindCgroup, Reserve, WriteRecord, CommitRecord, MakeCgroup, Plan, Clone,
        AwaitNetwork, AwaitStage, IdMaps, NetDevices, Limits, DeviceFilter, AwaitChild, Hook, SeccompAgent, SetFromOutside, Announce,
        Release, ReadRecord, Status, Signal, WriteFifo, AwaitEnd, RemoveCgroup, RemoveRecord,
        Network, Loopback,
    }
}

/// A process of the operation, or a thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Track {
    Runtime,
    Stage,
    Init,
    Network,
    Last,
}

impl Track {
    const ALL: [Self; 5] = [Track::Runtime, Track::Stage, Track::Init, Track::Network, Track::Last];

    fn name(self) -> &'static str {
        match self {
            Track::Runtime => "runtime",
            Track::Stage => "stage (joins namespaces)",
            Track::Init => "init (becomes the container's process)",
            Track::Network => "network (makes its namespace)",
            Track::Last => "program (in an existing pid namespace)",
        }
    }
}

type Words = &'static [AtomicU64; shared::WORDS];

thread_local! {
    // Without a destructor, so that neither heap nor lock is behind it.
    static CURRENT: Cell<Option<Words>> = const { Cell::new(None) };
    static TRACK: Cell<Track> = const { Cell::new(Track::Runtime) };
}

/// A timeline that is being made. Its memory (128 KiB of addresses, of which only
/// what is written to is used) stays until the program ends.
#[derive(Debug)]
#[must_use]
pub struct Trace {
    words: Words,
}

impl Trace {
    /// Begins: from now on the calling thread marks what it does.
    pub fn begin() -> Result<Self> {
        let words = shared::words().context(|| "mmap")?;
        CURRENT.set(Some(words));
        put(Kind::Begin, 0, 0);
        Ok(Trace { words })
    }

    /// The timeline so far, in the JSON array format of Chrome's trace events.
    pub fn to_json(&self) -> String {
        let mut out = String::from("[");
        for track in Track::ALL {
            let (tid, name) = (track as u8, track.name());
            out += &format!(
                "{{\"ph\":\"M\",\"pid\":1,\"tid\":{tid},\"name\":\"thread_name\",\"args\":{{\"name\":\"{name}\"}}}},\n"
            );
        }
        let (events, lost) = self.events();
        let first = events.iter().map(|event| event.time).min().unwrap_or_default();
        let micros = |time: u64| (time - first) as f64 / 1000.0;
        let mut ends = Track::ALL.map(|_| None);
        for event in &events {
            let Some(end) = ends.get_mut(event.track as usize) else { continue };
            if let (Some(start), Some(name)) = (*end, event.name()) {
                out += &format!(
                    "{{\"ph\":\"X\",\"pid\":1,\"tid\":{},\"name\":\"{name}\",\"ts\":{:.3},\"dur\":{:.3},\"args\":{{\"item\":{}}}}},\n",
                    event.track as u8,
                    micros(start),
                    micros(event.time) - micros(start),
                    event.item
                );
            }
            *end = Some(event.time);
        }
        out += &format!(
            "{{\"ph\":\"M\",\"pid\":1,\"tid\":0,\"name\":\"process_labels\",\"args\":{{\"labels\":\"{lost} marks lost\"}}}}]\n"
        );
        out
    }

    fn events(&self) -> (Vec<Event>, u64) {
        let [next, marks @ ..] = self.words;
        let count = next.load(Ordering::Acquire);
        let fit = count.min(marks.len() as u64 / 2);
        let mut events: Vec<Event> = marks
            .chunks_exact(2)
            .take(fit as usize)
            .filter_map(|pair| match pair {
                [time, what] => Event::decode(time.load(Ordering::Acquire), what.load(Ordering::Acquire)),
                _ => None,
            })
            .collect();
        // Two processes take their places first and look at the clock then.
        events.sort_by_key(|event| event.time);
        (events, count - fit)
    }
}

impl Drop for Trace {
    fn drop(&mut self) {
        CURRENT.set(None);
    }
}

/// What a mark is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
enum Kind {
    /// The first of its track.
    Begin = 1,
    Mark = 2,
    Step = 3,
}

/// One mark, as it is read back.
#[derive(Debug)]
struct Event {
    time: u64,
    track: Track,
    kind: Kind,
    what: u8,
    item: u32,
}

impl Event {
    fn encode(track: Track, kind: Kind, what: u8, item: u32) -> u64 {
        let [i0, i1, i2, i3] = item.to_le_bytes();
        u64::from_le_bytes([kind as u8, track as u8, what, 0, i0, i1, i2, i3])
    }

    /// `None` for a place that was taken and not written to yet.
    fn decode(time: u64, word: u64) -> Option<Self> {
        let [kind, track, what, _, i0, i1, i2, i3] = word.to_le_bytes();
        let kind = [Kind::Begin, Kind::Mark, Kind::Step].into_iter().find(|k| *k as u8 == kind)?;
        let track = Track::ALL.get(usize::from(track)).copied()?;
        Some(Event { time, track, kind, what, item: u32::from_le_bytes([i0, i1, i2, i3]) })
    }

    fn name(&self) -> Option<String> {
        match self.kind {
            Kind::Begin => None,
            Kind::Mark => Mark::from_byte(self.what).map(|mark| format!("{mark:?}")),
            Kind::Step => Step::from_byte(self.what).map(|step| format!("{step:?}")),
        }
    }
}

/// The child says which process it is, first thing.
pub(crate) fn enter(track: Track) {
    TRACK.set(track);
    put(Kind::Begin, 0, 0);
}

/// What another thread needs to mark what it does in the same timeline.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Handle(Option<Words>);

impl Handle {
    /// The timeline that the calling thread marks, if any.
    pub(crate) fn of_thread() -> Self {
        Handle(CURRENT.get())
    }

    /// From now on the calling thread is this track of it.
    pub(crate) fn enter(self, track: Track) {
        CURRENT.set(self.0);
        enter(track);
    }
}

/// Marks the end of what has just been evaluated.
pub(crate) trait Traced: Sized {
    fn traced(self, mark: Mark) -> Self {
        put(Kind::Mark, mark as u8, 0);
        self
    }
}

impl<T, E> Traced for std::result::Result<T, E> {}

/// The child has done this.
pub(crate) fn step(step: Step, item: u32) {
    put(Kind::Step, step as u8, item);
}

#[inline]
fn put(kind: Kind, what: u8, item: u32) {
    if let Some(words) = CURRENT.get() {
        write(words, Event::encode(TRACK.get(), kind, what, item));
    }
}

#[cold]
fn write(words: Words, what: u64) {
    let [next, marks @ ..] = words;
    let place = next.fetch_add(1, Ordering::AcqRel) as usize;
    if let Some([time, word]) = marks.get(place.saturating_mul(2)..).and_then(|rest| rest.get(..2)) {
        time.store(shared::now(), Ordering::Release);
        word.store(what, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_marked_unless_a_trace_was_begun() {
        Ok::<(), ()>(()).traced(Mark::Plan).unwrap();
        let trace = Trace::begin().unwrap();
        assert_eq!(trace.events().0.len(), 1);
        Ok::<(), ()>(()).traced(Mark::Plan).unwrap();
        step(Step::Mount, 70_000);
        let json: serde_json::Value = serde_json::from_str(&trace.to_json()).unwrap();
        let spans: Vec<_> = json.as_array().unwrap().iter().filter(|event| event["ph"] == "X").collect();
        assert_eq!(spans[0]["name"], "Plan");
        assert_eq!((&spans[1]["name"], &spans[1]["args"]["item"]), (&"Mount".into(), &70_000.into()));
        drop(trace);
        Ok::<(), ()>(()).traced(Mark::Plan).unwrap();
    }

    #[test]
    fn what_does_not_fit_is_counted() {
        let trace = Trace::begin().unwrap();
        for _ in 0..shared::WORDS {
            Ok::<(), ()>(()).traced(Mark::Plan).unwrap();
        }
        let (events, lost) = trace.events();
        assert_eq!(events.len(), (shared::WORDS - 1) / 2);
        assert_eq!(events.len() as u64 + lost, shared::WORDS as u64 + 1);
        assert!(trace.to_json().contains(&format!("{lost} marks lost")));
    }
}
