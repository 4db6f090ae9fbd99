// SPDX-License-Identifier: Apache-2.0
//! The input of `start` from containerd, and its answer.

use crate::args::Args;
use crate::options::Options;
use crate::proto::bootstrap::{Answer, Params};
use crate::proto::common::Any;
use crate::socket;
use crate::status::Result;
use prost::Message;

/// The input of `start`.
pub(crate) struct Bootstrap {
    /// The options, if they were given.
    pub(crate) options: Options,
    /// The directory of the socket.
    pub(crate) socket_dir: String,
    /// The address of containerd's ttrpc socket, for events.
    pub(crate) ttrpc_address: String,
    pub(crate) debug: bool,
    form: Form,
}

/// The form of the answer.
enum Form {
    /// A message, since containerd 2.3.
    Message,
    /// JSON, to a containerd that can use version 3 of the task service.
    Json,
    /// The address alone. The version is 2.
    Text,
}

impl Bootstrap {
    /// Reads standard input, which is a message since containerd 2.3 and the options before; and the
    /// variables of the environment.
    pub(crate) fn new(args: &Args, input: &[u8], variable: impl Fn(&str) -> Option<String>) -> Result<Self> {
        // Options can be mistaken for parameters, so these have to name the container.
        let params = Params::decode(input).ok();
        let params =
            params.filter(|params| params.instance_id == args.id && params.namespace == args.namespace);
        let set = |name| variable(name).filter(|value| !value.is_empty());
        let beside = || format!("{}.ttrpc", args.address);
        let ttrpc_address = set("TTRPC_ADDRESS").unwrap_or_else(beside);
        let Some(params) = params else {
            let given = if input.is_empty() { None } else { Some(crate::ttrpc::decode::<Any>(input)?) };
            let version: u32 = set("MAX_SHIM_VERSION").and_then(|version| version.parse().ok()).unwrap_or(2);
            return Ok(Bootstrap {
                options: Options::of(given.as_ref())?,
                socket_dir: socket::DIRECTORY.to_owned(),
                ttrpc_address,
                debug: args.debug,
                form: if version >= 3 { Form::Json } else { Form::Text },
            });
        };
        let mut extensions = params.extensions.iter().filter_map(|extension| extension.value.as_ref());
        // Other extensions are of no concern to a shim that does not know them.
        let given = extensions.find(|any| Options::are(any));
        const DEBUG: i32 = -4;
        Ok(Bootstrap {
            options: Options::of(given)?,
            socket_dir: params
                .socket_dir
                .filter(|dir| !dir.is_empty())
                .unwrap_or(socket::DIRECTORY.to_owned()),
            ttrpc_address: Some(params.containerd_ttrpc_address)
                .filter(|it| !it.is_empty())
                .unwrap_or(ttrpc_address),
            debug: args.debug || params.log_level <= DEBUG,
            form: Form::Message,
        })
    }

    /// Returns the answer: the shim serves at `address`.
    pub(crate) fn answer(&self, address: String) -> Vec<u8> {
        match self.form {
            Form::Message => Answer { version: 3, address, protocol: "ttrpc".to_owned() }.encode_to_vec(),
            Form::Json => serde_json::json!({ "version": 3, "address": address, "protocol": "ttrpc" })
                .to_string()
                .into_bytes(),
            Form::Text => address.into_bytes(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::bootstrap::Extension;
    use crate::proto::options;

    fn args() -> Args {
        let line = "-namespace n -id c -address /run/containerd.sock start";
        Args::parse(line.split(' ').map(str::to_owned)).unwrap()
    }

    #[test]
    fn each_containerd_gets_the_answer_that_it_understands() {
        let path = "unix:///run/containerd/s/x";
        let options = options::Runc { root: "/r".to_owned(), ..Default::default() };
        let options = Any::of("containerd.runc.v1.Options", &options);

        let old = Bootstrap::new(&args(), &options.encode_to_vec(), |_| None).unwrap();
        assert_eq!(old.answer(path.to_owned()), b"unix:///run/containerd/s/x");
        assert_eq!(
            (old.options.root.as_str(), old.ttrpc_address.as_str()),
            ("/r", "/run/containerd.sock.ttrpc")
        );

        let newer = |name: &str| (name == "MAX_SHIM_VERSION").then(|| "3".to_owned());
        let answer = Bootstrap::new(&args(), b"", newer).unwrap().answer(path.to_owned());
        assert_eq!(answer, br#"{"address":"unix:///run/containerd/s/x","protocol":"ttrpc","version":3}"#);

        let params = Params {
            instance_id: "c".to_owned(),
            namespace: "n".to_owned(),
            containerd_ttrpc_address: "/t".to_owned(),
            extensions: vec![Extension { value: Some(options) }],
            socket_dir: Some("/s".to_owned()),
            ..Params::default()
        };
        let new = Bootstrap::new(&args(), &params.encode_to_vec(), |_| None).unwrap();
        assert_eq!((new.options.root.as_str(), new.ttrpc_address.as_str()), ("/r", "/t"));
        assert_eq!(new.socket_dir, "/s");
        let answer = Answer::decode(new.answer(path.to_owned()).as_slice()).unwrap();
        assert_eq!((answer.version, answer.address.as_str()), (3, "unix:///run/containerd/s/x"));
    }
}
