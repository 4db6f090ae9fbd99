// SPDX-License-Identifier: Apache-2.0
//! The program in the containers of the conformance tests. It is static, so a rootfs needs nothing
//! else. An unknown verb, and a verb that fails, exit with status 99.
#![allow(clippy::disallowed_methods, clippy::print_stdout, clippy::print_stderr)]

use conformance::load;
use conformance::report::{HookReport, Mount, Node, Report};
use nix::sys::ptrace;
use nix::sys::resource::{Resource, getrlimit};
use nix::sys::signal::{self, Signal};
use nix::unistd::Pid;
use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

/// The outcome of a verb: the exit status, or the error.
type Done = Result<u8, String>;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().collect();
    let words: Vec<&str> = args.iter().skip(1).map(String::as_str).collect();
    match run(&words) {
        Ok(status) => ExitCode::from(status),
        Err(error) => {
            eprintln!("probe: {error}");
            ExitCode::from(99)
        }
    }
}

fn run(words: &[&str]) -> Done {
    match words {
        ["report"] => {
            println!("{}", serde_json::to_string(&report()).map_err(|e| e.to_string())?);
            Ok(0)
        }
        ["sleep"] => loop {
            std::thread::sleep(Duration::from_secs(3600));
        },
        ["sleep-until-parent-ends"] => {
            nix::sys::prctl::set_pdeathsig(Signal::SIGKILL).map_err(|e| format!("prctl: {e}"))?;
            println!("ready");
            run(&["sleep"])
        }
        ["exit", status] => status.parse().map_err(|e| format!("{status}: {e}")),
        ["print", text] => {
            println!("{text}");
            Ok(0)
        }
        ["cat", path] => {
            print!("{}", fs::read_to_string(path).map_err(|e| format!("{path}: {e}"))?);
            Ok(0)
        }
        ["write", path, text] => {
            fs::write(path, text).map_err(|e| format!("{path}: {e}"))?;
            Ok(0)
        }
        ["write-read-only", path, copy, file, text] => {
            conformance::tamper::write_read_only(Path::new(path), Path::new(copy), file, text)?;
            Ok(0)
        }
        ["read-covered", path, copy, file] => {
            print!("{}", conformance::tamper::read_covered(Path::new(path), Path::new(copy), file)?);
            Ok(0)
        }
        ["mount-tmpfs", path, rest @ ..] => {
            let (flags, none) = (nix::mount::MsFlags::empty(), None::<&str>);
            nix::mount::mount(Some("tmpfs"), *path, Some("tmpfs"), flags, none).map_err(|e| e.to_string())?;
            run(rest)
        }
        ["umount", path, rest @ ..] => {
            nix::mount::umount2(*path, nix::mount::MntFlags::MNT_DETACH).map_err(|e| e.to_string())?;
            run(rest)
        }
        ["stat", paths @ ..] => {
            let nodes: Vec<_> = paths.iter().map(|path| node(Path::new(path))).collect();
            println!("{}", serde_json::to_string(&nodes).map_err(|e| e.to_string())?);
            Ok(0)
        }
        ["use-devices"] => {
            println!("{}", serde_json::to_string(&use_devices()).map_err(|e| e.to_string())?);
            Ok(0)
        }
        ["leave", path] => {
            let exe = std::env::current_exe().map_err(|e| e.to_string())?;
            let child = std::process::Command::new(exe).arg("sleep").spawn().map_err(|e| e.to_string())?;
            fs::write(path, child.id().to_string()).map_err(|e| format!("{path}: {e}"))?;
            Ok(0)
        }
        ["streams", answer] => streams(answer),
        ["hook", log, name] => hook(log, name),
        ["after", milliseconds, rest @ ..] => {
            let time = milliseconds.parse().map_err(|e| format!("{milliseconds}: {e}"))?;
            std::thread::sleep(Duration::from_millis(time));
            run(rest)
        }
        ["touch-then-sleep", path] => {
            fs::write(path, "").map_err(|e| format!("{path}: {e}"))?;
            run(&["sleep"])
        }
        ["notify", message, rest @ ..] => {
            let path = std::env::var("NOTIFY_SOCKET").map_err(|e| format!("NOTIFY_SOCKET: {e}"))?;
            let socket = std::os::unix::net::UnixDatagram::unbound().map_err(|e| e.to_string())?;
            socket.send_to(message.as_bytes(), &path).map_err(|e| format!("{path}: {e}"))?;
            run(rest)
        }
        ["deny-groups"] => {
            conformance::tamper::deny_groups()?;
            run(&["sleep"])
        }
        ["echo-stdin"] => {
            let text = std::io::read_to_string(std::io::stdin()).map_err(|e| e.to_string())?;
            print!("{text}");
            Ok(0)
        }
        ["flood", count] => flood(count),
        ["sleep-in-a-thread"] => {
            std::thread::spawn(|| run(&["sleep"]));
            // The other thread uses nothing of this one.
            sys_testing::process::exit_thread()
        }
        ["same-file", a, b, answer] => {
            let id =
                |path| fs::metadata(path).map(|m| (m.dev(), m.ino())).map_err(|e| format!("{path}: {e}"));
            let same = id(a)? == id(b)?;
            fs::write(format!("{answer}.new"), same.to_string()).map_err(|e| e.to_string())?;
            fs::rename(format!("{answer}.new"), answer).map_err(|e| e.to_string())?;
            Ok(0)
        }
        ["unlink", path] => {
            fs::remove_file(path).map_err(|e| format!("{path}: {e}"))?;
            Ok(0)
        }
        ["stop-others", mark] => to_others(mark, |pid| signal::kill(pid, Signal::SIGSTOP)),
        ["trace-others", mark] => to_others(mark, |pid| ptrace::seize(pid, ptrace::Options::empty())),
        ["keep", pid, mark] => {
            let pid = pid.parse().map(Pid::from_raw).map_err(|e| format!("{pid}: {e}"))?;
            ptrace::seize(pid, ptrace::Options::PTRACE_O_TRACEEXIT).map_err(|e| format!("seize: {e}"))?;
            fs::write(mark, "").map_err(|e| format!("{mark}: {e}"))?;
            run(&["sleep"])
        }
        ["watch", found, of_the_host] => watch(found, of_the_host),
        ["watch-program", name, found] => watch_program(name, found),
        ["syscalls", calls @ ..] => syscalls(calls),
        ["die-by-signal", signal] => die_by_signal(signal),
        ["allocate", mebibytes] => {
            println!("{}", load::allocate(mebibytes.parse().map_err(|e| format!("{mebibytes}: {e}"))?));
            Ok(0)
        }
        ["burn", milliseconds] => {
            let time = milliseconds.parse().map_err(|e| format!("{milliseconds}: {e}"))?;
            let used = load::burn(Duration::from_millis(time))?;
            let stat = read("/sys/fs/cgroup/cpu.stat");
            let throttled = stat.lines().find_map(|line| line.strip_prefix("nr_throttled ")).unwrap_or("0");
            println!("{used} {throttled}");
            Ok(0)
        }
        ["spawn", count] => {
            println!("{}", load::spawn(count.parse().map_err(|e| format!("{count}: {e}"))?));
            Ok(0)
        }
        ["read-direct", path, bytes] => {
            println!("{}", load::read_direct(path, bytes.parse().map_err(|e| format!("{bytes}: {e}"))?)?);
            Ok(0)
        }
        ["huge-pages", directory, count] => {
            println!("{}", load::huge_pages(directory, count.parse().map_err(|e| format!("{count}: {e}"))?)?);
            Ok(0)
        }
        _ => Err(format!("no such verb: {words:?}")),
    }
}

/// Makes system calls, each written as NUMBER[,ARGUMENT...], and prints their error numbers as a
/// JSON list, 0 for none.
fn syscalls(calls: &[&str]) -> Done {
    let mut results = Vec::new();
    for call in calls {
        let words: Vec<i64> =
            call.split(',').map(str::parse).collect::<Result<_, _>>().map_err(|e| format!("{call}: {e}"))?;
        let word = |n| words.get(n).copied().unwrap_or(0);
        // The caller chooses calls that fail, or that touch no memory.
        let result = sys_testing::raw::call(word(0), [1, 2, 3, 4, 5, 6].map(word));
        results.push(result.err().unwrap_or(0));
    }
    println!("{results:?}");
    Ok(0)
}

/// Tries each device that every container has. Returns the outcome for each.
fn use_devices() -> BTreeMap<&'static str, String> {
    use std::io::Read;
    let read = |name: &str, from: &[u8]| -> std::io::Result<Vec<u8>> {
        let mut bytes = from.to_vec();
        let count = fs::File::open(format!("/dev/{name}"))?.read(&mut bytes)?;
        bytes.truncate(count);
        Ok(bytes)
    };
    let write = |name: &str| fs::File::options().write(true).open(format!("/dev/{name}"))?.write_all(b"text");
    let words = |result: std::io::Result<String>| {
        // Without the error number that Rust appends.
        result.unwrap_or_else(|e| e.to_string().split(" (").next().unwrap_or_default().to_owned())
    };
    let null = || -> std::io::Result<String> {
        write("null")?;
        Ok(if read("null", b"0123")?.is_empty() { "takes all, has nothing" } else { "something" }.to_owned())
    };
    let zeros = |name: &str| -> std::io::Result<String> {
        Ok(if read(name, b"0123")? == [0; 4] { "zeros" } else { "others" }.to_owned())
    };
    let full = || -> std::io::Result<String> {
        let zeros = zeros("full")?;
        Ok(format!("{zeros}, {}", words(write("full").map(|()| "written".to_owned()))))
    };
    let numbers = |name: &str| -> std::io::Result<String> {
        let (a, b) = (read(name, &[0; 16])?, read(name, &[0; 16])?);
        Ok(if a.len() == 16 && a != b { "numbers" } else { "something" }.to_owned())
    };
    let tty = || fs::File::options().read(true).write(true).open("/dev/tty").map(|_| "opened".to_owned());
    let ptmx = || -> std::io::Result<String> {
        let file = fs::File::options().read(true).write(true).open("/dev/ptmx")?;
        Ok(format!("opened {}", sys_testing::terminal::number(file)?))
    };
    BTreeMap::from([
        ("null", words(null())),
        ("zero", words(zeros("zero"))),
        ("full", words(full())),
        ("random", words(numbers("random"))),
        ("urandom", words(numbers("urandom"))),
        ("tty", words(tty())),
        ("ptmx", words(ptmx())),
    ])
}

/// Writes the standard streams to a file, as DEVICE:INODE, one a line.
fn streams(answer: &str) -> Done {
    let mut lines = String::new();
    for n in 0..3 {
        let path = format!("/proc/self/fd/{n}");
        let meta = fs::metadata(&path).map_err(|e| format!("{path}: {e}"))?;
        lines.push_str(&format!("{}:{}\n", meta.dev(), meta.ino()));
    }
    fs::write(answer, lines).map_err(|e| format!("{answer}: {e}"))?;
    Ok(0)
}

/// Writes `count` bytes to standard output, or without an end for `max`. Blocks SIGUSR1, so that it
/// stays pending.
fn flood(count: &str) -> Done {
    let mut usr1 = nix::sys::signal::SigSet::empty();
    usr1.add(nix::sys::signal::Signal::SIGUSR1);
    usr1.thread_block().map_err(|e| e.to_string())?;
    let mut left =
        if count == "max" { u64::MAX } else { count.parse().map_err(|e| format!("{count}: {e}"))? };
    let mut stdout = std::io::stdout();
    while left > 0 {
        let n = left.min(4096);
        let text = &[b'x'; 4096][..n as usize];
        std::io::Write::write_all(&mut stdout, text).map_err(|e| e.to_string())?;
        left -= n;
    }
    Ok(0)
}

/// Raises a signal, which the first process of a pid namespace would survive.
fn die_by_signal(signal: &str) -> Done {
    let signal: i32 = signal.parse().map_err(|e| format!("{signal}: {e}"))?;
    let signal = nix::sys::signal::Signal::try_from(signal).map_err(|e| e.to_string())?;
    nix::sys::signal::raise(signal).map_err(|e| e.to_string())?;
    Err("still alive".to_owned())
}

/// Applies an action to every other visible process until it is killed. Marks the file once a
/// process that runs this program was affected.
fn to_others(mark: &str, act: impl Fn(Pid) -> nix::Result<()>) -> Done {
    let own = Pid::this();
    let mut done = std::collections::BTreeSet::new();
    loop {
        let others = links("/proc").into_keys().filter_map(|name| name.parse().ok()).map(Pid::from_raw);
        for pid in others.filter(|pid| *pid != own) {
            let is_program =
                fs::read_link(format!("/proc/{pid}/exe")).is_ok_and(|exe| exe.ends_with("probe"));
            if act(pid).is_ok() {
                done.insert(pid);
            }
            if is_program && done.remove(&pid) {
                fs::write(format!("{mark}.new"), pid.to_string()).map_err(|e| format!("{mark}: {e}"))?;
                fs::rename(format!("{mark}.new"), mark).map_err(|e| format!("{mark}: {e}"))?;
            }
        }
    }
}

/// Inspects every other visible process until it is killed, and records the descriptors and links
/// through which a file of the host can be reached.
fn watch(found: &str, of_the_host: &str) -> Done {
    let own = std::process::id().to_string();
    let way_up = "/..".repeat(20);
    let mut ways = std::collections::BTreeSet::new();
    loop {
        fs::write(found, ways.iter().map(String::as_str).collect::<Vec<_>>().join("\n"))
            .map_err(|e| format!("{found}: {e}"))?;
        let processes = links("/proc").into_keys().filter(|name| *name != own && name.parse::<u32>().is_ok());
        for pid in processes {
            let fds = links(&format!("/proc/{pid}/fd")).into_keys().map(|fd| format!("fd/{fd}"));
            for link in fds.chain(["cwd".to_owned(), "root".to_owned()]) {
                let way = format!("/proc/{pid}/{link}");
                if fs::metadata(format!("{way}{way_up}{of_the_host}")).is_ok() {
                    ways.insert(way);
                }
            }
        }
    }
}

/// Appends a hook's report to a file, in one line.
fn hook(log: &str, name: &str) -> Done {
    let text = std::io::read_to_string(std::io::stdin()).map_err(|e| format!("standard input: {e}"))?;
    let state: serde_json::Value = serde_json::from_str(&text).map_err(|e| format!("state {text:?}: {e}"))?;
    let exe = fs::read_link(format!("/proc/{}/exe", state["pid"])).unwrap_or_default();
    let report = HookReport {
        name: name.to_owned(),
        state,
        exe: exe.display().to_string(),
        env: std::env::vars().map(|(name, value)| format!("{name}={value}")).collect(),
        namespaces: links("/proc/self/ns"),
        mounts: read("/proc/self/mountinfo").lines().filter_map(mount).collect(),
    };
    // In one write: another hook may do the same now.
    let line = serde_json::to_string(&report).map_err(|e| e.to_string())? + "\n";
    let mut file =
        fs::File::options().append(true).create(true).open(log).map_err(|e| format!("{log}: {e}"))?;
    file.write_all(line.as_bytes()).map_err(|e| format!("{log}: {e}"))?;
    Ok(0)
}

/// Watches the programs of all processes, and records when one that it may inspect runs the program
/// `name`, or a program without a name, as on a detached mount.
fn watch_program(name: &str, found: &str) -> Done {
    fs::write(found, "").map_err(|e| format!("{found}: {e}"))?;
    let is_it = |exe: std::path::PathBuf| exe.ends_with(name) || exe.as_os_str() == "/";
    loop {
        for pid in links("/proc").into_keys().filter(|name| name.parse::<u32>().is_ok()) {
            if fs::read_link(format!("/proc/{pid}/exe")).is_ok_and(is_it) {
                fs::write(found, &pid).map_err(|e| format!("{found}: {e}"))?;
            }
        }
    }
}

fn read(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

fn report() -> Report {
    let status: BTreeMap<String, String> = read("/proc/self/status")
        .lines()
        .filter_map(|line| line.split_once(':').map(|(k, v)| (k.to_owned(), v.trim().to_owned())))
        .collect();
    let numbers = |field: &str| -> Vec<u32> {
        status
            .get(field)
            .map(|v| v.split_ascii_whitespace().filter_map(|n| n.parse().ok()).collect())
            .unwrap_or_default()
    };
    let uname = nix::sys::utsname::uname();
    Report {
        pid: std::process::id() as i32,
        ppid: nix::unistd::getppid().as_raw(),
        sid: nix::unistd::getsid(None).map(nix::unistd::Pid::as_raw).unwrap_or(-1),
        uids: numbers("Uid"),
        gids: numbers("Gid"),
        groups: numbers("Groups"),
        capabilities: status
            .iter()
            .filter(|(k, _)| k.starts_with("Cap"))
            .map(|(k, v)| (k.clone(), v.clone()))
            .collect(),
        umask: status.get("Umask").and_then(|v| u32::from_str_radix(v, 8).ok()).unwrap_or(u32::MAX),
        cwd: std::env::current_dir().map(|d| d.display().to_string()).unwrap_or_default(),
        args: std::env::args().collect(),
        env: read("/proc/self/environ").split_terminator('\0').map(str::to_owned).collect(),
        hostname: uname.as_ref().map(|u| u.nodename().to_string_lossy().into_owned()).unwrap_or_default(),
        machine: uname.as_ref().map(|u| u.machine().to_string_lossy().into_owned()).unwrap_or_default(),
        domainname: read("/proc/sys/kernel/domainname").trim().to_owned(),
        fds: links("/proc/self/fd").into_iter().filter_map(|(k, v)| Some((k.parse().ok()?, v))).collect(),
        rlimits: rlimits(),
        mounts: read("/proc/self/mountinfo").lines().filter_map(mount).collect(),
        dev: dev(),
        interfaces: interfaces(),
        namespaces: links("/proc/self/ns"),
        cgroup: read("/proc/self/cgroup")
            .lines()
            .find_map(|l| l.strip_prefix("0::"))
            .unwrap_or_default()
            .to_owned(),
        oom_score_adj: read("/proc/self/oom_score_adj").trim().parse().unwrap_or(i32::MIN),
        keyring: read("/proc/keys"),
        processes: links("/proc").into_keys().filter_map(|name| name.parse().ok()).collect(),
        status,
    }
}

/// Returns the entries of a directory, and the targets of those that are links.
fn links(dir: &str) -> BTreeMap<String, String> {
    let Ok(entries) = fs::read_dir(dir) else { return BTreeMap::new() };
    // Without the descriptor of the directory that is being read.
    entries
        .flatten()
        .map(|entry| {
            let target = fs::read_link(entry.path()).map(|t| t.display().to_string()).unwrap_or_default();
            (entry.file_name().to_string_lossy().into_owned(), target)
        })
        .filter(|(_, target)| target != dir && !(dir == "/proc/self/fd" && target.ends_with("/fd")))
        .collect()
}

fn rlimits() -> BTreeMap<String, (u64, u64)> {
    let all = [
        ("RLIMIT_AS", Resource::RLIMIT_AS),
        ("RLIMIT_CORE", Resource::RLIMIT_CORE),
        ("RLIMIT_CPU", Resource::RLIMIT_CPU),
        ("RLIMIT_DATA", Resource::RLIMIT_DATA),
        ("RLIMIT_FSIZE", Resource::RLIMIT_FSIZE),
        ("RLIMIT_LOCKS", Resource::RLIMIT_LOCKS),
        ("RLIMIT_MEMLOCK", Resource::RLIMIT_MEMLOCK),
        ("RLIMIT_MSGQUEUE", Resource::RLIMIT_MSGQUEUE),
        ("RLIMIT_NICE", Resource::RLIMIT_NICE),
        ("RLIMIT_NOFILE", Resource::RLIMIT_NOFILE),
        ("RLIMIT_NPROC", Resource::RLIMIT_NPROC),
        ("RLIMIT_RSS", Resource::RLIMIT_RSS),
        ("RLIMIT_RTPRIO", Resource::RLIMIT_RTPRIO),
        ("RLIMIT_RTTIME", Resource::RLIMIT_RTTIME),
        ("RLIMIT_SIGPENDING", Resource::RLIMIT_SIGPENDING),
        ("RLIMIT_STACK", Resource::RLIMIT_STACK),
    ];
    all.into_iter()
        .filter_map(|(name, resource)| Some((name.to_owned(), getrlimit(resource).ok()?)))
        .collect()
}

/// Parses a line of mountinfo (proc(5)).
fn mount(line: &str) -> Option<Mount> {
    let (left, right) = line.split_once(" - ")?;
    let left: Vec<&str> = left.split(' ').collect();
    let mut right = right.split(' ');
    let list = |text: &str| text.split(',').map(str::to_owned).collect();
    Some(Mount {
        target: (*left.get(4)?).to_owned(),
        options: list(left.get(5)?),
        propagation: left.get(6..)?.iter().map(|s| (*s).to_owned()).collect(),
        fstype: right.next()?.to_owned(),
        source: right.next()?.to_owned(),
        super_options: list(right.next()?),
    })
}

fn dev() -> BTreeMap<String, Node> {
    let Ok(entries) = fs::read_dir("/dev") else { return BTreeMap::new() };
    entries
        .flatten()
        .filter_map(|entry| Some((entry.file_name().to_string_lossy().into_owned(), node(&entry.path())?)))
        .collect()
}

fn node(path: &Path) -> Option<Node> {
    let meta = fs::symlink_metadata(path).ok()?;
    let number = || format!("{}:{}", nix::sys::stat::major(meta.rdev()), nix::sys::stat::minor(meta.rdev()));
    let kind = match meta.file_type() {
        t if t.is_char_device() => format!("char {}", number()),
        t if t.is_block_device() => format!("block {}", number()),
        t if t.is_fifo() => "fifo".to_owned(),
        t if t.is_dir() => "dir".to_owned(),
        t if t.is_symlink() => format!("link {}", fs::read_link(path).ok()?.display()),
        _ => "file".to_owned(),
    };
    Some(Node { kind, mode: meta.permissions().mode() & 0o7777, owner: (meta.uid(), meta.gid()) })
}

fn interfaces() -> BTreeMap<String, bool> {
    let Ok(addresses) = nix::ifaddrs::getifaddrs() else { return BTreeMap::new() };
    addresses.map(|a| (a.interface_name, a.flags.contains(nix::net::if_::InterfaceFlags::IFF_UP))).collect()
}
