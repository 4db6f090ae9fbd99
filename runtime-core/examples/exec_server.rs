// SPDX-License-Identifier: Apache-2.0
//! A server on tokio that executes commands in a container: each connection sends a line, and gets
//! the output of `sh -c LINE`. Here, 20 clients connect at once, and then the server ends.
//!
//! ```text
//! cargo run -p runtime-core --features tokio --example exec_server -- /path/to/bundle
//! ```
#![allow(clippy::print_stdout)]

use runtime_core::spec::{Process, Spec};
use runtime_core::{Container, ContainerId, DeleteOptions, Runtime};
use std::error::Error;
use std::path::PathBuf;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};

type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

#[tokio::main]
async fn main() -> Result<()> {
    let bundle = PathBuf::from(std::env::args_os().nth(1).unwrap_or_else(|| ".".into()));
    let runtime = Runtime::new("/run/runtime-example");
    let id = ContainerId::new(&format!("server-{}", std::process::id()))?;

    let mut spec = Spec::example(runtime_core::is_unified());
    if let Some(process) = &mut spec.process {
        process.terminal = false;
        process.args = ["sleep", "1000"].map(str::to_owned).to_vec();
    }
    let init = runtime.builder(id, &bundle).spec(spec).run_async().await?;

    let socket = bundle.join(format!("socket-{}", std::process::id()));
    let listener = UnixListener::bind(&socket)?;
    let server = tokio::spawn(serve(listener, init.container().clone()));
    let clients: Vec<_> = (0..20).map(|n| tokio::spawn(ask(socket.clone(), n))).collect();
    for client in clients {
        println!("{}", client.await??.trim_end());
    }
    server.abort();
    std::fs::remove_file(&socket)?;

    init.container().delete_async(DeleteOptions::new().force(true)).await?;
    init.wait_async().await?;
    Ok(())
}

async fn serve(listener: UnixListener, container: Container) -> Result<()> {
    loop {
        let (client, _) = listener.accept().await?;
        let container = container.clone();
        tokio::spawn(async move {
            let mut client = BufReader::new(client);
            let mut line = String::new();
            client.read_line(&mut line).await?;
            let answer = match execute(&container, &line).await {
                Ok(output) => output,
                // The whole chain, with the hint.
                Err(error) => format!("{error:#}").into_bytes(),
            };
            client.get_mut().write_all(&answer).await?;
            Result::Ok(())
        });
    }
}

async fn execute(container: &Container, command: &str) -> runtime_core::Result<Vec<u8>> {
    let process = Process {
        args: ["sh", "-c", command].map(str::to_owned).to_vec(),
        env: vec!["PATH=/bin".to_owned()],
        cwd: "/".to_owned(),
        ..Process::default()
    };
    Ok(container.exec(process).output_async(1 << 20).await?.stdout)
}

async fn ask(socket: PathBuf, n: usize) -> Result<String> {
    let mut server = UnixStream::connect(socket).await?;
    server.write_all(format!("echo {n} squared is $(({n} * {n}))\n").as_bytes()).await?;
    let mut answer = String::new();
    server.read_to_string(&mut answer).await?;
    Ok(answer)
}
