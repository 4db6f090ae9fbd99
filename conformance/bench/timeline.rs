// SPDX-License-Identifier: Apache-2.0
//! A trace of the runtime (`--trace`) as SVG: a row for each process or thread, a bar for each step.

use crate::plot::COLOURS;
use conformance::{Doing, Result};
use serde_json::Value;
use std::path::Path;

const WIDTH: f64 = 900.0;
const LEFT: f64 = 10.0;
const ROW: f64 = 44.0;
const BAR: f64 = 22.0;
/// The least width of a letter, in a font of 11 pixels.
const LETTER: f64 = 6.2;

/// Steps of the same name, one after the other, in one row.
struct Bar {
    name: String,
    count: usize,
    /// Microseconds since the beginning of the trace.
    start: f64,
    end: f64,
}

/// Draws the trace in the file `trace` to `timeline.svg` in the directory.
pub(crate) fn write(trace: &Path, directory: &Path) -> Result {
    let text = std::fs::read_to_string(trace).doing("--timeline")?;
    let events: Vec<Value> = serde_json::from_str(&text).doing("--timeline")?;
    std::fs::create_dir_all(directory).doing("--svg")?;
    std::fs::write(directory.join("timeline.svg"), svg(&rows(&events))).doing("--svg")
}

/// Returns the rows that have steps, with their names, in the order of their first steps.
fn rows(events: &[Value]) -> Vec<(String, Vec<Bar>)> {
    let of_kind = |kind: &'static str| events.iter().filter(move |event| event["ph"] == kind);
    let mut rows: Vec<(String, Vec<Bar>)> = of_kind("M")
        .filter(|event| event["name"] == "thread_name")
        .map(|thread| {
            let name = thread["args"]["name"].as_str().unwrap_or_default().to_owned();
            let mut bars: Vec<Bar> = Vec::new();
            for event in of_kind("X").filter(|event| event["tid"] == thread["tid"]) {
                let number = |name: &str| event[name].as_f64().unwrap_or_default();
                let (name, start) = (event["name"].as_str().unwrap_or_default(), number("ts"));
                let end = start + number("dur");
                match bars.last_mut() {
                    Some(last) if last.name == name => (last.end, last.count) = (end, last.count + 1),
                    _ => bars.push(Bar { name: name.to_owned(), count: 1, start, end }),
                }
            }
            (name, bars)
        })
        .filter(|(_, bars)| !bars.is_empty())
        .collect();
    rows.sort_by(|(_, a), (_, b)| start(a).total_cmp(&start(b)));
    rows
}

fn start(bars: &[Bar]) -> f64 {
    bars.first().map_or(0.0, |bar| bar.start)
}

fn svg(rows: &[(String, Vec<Bar>)]) -> String {
    let end = rows.iter().flat_map(|(_, bars)| bars).map(|bar| bar.end).fold(1.0, f64::max);
    let x = |micros: f64| LEFT + micros / end * (WIDTH - 2.0 * LEFT);
    let height = 40.0 + rows.len() as f64 * ROW;
    let mut out = String::new();
    let mut line = |text: std::fmt::Arguments<'_>| out += &format!("{text}\n");
    line(format_args!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{WIDTH}\" height=\"{height}\" \
         font-family=\"sans-serif\" font-size=\"11\">"
    ));
    line(format_args!("<rect width=\"100%\" height=\"100%\" fill=\"white\"/>"));
    for (i, (name, bars)) in rows.iter().enumerate() {
        let y = 8.0 + i as f64 * ROW;
        line(format_args!("<text x=\"{LEFT}\" y=\"{:.0}\" fill=\"#555\">{name}</text>", y + 10.0));
        for (j, bar) in bars.iter().enumerate() {
            let (left, width) = (x(bar.start), x(bar.end) - x(bar.start));
            let label =
                if bar.count > 1 { format!("{} ({})", bar.name, bar.count) } else { bar.name.clone() };
            let colour = COLOURS[j % COLOURS.len()];
            line(format_args!(
                "<rect x=\"{left:.1}\" y=\"{:.0}\" width=\"{:.1}\" height=\"{BAR}\" fill=\"{colour}\">\
                 <title>{label}: {:.0} us</title></rect>",
                y + 14.0,
                width.max(0.5),
                bar.end - bar.start
            ));
            if width > label.len() as f64 * LETTER + 4.0 {
                line(format_args!(
                    "<text x=\"{:.1}\" y=\"{:.0}\" fill=\"white\">{label}</text>",
                    left + 3.0,
                    y + 29.0
                ));
            }
        }
    }
    // An axis with a mark at each round number of microseconds.
    let step = [50.0, 100.0, 200.0, 500.0, 1000.0, 2000.0]
        .into_iter()
        .find(|step| end / step < 10.0)
        .unwrap_or(5000.0);
    let y = 8.0 + rows.len() as f64 * ROW;
    let mut at = 0.0;
    while at <= end {
        line(format_args!("<path d=\"M{:.1} 8V{y:.0}\" stroke=\"#999\" stroke-width=\"0.5\"/>", x(at)));
        line(format_args!(
            "<text x=\"{:.1}\" y=\"{:.0}\" fill=\"#555\">{at:.0} µs</text>",
            x(at) + 2.0,
            y + 14.0
        ));
        at += step;
    }
    line(format_args!("</svg>"));
    out
}
