// SPDX-License-Identifier: Apache-2.0
//! The results as SVG: horizontal bars, one for each contender, grouped by operation.

use crate::lifecycle::Operation;
use crate::results::{Results, median, minimum};
use crate::scenario::Scenario;
use conformance::{Doing, Result};
use std::path::Path;

pub(crate) const COLOURS: [&str; 8] =
    ["#0072b2", "#e69f00", "#cc79a7", "#009e73", "#777777", "#56b4e9", "#d55e00", "#f0e442"];
const LABEL: f64 = 150.0;
const WIDTH: f64 = 560.0;
const BAR: f64 = 13.0;

/// One bar: its length, its mark and its colour.
struct Bar {
    contender: usize,
    value: f64,
    mark: f64,
}

/// Bars with a common label.
struct Group {
    label: String,
    bars: Vec<Bar>,
}

/// Writes one file for each plot that has data.
pub(crate) fn write_all(directory: &Path, results: &Results) -> Result {
    std::fs::create_dir_all(directory).doing("--svg")?;
    let names = names(results);
    for scenario in Scenario::ALL.into_iter().filter(|scenario| *scenario != Scenario::Parallel) {
        let groups = groups(results, scenario, &names);
        if !groups.is_empty() {
            let text = svg(&format!("{}, milliseconds", scenario.title().replace('`', "")), &groups, &names);
            write(directory, scenario.name(), &text)?;
        }
    }
    let parallel: Vec<Bar> = results
        .parallel
        .iter()
        .filter_map(|rate| {
            let best = rate.per_second.iter().copied().max_by(f64::total_cmp)?;
            let contender = names.iter().position(|name| *name == rate.contender)?;
            Some(Bar { contender, value: median(&rate.per_second), mark: best })
        })
        .collect();
    if !parallel.is_empty() {
        let group = Group { label: String::from("run"), bars: parallel };
        let title = format!("{}, containers in a second", Scenario::Parallel.title());
        write(directory, Scenario::Parallel.name(), &svg(&title, &[group], &names))?;
    }
    Ok(())
}

fn write(directory: &Path, name: &str, text: &str) -> Result {
    std::fs::write(directory.join(format!("{name}.svg")), text).doing("--svg")
}

fn names(results: &Results) -> Vec<String> {
    results.contenders.iter().map(|contender| contender.name.clone()).collect()
}

fn groups(results: &Results, scenario: Scenario, names: &[String]) -> Vec<Group> {
    let bar = |operation, (contender, name): (usize, &String)| {
        let entry = results.find(scenario, operation, name)?;
        let (value, mark) = (median(&entry.wall_us) / 1e3, minimum(&entry.wall_us) / 1e3);
        Some(Bar { contender, value, mark })
    };
    Operation::ALL
        .into_iter()
        .map(|operation| Group {
            label: operation.name().to_owned(),
            bars: names.iter().enumerate().filter_map(|named| bar(operation, named)).collect(),
        })
        .filter(|group| !group.bars.is_empty())
        .collect()
}

fn svg(title: &str, groups: &[Group], names: &[String]) -> String {
    let longest = groups.iter().flat_map(|g| &g.bars).map(|bar| bar.value.max(bar.mark)).fold(0.0, f64::max);
    let scale = |value: f64| if longest > 0.0 { value / longest * WIDTH } else { 0.0 };
    let bars: usize = groups.iter().map(|group| group.bars.len()).sum();
    let height = 60.0 + bars as f64 * BAR + groups.len() as f64 * 8.0;
    let mut out = String::new();
    let mut line = |text: std::fmt::Arguments<'_>| out += &format!("{text}\n");
    line(format_args!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{}\" height=\"{height}\" \
         font-family=\"sans-serif\" font-size=\"11\">",
        LABEL + WIDTH + 70.0
    ));
    line(format_args!("<rect width=\"100%\" height=\"100%\" fill=\"white\"/>"));
    line(format_args!("<text x=\"10\" y=\"18\" font-size=\"13\">{title}</text>"));
    let mut x = 10.0;
    for (i, name) in names.iter().enumerate() {
        if groups.iter().flat_map(|g| &g.bars).any(|bar| bar.contender == i) {
            let colour = COLOURS[i % COLOURS.len()];
            line(format_args!("<rect x=\"{x}\" y=\"28\" width=\"10\" height=\"10\" fill=\"{colour}\"/>"));
            line(format_args!("<text x=\"{}\" y=\"37\">{name}</text>", x + 14.0));
            x += 30.0 + 7.0 * name.len() as f64;
        }
    }
    line(format_args!("<text x=\"{x}\" y=\"37\" fill=\"#555\">bar: median, line: best</text>"));
    let mut y = 50.0;
    for group in groups {
        line(format_args!("<text x=\"10\" y=\"{}\">{}</text>", y + 10.0, group.label));
        for bar in &group.bars {
            let colour = COLOURS[bar.contender % COLOURS.len()];
            line(format_args!(
                "<rect x=\"{LABEL}\" y=\"{y}\" width=\"{:.1}\" height=\"{}\" fill=\"{colour}\"/>",
                scale(bar.value),
                BAR - 2.0
            ));
            let mark = LABEL + scale(bar.mark);
            line(format_args!(
                "<path d=\"M{mark:.1} {y}v{}\" stroke=\"black\" stroke-width=\"1.5\"/>",
                BAR - 2.0
            ));
            let end = LABEL + scale(bar.value.max(bar.mark)) + 5.0;
            let digits = if bar.value < 100.0 { 2 } else { 0 };
            line(format_args!("<text x=\"{end:.1}\" y=\"{}\">{:.digits$}</text>", y + 9.0, bar.value));
            y += BAR;
        }
        y += 8.0;
    }
    line(format_args!("</svg>"));
    out
}
