// SPDX-License-Identifier: Apache-2.0
//! The results as Markdown tables.

use crate::lifecycle::Operation;
use crate::results::{Measurement, Results, median, minimum};
use crate::scenario::Scenario;

/// Returns all tables.
pub(crate) fn all(results: &Results) -> String {
    let machine = &results.machine;
    let mut text = format!(
        "{} rounds on {} ({} processors), Linux {} {}.\n",
        results.rounds, machine.processor, machine.processors, machine.kernel, machine.architecture
    );
    for scenario in Scenario::ALL {
        let entries: Vec<&Measurement> =
            results.entries.iter().filter(|entry| entry.scenario == scenario).collect();
        if entries.is_empty() {
            continue;
        }
        let names = contenders(results, &entries);
        text += &format!("\n### {}\n", scenario.title());
        text += "\nMilliseconds: median, and the minimum in brackets.\n\n";
        text += &table(results, scenario, &names, |e| {
            format!("{:.2} ({:.2})", median(&e.wall_us) / 1e3, minimum(&e.wall_us) / 1e3)
        });
        text += "\nCPU time, milliseconds (median).\n\n";
        text += &table(results, scenario, &names, |e| format!("{:.2}", median(&e.cpu_us) / 1e3));
        text += "\nSystem calls.\n\n";
        text += &table(results, scenario, &names, |e| e.calls.map_or_else(String::new, |n| n.to_string()));
        text += "\nPeak resident memory of a process, KiB.\n\n";
        text += &table(results, scenario, &names, |e| e.peak_kib.map_or_else(String::new, |n| n.to_string()));
    }
    text + &memory(results) + &parallel(results)
}

/// Returns the contenders of the measurements, in the order in which they were given.
fn contenders(results: &Results, entries: &[&Measurement]) -> Vec<String> {
    let is_in = |name: &String| entries.iter().any(|entry| entry.contender == *name);
    results.contenders.iter().map(|contender| contender.name.clone()).filter(is_in).collect()
}

/// Formats one row for each operation, one column for each contender.
fn table(
    results: &Results,
    scenario: Scenario,
    names: &[String],
    cell: impl Fn(&Measurement) -> String,
) -> String {
    let mut text = format!(
        "| |{}\n|---|{}\n",
        names.iter().map(|n| format!(" {n} |")).collect::<String>(),
        "--:|".repeat(names.len())
    );
    for operation in Operation::ALL {
        let cells: Vec<String> = names
            .iter()
            .map(|name| results.find(scenario, operation, name).map(&cell).unwrap_or_default())
            .collect();
        if cells.iter().any(|cell| !cell.is_empty()) {
            text += &format!("| {} | {} |\n", operation.name(), cells.join(" | "));
        }
    }
    text
}

fn memory(results: &Results) -> String {
    if results.private_memory.is_empty() {
        return String::new();
    }
    let mut text = String::from(
        "\n### Memory of the init of a created container, and size of the program\n\n\
         | | | private, dirty, KiB | private, clean, KiB | program, KiB |\n|---|---|--:|--:|--:|\n",
    );
    for m in &results.private_memory {
        let bytes = results.contenders.iter().find(|s| s.name == m.contender).map_or(0, |s| s.bytes);
        let scenario = m.scenario.name();
        let (contender, dirty, clean) = (&m.contender, m.dirty_kib, m.clean_kib);
        text += &format!("| {contender} | {scenario} | {dirty} | {clean} | {} |\n", bytes / 1024);
    }
    text
}

fn parallel(results: &Results) -> String {
    if results.parallel.is_empty() {
        return String::new();
    }
    let mut text = format!(
        "\n### {}\n\nContainers in a second: median, and the best round.\n\n| | median | best |\n|---|--:|--:|\n",
        Scenario::Parallel.title()
    );
    for rate in &results.parallel {
        let best = rate.per_second.iter().copied().max_by(f64::total_cmp).unwrap_or_default();
        text += &format!("| {} | {:.0} | {best:.0} |\n", rate.contender, median(&rate.per_second));
    }
    text
}
