// SPDX-License-Identifier: Apache-2.0
//! Marks of an operation's steps in memory that the runtime and its children share.
//! [`trace`](crate::trace) reads them back.
//!
//! Steps are marked at their end. Nothing is marked, and next to nothing is paid, unless a
//! trace was begun. The child marks without heap or locks.

use crate::byte_enum::byte_enum;
use runtime_sys::shared;
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
    pub(crate) const ALL: [Self; 5] =
        [Track::Runtime, Track::Stage, Track::Init, Track::Network, Track::Last];
}

/// The memory of a timeline: how many marks there are, then two words for each.
pub(crate) type Words = &'static [AtomicU64; shared::WORDS];

thread_local! {
    // Without a destructor, so that neither heap nor lock is behind it.
    static CURRENT: Cell<Option<Words>> = const { Cell::new(None) };
    static TRACK: Cell<Track> = const { Cell::new(Track::Runtime) };
}

/// What a mark is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Kind {
    /// The first of its track.
    Begin = 1,
    Mark = 2,
    Step = 3,
}

/// One mark, as it is read back.
#[derive(Debug)]
pub(crate) struct Event {
    pub(crate) time: u64,
    pub(crate) track: Track,
    pub(crate) kind: Kind,
    pub(crate) what: u8,
    pub(crate) item: u32,
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
}

/// Makes the memory of a timeline: from now on the calling thread marks what it does.
pub(crate) fn begin() -> runtime_sys::Result<Words> {
    let words = shared::words()?;
    CURRENT.set(Some(words));
    put(Kind::Begin, 0, 0);
    Ok(words)
}

/// Ends the timeline: the calling thread marks nothing any more.
pub(crate) fn end() {
    CURRENT.set(None);
}

/// Returns the marks so far, and how many did not fit.
pub(crate) fn events(words: Words) -> (Vec<Event>, u64) {
    let [next, marks @ ..] = words;
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

/// The child has done the step that this byte stands for.
pub(crate) fn step(step: u8, item: u32) {
    put(Kind::Step, step, item);
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
