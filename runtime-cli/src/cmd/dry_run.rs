// SPDX-License-Identifier: Apache-2.0
//! `create --dry-run` and `run --dry-run`, which runc does not have (docs/dry-run.md).

use super::context::CommandContext;
use super::create::{Mode, has_terminal};
use super::create::{NOT_WITH_CONSOLE_SOCKET, configure, load, mode_of_run};
use super::state_root;
use crate::args::flags::{CONSOLE_SOCKET, DRY_RUN_FORMAT, KEEP};
use crate::failure::Failure;
use crate::foreground;
use crate::layout::{GREEN, GREY, Style, YELLOW};
use crate::output;
use runtime_core::Runtime;
use runtime_core::dry_run::{Actor, CreationPlan};

pub(super) fn create(context: &CommandContext<'_>) -> Result<u8, Failure> {
    show(context, Mode::Create).map_err(|failure| failure.during("runc create failed"))
}

pub(super) fn run(context: &CommandContext<'_>) -> Result<u8, Failure> {
    show(context, mode_of_run(context)).map_err(|failure| failure.during("runc run failed"))
}

fn show(context: &CommandContext<'_>, mode: Mode) -> Result<u8, Failure> {
    let format =
        context.flags.get(DRY_RUN_FORMAT).map(|format| format.to_string_lossy()).unwrap_or("text".into());
    if format != "text" && format != "json" {
        return Err(Failure::new("invalid format option"));
    }
    // The state directory is not made.
    let runtime = Runtime::new(state_root::name(context.globals)?);
    let builder = load(context, &runtime, false)?;
    let terminal = has_terminal(&builder);
    let mut builder = configure(context, builder)?.parallel(true);
    if mode == Mode::Foreground {
        if context.flags.path(CONSOLE_SOCKET).is_some() {
            return Err(Failure::new(NOT_WITH_CONSOLE_SOCKET));
        }
        builder = if terminal {
            foreground::check_terminal()?;
            builder.terminal()
        } else {
            let [stdin, stdout, stderr] = foreground::planned_streams();
            builder.stdin(stdin).stdout(stdout).stderr(stderr)
        };
    }
    let mut plan = if mode == Mode::Create { builder.plan_create()? } else { builder.plan_run()? };
    if mode == Mode::Foreground && !context.flags.is_set(KEEP) {
        // The command deletes the container.
        plan.steps
            .iter_mut()
            .filter(|step| step.by == Actor::Delete)
            .for_each(|step| step.by = Actor::Runtime);
    }
    context.warn(&plan.warnings);
    if format == "json" {
        let json = serde_json::to_string_pretty(&plan).map_err(|error| Failure::new(error.to_string()))?;
        output::print(&format!("{json}\n"));
    } else {
        output::print(&text(&plan, Style::of_stdout()));
    }
    Ok(0)
}

/// The widths of the columns with the process and with the name of the step.
const BY: usize = 9;
const NAME: usize = 18;

fn text(plan: &CreationPlan, style: Style) -> String {
    let mut out = String::new();
    let CreationPlan { id, bundle, .. } = plan;
    style.wrap(&mut out, &format!("The plan of container {id} from {bundle}. Nothing was made."), 0, 0);
    out.push('\n');
    for step in &plan.steps {
        let colour = match step.by {
            Actor::Runtime | Actor::Network => YELLOW,
            Actor::Start | Actor::Delete => GREY,
            _ => GREEN,
        };
        out.push_str(&style.word(step.by.name(), BY, colour));
        out.push_str(&format!("{:NAME$}", step.name));
        style.wrap(&mut out, &step.text, BY + NAME, BY + NAME);
    }
    out
}
