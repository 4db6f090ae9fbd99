// SPDX-License-Identifier: Apache-2.0
//! The plan of a creation that is not carried out:
//! [`ContainerBuilder::plan_create`](crate::ContainerBuilder::plan_create) and
//! [`plan_run`](crate::ContainerBuilder::plan_run).
//!
//! The steps are read from the plan that a creation hands to the container's process, and from the
//! checked configuration that the rest of the creation works with. config.json is read by the same
//! code, once.
//!
//! ```no_run
//! use runtime_core::dry_run::Details;
//! use runtime_core::{ContainerId, Runtime};
//!
//! # fn main() -> runtime_core::Result<()> {
//! let runtime = Runtime::new("/run/runtime-example");
//! let plan = runtime.builder(ContainerId::new("example")?, "/bundle").plan_create()?;
//! for step in &plan.steps {
//!     println!("{} {} {}", step.by.name(), step.name, step.text);
//!     if let Some(Details::Mount(mount)) = &step.details {
//!         println!("its options are {:?}", mount.options);
//!     }
//! }
//! # Ok(())
//! # }
//! ```

mod mounts;
mod plan;
mod runtime;
mod script;
mod subject;
mod words;

pub use plan::{
    Actor, CreationPlan, Details, PlannedCapabilities, PlannedCgroup, PlannedDescriptor, PlannedDevice,
    PlannedFilter, PlannedHook, PlannedJoin, PlannedLink, PlannedMount, PlannedMountKind, PlannedProgram,
    PlannedRlimit, PlannedSetting, PlannedStep, PlannedUser, PlannedWrite,
};
pub(crate) use script::steps;
pub(crate) use subject::{Named, PlacedCgroup, Sources, Subject};
