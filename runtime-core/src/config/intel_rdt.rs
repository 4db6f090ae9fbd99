// SPDX-License-Identifier: Apache-2.0
//! `linux.intelRdt`: the container's groups in the resctrl file system.

use super::field::invalid;
use crate::error::Result;
use crate::spec;

/// A checked `linux.intelRdt`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct IntelRdt {
    pub(crate) class: Class,
    /// The L3 cache lines of the group's schemata file. A group that exists must have the same
    /// values of these lines and of `mem_bw`.
    pub(crate) l3_cache: Option<String>,
    pub(crate) mem_bw: Option<String>,
    /// The lines that are written after `l3_cache` and `mem_bw`.
    pub(crate) schemata: Vec<String>,
    pub(crate) monitoring: bool,
}

/// The class of service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Class {
    /// The default class: the root of the file system.
    Default,
    Named(String),
    /// The class of this container alone, with the container's id as its name.
    Own,
}

impl IntelRdt {
    pub(crate) fn new(spec: &spec::IntelRdt) -> Result<Self> {
        let at = "linux.intelRdt";
        let one_line = |at: String, text: &str| {
            let bad = text.contains(['\n', '\0']);
            if bad { Err(invalid(at, format_args!("{text:?} has more than one line"))) } else { Ok(()) }
        };
        if !spec.mem_bw_schema.is_empty() && !spec.mem_bw_schema.starts_with("MB:") {
            let why = format!("{:?} does not begin with \"MB:\"", spec.mem_bw_schema);
            return Err(invalid(format_args!("{at}.memBwSchema"), why));
        }
        one_line(format!("{at}.memBwSchema"), &spec.mem_bw_schema)?;
        for (i, line) in spec.schemata.iter().enumerate() {
            one_line(format!("{at}.schemata[{i}]"), line)?;
        }
        if spec.l3_cache_schema.contains('\0') {
            return Err(invalid(format_args!("{at}.l3CacheSchema"), "has a NUL byte"));
        }
        let given = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        Ok(IntelRdt {
            class: class(&spec.clos_id)?,
            l3_cache: given(&spec.l3_cache_schema),
            mem_bw: given(&spec.mem_bw_schema),
            schemata: spec.schemata.clone(),
            monitoring: spec.enable_monitoring,
        })
    }

    /// Returns the lines to write into the group's schemata file, in the order that the
    /// specification requires. If there are none, nothing is written.
    pub(crate) fn lines(&self) -> impl Iterator<Item = &str> {
        let older = [&self.l3_cache, &self.mem_bw];
        older.into_iter().flatten().chain(&self.schemata).map(String::as_str)
    }
}

fn class(id: &str) -> Result<Class> {
    match id {
        "" => Ok(Class::Own),
        "/" => Ok(Class::Default),
        // Names in the root directory that are not groups.
        "." | ".." | "info" | "mon_groups" | "mon_data" => {
            Err(invalid("linux.intelRdt.closID", format_args!("{id:?} is not the name of a group")))
        }
        _ if id.len() > 255 || id.contains(['/', '\n', '\0']) => {
            Err(invalid("linux.intelRdt.closID", format_args!("{id:?} is not the name of a directory")))
        }
        _ => Ok(Class::Named(id.to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec() -> spec::IntelRdt {
        spec::IntelRdt {
            l3_cache_schema: "L3:0=f".into(),
            mem_bw_schema: "MB:0=20".into(),
            schemata: vec!["L2:0=f".into(), "L2:1=f".into()],
            ..Default::default()
        }
    }

    #[test]
    fn older_fields_come_before_schemata() {
        let rdt = IntelRdt::new(&spec()).unwrap();
        assert_eq!(rdt.lines().collect::<Vec<_>>(), ["L3:0=f", "MB:0=20", "L2:0=f", "L2:1=f"]);
        assert_eq!(rdt.class, Class::Own);
        let none = IntelRdt::new(&spec::IntelRdt { clos_id: "/".into(), ..Default::default() }).unwrap();
        assert_eq!((none.lines().count(), none.class), (0, Class::Default));
    }

    #[test]
    fn refusals_of_intel_rdt_name_the_field() {
        let report = |change: fn(&mut spec::IntelRdt)| {
            let mut spec = spec();
            change(&mut spec);
            IntelRdt::new(&spec).unwrap_err().report()
        };
        for id in ["a/b", "..", "info", "/x", "a\nb"] {
            let mut spec = spec();
            spec.clos_id = id.into();
            let error = IntelRdt::new(&spec).unwrap_err().report();
            assert!(error.starts_with("linux.intelRdt.closID: "), "{error}");
        }
        assert!(report(|s| s.mem_bw_schema = "L3:0=f".into()).starts_with("linux.intelRdt.memBwSchema: "));
        assert!(report(|s| s.mem_bw_schema.push('\n')).starts_with("linux.intelRdt.memBwSchema: "));
        assert!(report(|s| s.schemata[1].push('\n')).starts_with("linux.intelRdt.schemata[1]: "));
    }
}
