// SPDX-License-Identifier: Apache-2.0
//! The command line, in the syntax of Go's package `flag`: `-id x`, `-id=x`, `--id x`.

/// The parsed command line.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Args {
    pub(crate) namespace: String,
    pub(crate) id: String,
    /// The address of containerd's gRPC socket.
    pub(crate) address: String,
    /// The bundle, for `delete`; by default the working directory.
    pub(crate) bundle: String,
    pub(crate) debug: bool,
    pub(crate) version: bool,
    pub(crate) info: bool,
    /// `start`, `delete`, or empty to serve.
    pub(crate) action: String,
}

impl Args {
    /// Parses the arguments without the name of the program.
    pub(crate) fn parse(arguments: impl IntoIterator<Item = String>) -> Result<Self, String> {
        let mut args = Args::default();
        let mut arguments = arguments.into_iter();
        while let Some(argument) = arguments.next() {
            let Some(flag) = argument.strip_prefix('-').map(|flag| flag.strip_prefix('-').unwrap_or(flag))
            else {
                args.action = argument;
                break;
            };
            let (name, value) = match flag.split_once('=') {
                Some((name, value)) => (name, Some(value.to_owned())),
                None => (flag, None),
            };
            let toggle = match name {
                "debug" => Some(&mut args.debug),
                "v" | "version" => Some(&mut args.version),
                "info" => Some(&mut args.info),
                _ => None,
            };
            if let Some(toggle) = toggle {
                *toggle = match value.as_deref() {
                    None | Some("true" | "1") => true,
                    Some("false" | "0") => false,
                    Some(other) => return Err(format!("flag -{name}: {other} is not true or false")),
                };
                continue;
            }
            // Events go to the socket that TTRPC_ADDRESS names, and never through containerd's program.
            let mut unused = String::new();
            let place = match name {
                "namespace" => &mut args.namespace,
                "id" => &mut args.id,
                "address" => &mut args.address,
                "bundle" => &mut args.bundle,
                "publish-binary" => &mut unused,
                _ => return Err(format!("flag provided but not defined: -{name}")),
            };
            *place = value
                .or_else(|| arguments.next())
                .ok_or_else(|| format!("flag needs an argument: -{name}"))?;
        }
        match arguments.next() {
            Some(extra) => Err(format!("unexpected argument: {extra}")),
            None => Ok(args),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Args, String> {
        Args::parse(line.split(' ').map(str::to_owned))
    }

    #[test]
    fn the_command_line_of_containerd_is_parsed() {
        let args =
            parse("-namespace k8s.io -address /a.sock -publish-binary /bin/containerd -id c1 -debug start");
        let expected = Args {
            namespace: "k8s.io".to_owned(),
            id: "c1".to_owned(),
            address: "/a.sock".to_owned(),
            debug: true,
            action: "start".to_owned(),
            ..Args::default()
        };
        assert_eq!(args, Ok(expected));
        let args = parse("-namespace=n --id=c -bundle /b delete").unwrap();
        assert_eq!((args.bundle.as_str(), args.action.as_str()), ("/b", "delete"));
        assert!(parse("-v").unwrap().version && parse("-info").unwrap().info);
    }

    #[test]
    fn a_command_line_that_is_not_understood_is_an_error() {
        for line in ["-nonsense x", "-id", "-debug=perhaps", "start now"] {
            assert!(parse(line).is_err(), "{line}");
        }
    }
}
