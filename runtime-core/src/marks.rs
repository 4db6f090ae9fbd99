// SPDX-License-Identifier: Apache-2.0
//! Marks of an operation's steps in memory that the runtime shares with its children.
//! [`trace`](crate::trace) reads them back.
//!
//! Each mark is the end of a step. Without a trace, nothing is marked and the cost is close to
//! nothing. The child writes marks without heap or locks.

use crate::byte_enum::byte_enum;
use runtime_sys::shared;
use std::cell::Cell;
use std::sync::atomic::{AtomicU64, Ordering};

byte_enum! {
    /// The steps of the runtime itself.
    Mark {
        LoadConfig, CheckConfig, CompileFilter, FindCgroup, Reserve, WriteRecord, CommitRecord, MakeCgroup, Plan, Clone,
        AwaitNetwork, AwaitStage, IdMaps, NetDevices, Limits, DeviceFilter, AwaitChild, Hook, SeccompAgent, SetFromOutside, Announce,
        Release, ReadRecord, Status, Signal, WriteFifo, AwaitEnd, RemoveCgroup, RemoveRecord,
        Network, Loopback,
    }
}

/// A process or thread of the operation.
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

/// The memory of a timeline: the number of marks, then two words for each mark.
pub(crate) type TimelineMemory = &'static [AtomicU64; shared::WORDS];

thread_local! {
    // No destructor, so access needs neither heap nor lock.
    static CURRENT: Cell<Option<TimelineMemory>> = const { Cell::new(None) };
    static TRACK: Cell<Track> = const { Cell::new(Track::Runtime) };
}

/// The kind of a mark.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum MarkKind {
    /// The first mark of its track.
    Begin = 1,
    Mark = 2,
    Step = 3,
}

/// A mark as [`events`] returns it.
#[derive(Debug)]
pub(crate) struct TimedMark {
    pub(crate) time: u64,
    pub(crate) track: Track,
    pub(crate) kind: MarkKind,
    pub(crate) what: u8,
    pub(crate) item: u32,
}

impl TimedMark {
    fn encode(track: Track, kind: MarkKind, what: u8, item: u32) -> u64 {
        let [i0, i1, i2, i3] = item.to_le_bytes();
        u64::from_le_bytes([kind as u8, track as u8, what, 0, i0, i1, i2, i3])
    }

    /// Decodes a mark; `None` for a slot that was reserved and not written yet.
    fn decode(time: u64, word: u64) -> Option<Self> {
        let [kind, track, what, _, i0, i1, i2, i3] = word.to_le_bytes();
        let kind =
            [MarkKind::Begin, MarkKind::Mark, MarkKind::Step].into_iter().find(|k| *k as u8 == kind)?;
        let track = Track::ALL.get(usize::from(track)).copied()?;
        Some(TimedMark { time, track, kind, what, item: u32::from_le_bytes([i0, i1, i2, i3]) })
    }
}

/// Makes the memory of a timeline. From now on the calling thread marks its steps there.
pub(crate) fn begin() -> runtime_sys::Result<TimelineMemory> {
    let words = shared::words()?;
    CURRENT.set(Some(words));
    put(MarkKind::Begin, 0, 0);
    Ok(words)
}

/// Ends the timeline of the calling thread.
pub(crate) fn end() {
    CURRENT.set(None);
}

/// Returns the marks so far, and the number of marks that did not fit.
pub(crate) fn events(words: TimelineMemory) -> (Vec<TimedMark>, u64) {
    let [next, marks @ ..] = words;
    let count = next.load(Ordering::Acquire);
    let fit = count.min(marks.len() as u64 / 2);
    let mut events: Vec<TimedMark> = marks
        .chunks_exact(2)
        .take(fit as usize)
        .filter_map(|pair| match pair {
            [time, what] => TimedMark::decode(time.load(Ordering::Acquire), what.load(Ordering::Acquire)),
            _ => None,
        })
        .collect();
    // A process reserves its slot before it reads the clock, so two processes may be out of order.
    events.sort_by_key(|event| event.time);
    (events, count - fit)
}

/// Makes the calling process mark on this track, and marks the track's beginning.
pub(crate) fn enter(track: Track) {
    TRACK.set(track);
    put(MarkKind::Begin, 0, 0);
}

/// A reference to a timeline, for another thread to mark its steps there.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Handle(Option<TimelineMemory>);

impl Handle {
    /// Returns the timeline of the calling thread, if any.
    pub(crate) fn of_thread() -> Self {
        Handle(CURRENT.get())
    }

    /// Makes the calling thread mark on this track of the timeline.
    pub(crate) fn enter(self, track: Track) {
        CURRENT.set(self.0);
        enter(track);
    }
}

/// Marks a step at the end of the expression that did it.
pub(crate) trait Traced: Sized {
    fn traced(self, mark: Mark) -> Self {
        put(MarkKind::Mark, mark as u8, 0);
        self
    }
}

impl<T, E> Traced for std::result::Result<T, E> {}

/// Marks the end of a step of the child. `step` is the byte of a
/// [`Step`](crate::boundary::step::Step).
pub(crate) fn step(step: u8, item: u32) {
    put(MarkKind::Step, step, item);
}

#[inline]
fn put(kind: MarkKind, what: u8, item: u32) {
    if let Some(words) = CURRENT.get() {
        write(words, TimedMark::encode(TRACK.get(), kind, what, item));
    }
}

#[cold]
fn write(words: TimelineMemory, what: u64) {
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
    fn the_table_of_the_page_matches_the_code() {
        let page = include_str!("../../docs/timeline.md");
        let rows = page.split("\nThe steps of the runtime:\n").nth(1).unwrap().split("\n## ").next().unwrap();
        let in_page: Vec<_> =
            rows.lines().filter_map(|row| row.strip_prefix("| `")?.split('`').next()).collect();
        let in_code: Vec<_> = Mark::ALL.iter().map(|mark| format!("{mark:?}")).collect();
        assert_eq!(in_page, in_code);
    }
}
