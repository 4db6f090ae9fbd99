// SPDX-License-Identifier: Apache-2.0
//! The options of a new file system: for fsconfig(2), or for mount(2) if an option is longer
//! than fsconfig(2) takes.

use crate::boundary::plan::{FsOptions, Parameters};
use crate::config::field::{c_string, unsupported};
use crate::config::mounts::{Filesystem, FsOption, LABEL_OPTIONS, Mount as MountConfig, MountLabel};
use crate::error::Result;
use std::ffi::CStr;
use std::fmt::Arguments;

/// The longest key or value that fsconfig(2) takes, in bytes.
const PARAMETER_MAX: usize = 255;

/// The longest data (a page) and the longest source (a path) that mount(2) takes, in bytes.
const PAGE_MAX: usize = 4095;

/// Returns the source, the flags and the options of a file system. `at` is the name of the mount in
/// errors.
pub(in crate::prepare) fn options(
    at: Arguments<'_>,
    m: &MountConfig,
    (kind, fstype): (Filesystem, &CStr),
    source: &CStr,
    options: &[FsOption],
    label: Option<&MountLabel>,
) -> Result<FsOptions> {
    let mut own: Vec<FsOption> = options.to_vec();
    if let Some(MountLabel { option, label }) = label.filter(|_| kind.takes_label()) {
        own.push(FsOption { key: (*option).to_owned(), value: Some(label.clone()) });
    }
    // Kernel file systems share one superblock among many mounts, so read-only is set on the
    // mount alone.
    let readonly = m.flags.is_readonly() && kind == Filesystem::Other;
    let parameters = |own: Vec<FsOption>| {
        let mut all = vec![(c"source".to_owned(), Some(source.to_owned()))];
        if readonly {
            all.push((c"ro".to_owned(), None));
        }
        all.extend(m.flags.superblock_words().map(|word| (word.to_owned(), None)));
        all.extend(own.into_iter().map(|option| (option.key, option.value)));
        FsOptions::Parameters(Parameters::from(all))
    };
    if fits(source) && own.iter().all(option_fits) {
        return Ok(parameters(own));
    }
    let at = format_args!("{at}.options");
    let data = own.iter().map(written).collect::<Vec<_>>().join(",");
    if data.len() <= PAGE_MAX && source.to_bytes().len() <= PAGE_MAX {
        let readonly = if readonly { libc::MS_RDONLY } else { 0 };
        let flags = m.flags.superblock() | readonly;
        return Ok(FsOptions::Page { source: source.to_owned(), flags, data: c_string(at, &data)? });
    }
    // KERNEL(6.7): overlayfs takes its layers one by one.
    if fstype == c"overlay" {
        own = own.iter().map(|option| layers(at, option)).collect::<Result<Vec<_>>>()?.concat();
    }
    if fits(source) && own.iter().all(option_fits) {
        return Ok(parameters(own));
    }
    Err(unsupported(
        at,
        format_args!(
            "{} bytes for the file system; the kernel accepts {PAGE_MAX} in total, or {PARAMETER_MAX} for each option",
            data.len()
        ),
    ))
}

fn fits(text: &CStr) -> bool {
    text.to_bytes().len() <= PARAMETER_MAX
}

fn option_fits(option: &FsOption) -> bool {
    fits(&option.key) && option.value.as_deref().is_none_or(fits)
}

/// Formats an option for mount(2). A label is quoted, because it may contain commas.
fn written(option: &FsOption) -> String {
    let key = option.key.to_string_lossy();
    match option.value.as_deref().map(CStr::to_string_lossy) {
        None => key.into_owned(),
        Some(value) if LABEL_OPTIONS.contains(&option.key.as_c_str()) => format!("{key}=\"{value}\""),
        Some(value) => format!("{key}={value}"),
    }
}

/// Splits `lowerdir` of overlayfs into an option for each layer, without escapes. Returns any
/// other option unchanged.
pub(in crate::prepare) fn layers(at: Arguments<'_>, option: &FsOption) -> Result<Vec<FsOption>> {
    let Some(value) = option.value.as_deref().filter(|_| option.key.as_c_str() == c"lowerdir") else {
        return Ok(vec![option.clone()]);
    };
    let value = value.to_string_lossy();
    let mut layers = Vec::new();
    let mut layer = String::new();
    let mut characters = value.chars();
    while let Some(character) = characters.next() {
        match character {
            ':' => layers.push(std::mem::take(&mut layer)),
            '\\' => layer.extend(characters.next()),
            character => layer.push(character),
        }
    }
    layers.push(layer);
    // Data-only layers come last, each after a double colon.
    let mut key = c"lowerdir+";
    let mut all = Vec::new();
    for layer in layers {
        if layer.is_empty() {
            key = c"datadir+";
        } else {
            all.push(FsOption { key: key.to_owned(), value: Some(c_string(at, &layer)?) });
        }
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec;
    use std::ffi::CString;

    fn planned(fstype: &str, options: &[&str]) -> Result<FsOptions> {
        planned_of(fstype, fstype, options)
    }

    fn planned_of(fstype: &str, source: &str, options: &[&str]) -> Result<FsOptions> {
        let spec = spec::Mount {
            destination: "/x".into(),
            kind: fstype.into(),
            source: source.into(),
            options: options.iter().map(|option| (*option).into()).collect(),
            ..Default::default()
        };
        let m = MountConfig::new(3, &spec, "/bundle", "").unwrap();
        let crate::config::mounts::MountSource::New { kind, fstype, source, options, .. } = &m.source else {
            panic!("{m:?}")
        };
        super::options(format_args!("mounts[3]"), &m, (*kind, fstype), source, options, None)
    }

    #[test]
    fn short_options_are_parameters() {
        let FsOptions::Parameters(all) = planned("ext4", &["ro", "sync", "a=1,b"]).unwrap() else { panic!() };
        let text = |s: &str| CString::new(s).unwrap();
        let all: Vec<_> = all.iter().map(|(key, value)| (key.clone(), value.clone())).collect();
        assert_eq!(
            all,
            [
                (text("source"), Some(text("ext4"))),
                (text("ro"), None),
                (text("sync"), None),
                (text("a"), Some(text("1"))),
                (text("b"), None)
            ]
        );
    }

    #[test]
    fn long_options_are_a_page() {
        let long = format!("lowerdir={}", "/x".repeat(200));
        let label = r#"context="u:r:t:s0:c1,c2""#;
        let page = planned("overlay", &["ro", "dirsync", &long, "index=off", label]).unwrap();
        let FsOptions::Page { source, flags, data } = page else { panic!() };
        assert_eq!(source.as_c_str(), c"overlay");
        assert_eq!(flags, libc::MS_RDONLY | libc::MS_DIRSYNC);
        assert_eq!(data.to_str().unwrap(), format!("{long},index=off,{label}"));
    }

    #[test]
    fn a_label_is_an_option() {
        let spec = spec::Mount { destination: "/x".into(), kind: "tmpfs".into(), ..Default::default() };
        let m = MountConfig::new(3, &spec, "/bundle", "").unwrap();
        let label = MountLabel { option: c"context", label: c"a:b".to_owned() };
        let planned = super::options(
            format_args!("mounts[3]"),
            &m,
            (Filesystem::Tmpfs, c"tmpfs"),
            c"tmpfs",
            &[],
            Some(&label),
        )
        .unwrap();
        let FsOptions::Parameters(all) = planned else { panic!() };
        assert!(all.contains(&(c"context".to_owned(), Some(c"a:b".to_owned()))));
    }

    #[test]
    fn options_of_more_than_a_page_are_refused() {
        let long = |length: usize| "x".repeat(length);
        assert!(matches!(planned("ext4", &[&long(4095)]), Ok(FsOptions::Page { .. })));
        assert!(planned("ext4", &[&long(4096)]).is_err());
        assert!(matches!(planned_of("ext4", &long(4095), &[]), Ok(FsOptions::Page { .. })));
        assert!(planned_of("ext4", &long(4096), &[]).is_err());
        let error = planned("ext4", &["a", &format!("b={}", long(4094))]).unwrap_err().report();
        assert!(error.contains("4098 bytes"), "{error}");
    }

    #[test]
    fn more_than_a_page_of_layers_are_parameters() {
        let layers: Vec<_> = (0..50).map(|i| format!("/{}{i}", "x".repeat(100))).collect();
        let long = format!("lowerdir={}::/d", layers.join(":")).replace("/x", r"/\:x");
        let FsOptions::Parameters(all) = planned("overlay", &[&long]).unwrap() else { panic!() };
        assert_eq!(all.len(), 52);
        let (key, value) = &all[1];
        assert_eq!(key.as_c_str(), c"lowerdir+");
        assert!(value.as_ref().unwrap().to_bytes().starts_with(b"/:x"));
        assert_eq!(all[51], (c"datadir+".to_owned(), Some(c"/d".to_owned())));
        let error = planned("ext4", &[&long]).unwrap_err().report();
        assert!(error.starts_with("mounts[3].options: ") && error.contains("4095"), "{error}");
    }
}
