// SPDX-License-Identifier: Apache-2.0
//! Bundles: directories with a config.json.

use crate::error::{Context, Error, ErrorKind, Result, Warning};
use crate::marks::{Mark, Traced};
use crate::path;
use crate::path::file::{self, Unread};
use crate::spec::{JSON_MAX, Spec};
use runtime_sys::{Errno, fd};
use std::os::fd::OwnedFd;
use std::path::Path;

/// An opened bundle.
#[derive(Debug)]
pub(crate) struct Bundle {
    dir: OwnedFd,
    /// The absolute path of the bundle, without links.
    pub(crate) path: String,
}

impl Bundle {
    pub(crate) fn open(bundle: &Path) -> Result<Self> {
        let what = || format!("bundle {}", bundle.display());
        let dir = path::c_path(bundle)
            .and_then(|path| fd::open_follow(fd::CWD, &path, libc::O_PATH | libc::O_DIRECTORY, 0))
            .context(|| format!("chdir {}", bundle.display()))
            .map_err(|error| error.of_kind(ErrorKind::InvalidConfig))?;
        let absolute = path::of_fd(&dir).context(what)?;
        let path = absolute.into_os_string().into_string().map_err(|path| {
            Error::new(ErrorKind::InvalidConfig, format!("bundle {}: the path is not UTF-8", path.display()))
        })?;
        Ok(Bundle { dir, path })
    }

    /// Parses `json`, the content of config.json. The warnings are about property names that may
    /// be mistyped.
    pub(crate) fn parse(&self, json: &[u8]) -> Result<(Spec, Vec<Warning>)> {
        if json.trim_ascii() == b"null" {
            return Err(Error::new(ErrorKind::InvalidConfig, "config cannot be null"));
        }
        Spec::from_json_warning(json)
            .map_err(|error| error.wrap(format!("{}/config.json", self.path)))
            .traced(Mark::LoadConfig)
    }

    /// Reads config.json.
    pub(crate) fn json(&self) -> Result<Vec<u8>> {
        // config.json may be a link: the caller controls the bundle.
        let read = file::read(&self.dir, c"config.json", true, JSON_MAX);
        read.map(|(json, _)| json).map_err(|unread| match unread {
            Unread::Os(Errno::ENOENT) => {
                let hint = format!("{} has none; --bundle names another directory", self.path);
                Error::new(ErrorKind::InvalidConfig, "JSON specification file config.json not found")
                    .with_hint(hint)
            }
            unread => {
                let denied = matches!(unread, Unread::Os(Errno::EACCES));
                let error = unread.into_error(format!("read {}/config.json", self.path));
                let error = match denied {
                    true => {
                        error.with_hint("this user may not read it, or not search a directory of its path")
                    }
                    false => error,
                };
                error.of_kind(ErrorKind::InvalidConfig)
            }
        })
    }

    /// Returns the absolute form of a path in config.json, which may be relative to the bundle. A
    /// `..` of a relative path may leave the bundle.
    pub(crate) fn resolve(&self, path: &str) -> String {
        match path.starts_with('/') {
            true => path.to_owned(),
            false => format!("/{}", path::clean(&format!("{}/{path}", self.path))),
        }
    }
}

impl Spec {
    /// Reads the config.json of the bundle at `bundle`.
    ///
    /// Errors: [`ErrorKind::InvalidConfig`]: there is no bundle, no config.json, or it is not valid.
    pub fn load(bundle: impl AsRef<Path>) -> Result<Self> {
        let bundle = Bundle::open(bundle.as_ref())?;
        bundle.parse(&bundle.json()?).map(|(spec, _)| spec)
    }

    /// Returns the JSON paths of the properties in the config.json of a bundle that this library
    /// does not know. Unknown properties are ignored, as config.md ("Extensibility") requires. A
    /// caller may want to show them, because one of them may be mistyped.
    ///
    /// Errors: [`ErrorKind::InvalidConfig`]: there is no bundle or no config.json.
    pub fn unknown_properties_of(bundle: impl AsRef<Path>) -> Result<Vec<String>> {
        Ok(Spec::unknown_properties(&Bundle::open(bundle.as_ref())?.json()?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_relative_path_begins_at_the_bundle_and_may_leave_it() {
        let dir = tempfile::tempdir().unwrap();
        let (bundle, other) = (dir.path().join("bundle"), dir.path().join("other"));
        std::fs::create_dir(&bundle).unwrap();
        let bundle = Bundle::open(&bundle).unwrap();
        for (path, want) in [
            (".", bundle.path.as_str()),
            ("../other", other.to_str().unwrap()),
            (".././x/../other/", other.to_str().unwrap()),
            ("../../../../../../../../x", "/x"),
            ("/a/../b", "/a/../b"),
        ] {
            assert_eq!(bundle.resolve(path), want, "{path}");
        }
    }
}
