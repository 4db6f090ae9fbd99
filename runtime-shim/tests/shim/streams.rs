// SPDX-License-Identifier: Apache-2.0
//! Standard streams: fifos, terminals, files, loggers.

use crate::calls::{CANCELLED, FAILED_PRECONDITION, NOT_FOUND, code, end, exec_request, kill, status};
use crate::containerd::{Container, Containerd, read_until, reader, until};
use crate::proto::common::{Empty, ProcessStatus};
use crate::proto::task::{
    CloseIoRequest, CreateTaskRequest, ExecProcessRequest, PidsResponse, ResizePtyRequest,
};
use crate::{containerd, proto};
use prost::Message;
use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

#[test]
fn the_output_of_an_exec_ends_with_delete_though_a_child_of_it_goes_on() {
    let containerd = Containerd::new();
    let container = Container::new(&["sleep"]);
    let id = container.id.as_str();
    let shim = containerd.start(id, &container.bundle());
    shim.create(&container.request()).unwrap();
    shim.start(id, "").unwrap();
    let stdout = container.fifo("out");
    let mut output = reader(&stdout);
    let request = ExecProcessRequest { stdout, ..exec_request(id, "x", &["leave", "/child"]) };
    let _added: Empty = shim.call("Exec", &request).unwrap();
    shim.start(id, "x").unwrap();
    assert_eq!(shim.wait(id, "x").unwrap().exit_status, 0);
    let begin = Instant::now();
    shim.delete(id, "x").unwrap();
    // The CRI gives up after ten seconds.
    assert!(begin.elapsed() < Duration::from_secs(8), "{:?}", begin.elapsed());
    until(|| matches!(std::io::Read::read(&mut output, &mut [0]), Ok(0)));
    let pids: PidsResponse = shim.of_task("Pids", id).unwrap();
    assert_eq!(pids.processes.len(), 2, "the child has ended");
    end(&shim, id);
}

#[test]
fn a_terminal_has_the_size_that_was_asked_for_and_hangs_up() {
    let containerd = Containerd::new();
    let container = Container::new(&["sleep"]);
    let id = container.id.as_str();
    let shim = containerd.start(id, &container.bundle());
    shim.create(&container.request()).unwrap();
    shim.start(id, "").unwrap();

    let fifos = ["in", "out"].map(|name| container.fifo(name));
    let mut output = reader(&fifos[1]);
    let [stdin, stdout] = fifos.clone();
    let request =
        ExecProcessRequest { terminal: true, stdin, stdout, ..exec_request(id, "tty", &["echo-stdin"]) };
    let _added: Empty = shim.call("Exec", &request).unwrap();
    let size =
        |width, height| ResizePtyRequest { id: id.to_owned(), exec_id: "tty".to_owned(), width, height };
    let _early: Empty = shim.call("ResizePty", &size(91, 31)).unwrap();
    let pid = shim.start(id, "tty").unwrap().pid;
    let terminal = std::fs::File::open(format!("/proc/{pid}/root/dev/pts/0")).unwrap();
    let size_of_it = || {
        let size = runtime_sys::tty::size(&terminal).unwrap();
        (size.1, size.0)
    };
    assert_eq!(size_of_it(), (91, 31));
    let _resized: Empty = shim.call("ResizePty", &size(100, 40)).unwrap();
    assert_eq!(size_of_it(), (100, 40));
    let mut input = OpenOptions::new().write(true).open(&fifos[0]).unwrap();
    input.write_all(b"typed\n").unwrap();
    read_until(&mut output, "typed");
    drop((input, terminal));
    let request = CloseIoRequest { id: id.to_owned(), exec_id: "tty".to_owned(), stdin: true };
    let _closed: Empty = shim.call("CloseIO", &request).unwrap();
    assert_eq!(shim.wait(id, "tty").unwrap().exit_status, 128 + 1, "SIGHUP");
    shim.delete(id, "tty").unwrap();
    let without = ResizePtyRequest { id: id.to_owned(), width: 1, height: 1, ..ResizePtyRequest::default() };
    assert_eq!(code(shim.call::<Empty>("ResizePty", &without)), FAILED_PRECONDITION);
    end(&shim, id);
}

#[test]
fn a_fifo_without_a_reader_stops_nothing_but_its_writer() {
    let containerd = Containerd::new();
    // More than a pipe holds.
    let container = Container::new(&["flood", "200000"]);
    let id = container.id.as_str();
    let shim = containerd.start(id, &container.bundle());
    let stdout = container.fifo("stdout");
    shim.create(&CreateTaskRequest { stdout: stdout.clone(), ..container.request() }).unwrap();
    shim.start(id, "").unwrap();
    let begin = Instant::now();
    assert_eq!(status(&shim, id, ""), ProcessStatus::Running as i32);
    kill(&shim, id, "", libc::SIGKILL).unwrap();
    shim.wait(id, "").unwrap();
    shim.delete(id, "").unwrap();
    assert!(begin.elapsed() < Duration::from_secs(5));
    shim.shut_down();

    // The same with a terminal, which the shim copies.
    let container = Container::new(&["flood", "200000"]);
    let id = container.id.as_str();
    let shim = containerd.start(id, &container.bundle());
    let stdout = container.fifo("stdout");
    shim.create(&CreateTaskRequest { stdout, terminal: true, ..container.request() }).unwrap();
    shim.start(id, "").unwrap();
    std::thread::sleep(Duration::from_millis(100));
    assert_eq!(status(&shim, id, ""), ProcessStatus::Running as i32);
    kill(&shim, id, "", libc::SIGKILL).unwrap();
    shim.wait(id, "").unwrap();
    shim.delete(id, "").unwrap();
    shim.shut_down();
}

#[test]
fn output_goes_to_a_file_and_to_a_program() {
    let containerd = Containerd::new();
    let container = Container::new(&["print", "to a file"]);
    let id = container.id.as_str();
    // The shim inherits it.
    let umask = nix::sys::stat::umask(nix::sys::stat::Mode::empty());
    let shim = containerd.start(id, &container.bundle());
    nix::sys::stat::umask(umask);
    let log = container.beside("logs/log");
    let stdout = format!("file://{log}");
    shim.create(&CreateTaskRequest { stderr: stdout.clone(), stdout, ..container.request() }).unwrap();
    shim.start(id, "").unwrap();
    shim.wait(id, "").unwrap();
    shim.delete(id, "").unwrap();
    assert_eq!(std::fs::read_to_string(&log).unwrap().trim(), "to a file");
    let mode = |path: &Path| std::os::unix::fs::MetadataExt::mode(&std::fs::metadata(path).unwrap()) & 0o777;
    assert_eq!((mode(Path::new(&log).parent().unwrap()), mode(Path::new(&log))), (0o755, 0o644));
    shim.shut_down();

    let container = Container::new(&["print", "to a program"]);
    let id = container.id.as_str();
    let shim = containerd.start(id, &container.bundle());
    let (script, log) = (container.beside("logger"), container.beside("log"));
    let text =
        "#!/bin/sh\nexec >$2\necho \"$1 $CONTAINER_ID $CONTAINER_NAMESPACE\"\nexec 5>&-\ncat <&3\necho end\n";
    std::fs::write(&script, text).unwrap();
    std::fs::set_permissions(&script, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let stdout = format!("binary://{script}?to={log}");
    shim.create(&CreateTaskRequest { stdout, ..container.request() }).unwrap();
    shim.start(id, "").unwrap();
    shim.wait(id, "").unwrap();
    shim.delete(id, "").unwrap();
    let expected = format!("to {id} {}\nto a program\nend\n", containerd::NAMESPACE);
    until(|| std::fs::read_to_string(&log).unwrap() == expected);
    shim.shut_down();
}

#[test]
fn a_full_disk_loses_output_and_stops_nothing() {
    let containerd = Containerd::new();
    let container = Container::new(&["flood", "200000"]);
    let id = container.id.as_str();
    let shim = containerd.start(id, &container.bundle());
    let disk = container.beside("disk");
    std::fs::create_dir(&disk).unwrap();
    let mounted =
        std::process::Command::new("mount").args(["-t", "tmpfs", "-o", "size=16k", "tmpfs", &disk]).status();
    assert!(mounted.unwrap().success());
    let stdout = format!("file://{disk}/log");
    shim.create(&CreateTaskRequest { stdout, ..container.request() }).unwrap();
    shim.start(id, "").unwrap();
    assert_eq!(shim.wait(id, "").unwrap().exit_status, 0);
    shim.delete(id, "").unwrap();
    assert_eq!(std::fs::metadata(Path::new(&disk).join("log")).unwrap().len(), 16 << 10);
    shim.shut_down();
    assert!(std::process::Command::new("umount").arg(&disk).status().unwrap().success());
}

#[test]
fn delete_does_not_wait_for_a_logger_that_is_not_ready() {
    let containerd = Containerd::new();
    let container = Container::new(&["sleep"]);
    let id = container.id.as_str();
    let shim = containerd.start(id, &container.bundle());
    let (script, mark) = (container.beside("logger"), container.beside("mark"));
    std::fs::write(&script, format!("#!/bin/sh\necho >{mark}\nexec sleep 60\n")).unwrap();
    std::fs::set_permissions(&script, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let mut call = UnixStream::connect(&shim.socket).unwrap();
    let stdout = format!("binary://{script}");
    containerd::send(&mut call, "Create", &CreateTaskRequest { stdout, ..container.request() });
    until(|| Path::new(&mark).exists());
    let begin = Instant::now();
    assert_eq!(code(shim.delete(id, "")), NOT_FOUND);
    let (_, answer) = containerd::read_frame(&mut call).unwrap();
    assert_eq!(proto::rpc::Response::decode(answer.as_slice()).unwrap().status.unwrap().code, CANCELLED);
    // The logger has ten seconds to be ready.
    assert!(begin.elapsed() < Duration::from_secs(5), "{:?}", begin.elapsed());
    shim.create(&container.request()).unwrap();
    shim.delete(id, "").unwrap();
    let children = format!("/proc/{0}/task/{0}/children", shim.pid());
    until(|| std::fs::read_to_string(&children).unwrap().is_empty());
    shim.shut_down();
}

#[test]
fn the_logger_of_an_exec_that_was_not_deleted_is_waited_for() {
    let containerd = Containerd::new();
    let container = Container::new(&["sleep"]);
    let id = container.id.as_str();
    let shim = containerd.start(id, &container.bundle());
    shim.create(&container.request()).unwrap();
    shim.start(id, "").unwrap();
    let script = container.beside("logger");
    std::fs::write(&script, "#!/bin/sh\nexec 5>&-\nexec cat <&3 >/dev/null\n").unwrap();
    std::fs::set_permissions(&script, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let request =
        ExecProcessRequest { stdout: format!("binary://{script}"), ..exec_request(id, "x", &["exit", "0"]) };
    let _added: Empty = shim.call("Exec", &request).unwrap();
    shim.start(id, "x").unwrap();
    shim.wait(id, "x").unwrap();
    kill(&shim, id, "", libc::SIGKILL).unwrap();
    shim.wait(id, "").unwrap();
    shim.delete(id, "").unwrap();
    let children = format!("/proc/{0}/task/{0}/children", shim.pid());
    until(|| std::fs::read_to_string(&children).unwrap().is_empty());
    shim.shut_down();
}

#[test]
fn close_io_before_the_start_of_an_exec_closes_its_input() {
    let containerd = Containerd::new();
    let container = Container::new(&["sleep"]);
    let id = container.id.as_str();
    let shim = containerd.start(id, &container.bundle());
    shim.create(&container.request()).unwrap();
    shim.start(id, "").unwrap();
    let stdin = container.fifo("in");
    let request = ExecProcessRequest { stdin, ..exec_request(id, "x", &["echo-stdin"]) };
    let _added: Empty = shim.call("Exec", &request).unwrap();
    let request = CloseIoRequest { id: id.to_owned(), exec_id: "x".to_owned(), stdin: true };
    let _closed: Empty = shim.call("CloseIO", &request).unwrap();
    shim.start(id, "x").unwrap();
    until(|| status(&shim, id, "x") == ProcessStatus::Stopped as i32);
    shim.delete(id, "x").unwrap();
    end(&shim, id);
}

#[test]
fn a_logger_of_an_exec_that_is_not_ready_does_not_delay_the_exit_of_its_container() {
    let containerd = Containerd::new();
    let container = Container::new(&["sleep"]);
    let id = container.id.as_str();
    let shim = containerd.start(id, &container.bundle());
    shim.create(&container.request()).unwrap();
    shim.start(id, "").unwrap();
    let (script, mark) = (container.beside("logger"), container.beside("mark"));
    std::fs::write(&script, format!("#!/bin/sh\necho >{mark}\nexec sleep 60\n")).unwrap();
    std::fs::set_permissions(&script, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let stdout = format!("binary://{script}");
    let request = ExecProcessRequest { stdout, ..exec_request(id, "x", &["sleep"]) };
    let _added: Empty = shim.call("Exec", &request).unwrap();
    let mut call = UnixStream::connect(&shim.socket).unwrap();
    let request = proto::task::ProcessRequest { id: id.to_owned(), exec_id: "x".to_owned() };
    containerd::send(&mut call, "Start", &request);
    until(|| Path::new(&mark).exists());
    let begin = Instant::now();
    kill(&shim, id, "", libc::SIGKILL).unwrap();
    assert_eq!(shim.wait(id, "").unwrap().exit_status, 137);
    // The logger has ten seconds to be ready.
    assert!(begin.elapsed() < Duration::from_secs(5), "{:?}", begin.elapsed());
    let (_, answer) = containerd::read_frame(&mut call).unwrap();
    assert_eq!(proto::rpc::Response::decode(answer.as_slice()).unwrap().status.unwrap().code, CANCELLED);
    assert_eq!(status(&shim, id, "x"), ProcessStatus::Stopped as i32);
    shim.delete(id, "").unwrap();
    let children = format!("/proc/{0}/task/{0}/children", shim.pid());
    until(|| std::fs::read_to_string(&children).unwrap().is_empty());
    shim.shut_down();
}
