// SPDX-License-Identifier: Apache-2.0
//! A timeline of an operation's steps, in the runtime and in the container's process.
//!
//! Call [`Trace::begin`] before the operation and [`Trace::to_json`] after it, in the same
//! thread. `chrome://tracing` and <https://ui.perfetto.dev> show the file.
//!
//! Steps are marked at their end: a step lasts from the end of the previous step in the same
//! process. Without a trace, nothing is marked and the cost is close to nothing. The child
//! writes marks into memory that it shares with its parent, without heap or locks.

use crate::boundary::step::Step;
use crate::error::{Context, Result};
use crate::marks::{self, Mark, MarkKind, TimedMark, TimelineMemory, Track};

/// A timeline that is being recorded. Its memory stays mapped until the program ends: 128 KiB
/// of address space, of which only the pages written to take memory.
#[derive(Debug)]
#[must_use]
pub struct Trace {
    words: TimelineMemory,
}

impl Trace {
    /// Begins a timeline. From now on the calling thread marks its steps. Errors: those of mmap(2).
    pub fn begin() -> Result<Self> {
        Ok(Trace { words: marks::begin().context(|| "mmap")? })
    }

    /// Returns the timeline so far, in the JSON array format of Chrome's trace events.
    pub fn to_json(&self) -> String {
        let mut out = String::from(
            "[{\"ph\":\"M\",\"pid\":1,\"name\":\"process_name\",\"args\":{\"name\":\"container\"}},\n",
        );
        for track in Track::ALL {
            let (tid, name) = (track as u8, name_of(track));
            out += &format!(
                "{{\"ph\":\"M\",\"pid\":1,\"tid\":{tid},\"name\":\"thread_name\",\"args\":{{\"name\":\"{name}\"}}}},\n"
            );
        }
        let (events, lost) = marks::events(self.words);
        let first = events.iter().map(|event| event.time).min().unwrap_or_default();
        let micros = |time: u64| (time - first) as f64 / 1000.0;
        let mut ends = Track::ALL.map(|_| None);
        for event in &events {
            let Some(end) = ends.get_mut(event.track as usize) else { continue };
            if let (Some(start), Some(name)) = (*end, step_of(event)) {
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
}

impl Drop for Trace {
    fn drop(&mut self) {
        marks::end();
    }
}

/// Returns the name of a process in the timeline.
fn name_of(track: Track) -> &'static str {
    match track {
        Track::Runtime => "runtime",
        Track::Stage => "stage (joins namespaces)",
        Track::Init => "init (becomes the container's process)",
        Track::Network => "network (makes its namespace)",
        Track::Last => "program (in an existing pid namespace)",
    }
}

/// Returns the name of the step that the mark ends; `None` for the first mark of a track.
fn step_of(event: &TimedMark) -> Option<String> {
    match event.kind {
        MarkKind::Begin => None,
        MarkKind::Mark => Mark::from_byte(event.what).map(|mark| format!("{mark:?}")),
        MarkKind::Step => Step::from_byte(event.what).map(|step| format!("{step:?}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::marks::{Traced, step};
    use runtime_sys::shared;

    #[test]
    fn nothing_is_marked_unless_a_trace_was_begun() {
        Ok::<(), ()>(()).traced(Mark::Plan).unwrap();
        let trace = Trace::begin().unwrap();
        assert_eq!(marks::events(trace.words).0.len(), 1);
        Ok::<(), ()>(()).traced(Mark::Plan).unwrap();
        step(Step::Mount as u8, 70_000);
        let json: serde_json::Value = serde_json::from_str(&trace.to_json()).unwrap();
        let spans: Vec<_> = json.as_array().unwrap().iter().filter(|event| event["ph"] == "X").collect();
        assert_eq!(spans[0]["name"], "Plan");
        assert_eq!((&spans[1]["name"], &spans[1]["args"]["item"]), (&"Mount".into(), &70_000.into()));
        drop(trace);
        Ok::<(), ()>(()).traced(Mark::Plan).unwrap();
    }

    #[test]
    fn marks_that_do_not_fit_are_counted() {
        let trace = Trace::begin().unwrap();
        for _ in 0..shared::WORDS {
            Ok::<(), ()>(()).traced(Mark::Plan).unwrap();
        }
        let (events, lost) = marks::events(trace.words);
        assert_eq!(events.len(), (shared::WORDS - 1) / 2);
        assert_eq!(events.len() as u64 + lost, shared::WORDS as u64 + 1);
        assert!(trace.to_json().contains(&format!("{lost} marks lost")));
    }
}
