// SPDX-License-Identifier: Apache-2.0
//! ttrpc: calls over a stream socket. A frame has a header of ten bytes (length, stream, type, flags)
//! and a message. The stream is the number of a call, and answers come in any order.
//!
//! This has unary calls only. containerd uses no others with a shim (docs/decisions/shim.md).

use crate::proto::rpc::{self, Request, Response};
use crate::status::{Code, Result, Status};
use prost::Message;
use std::io;
use std::rc::Rc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::unix::OwnedWriteHalf;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Mutex;
use tokio::task::{JoinSet, spawn_local};

const HEADER: usize = 10;
const REQUEST: u8 = 1;
const RESPONSE: u8 = 2;
/// The longest message, as in the other implementations.
const LENGTH_MAX: usize = 4 << 20;
/// The most calls of one connection that wait for their answers. A node has 110 pods; each of a pod's
/// processes has one call, Wait.
const CALLS_MAX: usize = 4096;

/// A message that was read.
struct Frame {
    stream: u32,
    kind: u8,
    /// `None` if the message is too long. It was skipped.
    payload: Option<Vec<u8>>,
}

impl Frame {
    /// Reads a frame; `None` at the end of the stream.
    async fn read(from: &mut (impl AsyncRead + Unpin)) -> io::Result<Option<Self>> {
        let mut header = [0; HEADER];
        let first = from.read(&mut header).await?;
        if first == 0 {
            return Ok(None);
        }
        if let Some(rest) = header.get_mut(first..) {
            from.read_exact(rest).await?;
        }
        let [l0, l1, l2, l3, s0, s1, s2, s3, kind, _flags] = header;
        let length = u32::from_be_bytes([l0, l1, l2, l3]);
        let stream = u32::from_be_bytes([s0, s1, s2, s3]);
        if length as usize > LENGTH_MAX {
            let skipped = tokio::io::copy(&mut from.take(length.into()), &mut tokio::io::sink()).await?;
            let whole = skipped == u64::from(length);
            return Ok(whole.then_some(Frame { stream, kind, payload: None }));
        }
        let mut payload = vec![0; length as usize];
        from.read_exact(&mut payload).await?;
        Ok(Some(Frame { stream, kind, payload: Some(payload) }))
    }

    /// Writes a frame with one system call.
    async fn write(
        to: &mut (impl AsyncWrite + Unpin),
        stream: u32,
        kind: u8,
        message: &impl Message,
    ) -> io::Result<()> {
        let length = message.encoded_len();
        let mut frame = Vec::with_capacity(HEADER + length);
        frame.extend_from_slice(&u32::try_from(length).unwrap_or(u32::MAX).to_be_bytes());
        frame.extend_from_slice(&stream.to_be_bytes());
        frame.extend_from_slice(&[kind, 0]);
        message.encode(&mut frame).map_err(io::Error::other)?;
        to.write_all(&frame).await
    }
}

/// A program that answers calls.
pub(crate) trait Service: 'static {
    /// Answers a call with the encoded response.
    async fn call(&self, request: &Request) -> Result<Vec<u8>>;

    /// Returns true if the call only waits, so that it ends with the connection of its caller. Every
    /// other call goes on to its end.
    fn only_waits(&self, request: &Request) -> bool;
}

/// Answers the calls of all clients that connect to `listener`.
pub(crate) async fn serve(listener: UnixListener, service: Rc<impl Service>) {
    loop {
        match listener.accept().await {
            Ok((client, _)) => drop(spawn_local(serve_client(client, Rc::clone(&service)))),
            Err(error) => {
                crate::log::warn(format_args!("accept: {error}"));
                // Descriptors or memory may have run out.
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

async fn serve_client(client: UnixStream, service: Rc<impl Service>) {
    let (from, to) = client.into_split();
    let mut from = BufReader::with_capacity(1024, from);
    let to = Rc::new(Mutex::new(to));
    let calls = Rc::new(());
    // Dropped, and so ended, with the connection.
    let mut waits = JoinSet::new();
    loop {
        let frame = match Frame::read(&mut from).await {
            Ok(Some(frame)) => frame,
            Ok(None) => return,
            Err(error) => return crate::log::debug(format_args!("reading a call: {error}")),
        };
        while waits.try_join_next().is_some() {}
        if Rc::strong_count(&calls) > CALLS_MAX {
            // Before the next call is read: a client that reads no answers is not read either.
            let text = format!("more than {CALLS_MAX} calls wait for an answer");
            let refused = response_of(Err(Status::new(Code::ResourceExhausted, text)));
            runtime_sys::ignore(send(&to, frame.stream, &refused).await);
            continue;
        }
        let request = request_of(&frame);
        let (to, service, calls) = (Rc::clone(&to), Rc::clone(&service), Rc::clone(&calls));
        let waits_only = request.as_ref().is_ok_and(|request| service.only_waits(request));
        let call = async move {
            let answer = match request {
                Ok(request) => answer(&*service, &request, waits_only).await,
                Err(status) => Err(status),
            };
            let response = response_of(answer);
            // The client is gone if this fails.
            runtime_sys::ignore(send(&to, frame.stream, &response).await);
            drop(calls);
        };
        if waits_only {
            waits.spawn_local(call);
        } else {
            spawn_local(call);
        }
    }
}

fn response_of(answer: Result<Vec<u8>>) -> Response {
    match answer {
        Ok(payload) => Response { status: None, payload },
        Err(Status { code, message }) => {
            let status = rpc::Status { code: code as i32, message };
            Response { status: Some(status), payload: Vec::new() }
        }
    }
}

async fn send(to: &Mutex<OwnedWriteHalf>, stream: u32, response: &Response) -> io::Result<()> {
    Frame::write(&mut *to.lock().await, stream, RESPONSE, response).await
}

fn request_of(frame: &Frame) -> Result<Request> {
    let payload = frame.payload.as_deref().ok_or_else(|| {
        Status::new(Code::ResourceExhausted, format!("the message has more than {LENGTH_MAX} bytes"))
    })?;
    if frame.kind != REQUEST {
        let text = format!("a frame of type {}: this shim has unary calls only", frame.kind);
        return Err(Status::new(Code::InvalidArgument, text));
    }
    decode(payload)
}

/// Decodes a message that a client has sent.
pub(crate) fn decode<T: Message + Default>(message: &[u8]) -> Result<T> {
    T::decode(message)
        .map_err(|error| Status::new(Code::InvalidArgument, format!("malformed message: {error}")))
}

/// Answers a call, until the time that its caller waits if it only waits.
async fn answer(service: &impl Service, request: &Request, waits_only: bool) -> Result<Vec<u8>> {
    match request.limit() {
        Some(limit) if waits_only => {
            let late = || Status::new(Code::DeadlineExceeded, "context deadline exceeded");
            tokio::time::timeout(limit, service.call(request)).await.unwrap_or_else(|_elapsed| Err(late()))
        }
        _ => service.call(request).await,
    }
}

/// A connection to a server.
pub(crate) struct Client {
    stream: BufReader<UnixStream>,
    next: u32,
}

impl Client {
    /// Connects to the socket at `address`: a path, or `unix://` and a path.
    pub(crate) async fn connect(address: &str) -> io::Result<Self> {
        let path = address.strip_prefix("unix://").unwrap_or(address);
        Ok(Client { stream: BufReader::with_capacity(256, UnixStream::connect(path).await?), next: 1 })
    }

    /// Makes a call, and returns the response. After an error the connection is of no use.
    pub(crate) async fn call(
        &mut self,
        service: &str,
        method: &str,
        message: Vec<u8>,
    ) -> io::Result<Response> {
        let request = Request {
            service: service.to_owned(),
            method: method.to_owned(),
            payload: message,
            timeout_nano: 0,
        };
        let stream = self.next;
        // A client's numbers are odd.
        self.next = self.next.wrapping_add(2);
        Frame::write(&mut self.stream, stream, REQUEST, &request).await?;
        loop {
            let frame = Frame::read(&mut self.stream).await?.ok_or(io::ErrorKind::UnexpectedEof)?;
            if frame.kind == RESPONSE && frame.stream == stream {
                return Response::decode(frame.payload.unwrap_or_default().as_slice())
                    .map_err(io::Error::other);
            }
        }
    }
}
