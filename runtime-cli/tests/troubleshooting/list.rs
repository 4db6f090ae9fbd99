// SPDX-License-Identifier: Apache-2.0
//! The mistakes that users make most, with their messages and remedies. docs/troubleshooting.md is made
//! from this list (`make troubleshooting`).

use crate::edit::Edit;

pub(crate) type Edits = &'static [Edit];

/// A mistake.
pub(crate) struct Mistake {
    /// The section of the page.
    pub(crate) area: &'static str,
    pub(crate) title: &'static str,
    /// What is wrong in config.json.
    pub(crate) edits: Edits,
    /// Commands that make the mistake, in the bundle.
    pub(crate) shell: &'static str,
    /// The command that shows the message.
    pub(crate) command: &'static str,
    /// The message, as a terminal shows it without the time; `…` stands for any text.
    pub(crate) message: &'static str,
    /// The message with an older kernel, if that says less.
    pub(crate) older: &'static str,
    /// True if the container starts in spite of the mistake.
    pub(crate) starts: bool,
    pub(crate) cause: &'static str,
    pub(crate) remedy: &'static str,
    pub(crate) remedy_edits: Edits,
    pub(crate) remedy_shell: &'static str,
    /// The command that succeeds after the remedy; empty: the same command.
    pub(crate) after: &'static str,
    /// True if an ordinary user gives the commands.
    pub(crate) user: bool,
    pub(crate) needs: Needs,
    /// Threads of public issue trackers.
    pub(crate) reports: &'static str,
}

/// A host on which the mistake can be made.
#[derive(Clone, Copy)]
pub(crate) enum Needs {
    Nothing,
    Amd64,
    Newuidmap,
    /// A kernel with AppArmor.
    AppArmor,
    /// Whether cgroup2 has the controller "memory".
    Memory(bool),
}

const NONE: Mistake = Mistake {
    area: "",
    title: "",
    edits: &[],
    shell: "",
    command: "runtime-cli run web",
    message: "",
    older: "",
    starts: false,
    cause: "",
    remedy: "",
    remedy_edits: &[],
    remedy_shell: "",
    after: "",
    user: false,
    needs: Needs::Nothing,
    reports: "",
};

const PROGRAM: Mistake = Mistake { area: "The program", ..NONE };
const BUNDLE: Mistake = Mistake { area: "The bundle and config.json", ..NONE };
const FILES: Mistake = Mistake { area: "Mounts and directories", ..NONE };
const IDS: Mistake = Mistake { area: "Users, ids and ordinary users", ..NONE };
const KERNEL: Mistake = Mistake { area: "Namespaces, kernel parameters, limits, filters, hooks", ..NONE };
const LIFE: Mistake = Mistake { area: "Containers and terminals", ..NONE };

/// The mappings of a user namespace with the ids 0 to 999.
const MAPPED: [Edit; 3] = [
    ("linux.namespaces[]", r#"{ "type": "user" }"#),
    ("linux.uidMappings", r#"[{ "containerID": 0, "hostID": 100000, "size": 1000 }]"#),
    ("linux.gidMappings", r#"[{ "containerID": 0, "hostID": 100000, "size": 1000 }]"#),
];

/// The changes for a container of the user 4321.
const ROOTLESS: [Edit; 6] = [
    ("linux.namespaces[]", r#"{ "type": "user" }"#),
    ("linux.uidMappings", r#"[{ "containerID": 0, "hostID": 4321, "size": 1 }]"#),
    ("linux.gidMappings", r#"[{ "containerID": 0, "hostID": 4321, "size": 1 }]"#),
    ("linux.resources", ""),
    ("mounts[2].options", r#"["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620"]"#),
    ("mounts[6]", ""),
];

pub(crate) const MISTAKES: &[Mistake] = &[
    Mistake {
        title: "The program is not in the image",
        edits: &[("process.args", r#"["bash"]"#)],
        message: "ERRO runc run failed: unable to start container process: error during container init: exec: \"bash\": executable file not found in $PATH; hint: the container has no such file in /usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/",
        cause: "A program without a slash is looked up in the directories of PATH in `process.env`, inside of the root file system. Small images have no `bash`, some have no shell.",
        remedy: "Name a program that the image has, or add its directory to PATH.",
        remedy_edits: &[("process.args", r#"["app"]"#)],
        reports: "[containerd#4800](https://github.com/containerd/containerd/issues/4800), [for-linux#963](https://github.com/docker/for-linux/issues/963), [for-linux#726](https://github.com/docker/for-linux/issues/726)",
        ..PROGRAM
    },
    Mistake {
        title: "A command line in one string",
        edits: &[("process.args", r#"["app --flag"]"#)],
        message: "ERRO runc run failed: unable to start container process: error during container init: exec: \"app --flag\": executable file not found in $PATH; hint: it has a space: each argument is a string of its own",
        cause: "`process.args` is a list of arguments, and no shell splits them.",
        remedy: "Give each argument its own string.",
        remedy_edits: &[("process.args", r#"["app", "--flag"]"#)],
        ..PROGRAM
    },
    Mistake {
        title: "The root file system is empty",
        shell: "mv rootfs image\nmkdir rootfs",
        message: "ERRO runc run failed: unable to start container process: error during container init: exec: \"app\": executable file not found in $PATH; hint: root.path: /bundle/rootfs has no files: unpack an image there; hint: …",
        cause: "The command `spec` makes a config.json, and no root file system.",
        remedy: "Unpack an image there.",
        remedy_shell: "cp -a image/. rootfs",
        reports: "[runc#1490](https://github.com/opencontainers/runc/issues/1490)",
        ..PROGRAM
    },
    Mistake {
        title: "The program has no permission to execute",
        shell: "chmod a-x rootfs/bin/app",
        message: "ERRO runc run failed: unable to start container process: error during container init: exec: \"app\": permission denied; hint: the file has no permission to execute (chmod +x)",
        cause: "No user has the permission, often because the file was copied by a program or file system without permissions.",
        remedy: "Set it in the image.",
        remedy_shell: "chmod a+x rootfs/bin/app",
        reports: "[omd-labs-docker#9](https://github.com/ConSol-Monitoring/omd-labs-docker/issues/9)",
        ..PROGRAM
    },
    Mistake {
        title: "The program is on a file system that is mounted noexec",
        edits: &[
            ("mounts[]", r#"{ "destination": "/opt", "source": "opt", "options": ["bind", "noexec"] }"#),
            ("process.args", r#"["/opt/app"]"#),
        ],
        shell: "mkdir opt\ncp rootfs/bin/app opt",
        message: "ERRO runc run failed: unable to start container process: error during container init: exec: \"/opt/app\": permission denied; hint: its file system is mounted noexec",
        cause: "No program can be executed from a mount with the option `noexec`: of config.json, or of the host (/tmp and /home on hardened hosts).",
        remedy: "Leave the option out, or put the program elsewhere.",
        remedy_edits: &[("mounts[7].options", r#"["bind"]"#)],
        ..PROGRAM
    },
    Mistake {
        title: "The user may not reach the program",
        edits: &[("process.user.uid", "1000")],
        shell: "chmod 700 rootfs",
        message: "ERRO runc run failed: unable to start container process: error during container init: exec: \"app\": permission denied; hint: uid 1000 may not execute it, or not search a directory of its path",
        cause: "A directory above the program, here the root directory of the container, belongs to another user and has no permission for others.",
        remedy: "Give the permission, or the directory to that user.",
        remedy_shell: "chmod 755 rootfs",
        reports: "[runc#4713](https://github.com/opencontainers/runc/issues/4713), [runc#1712](https://github.com/opencontainers/runc/issues/1712)",
        ..PROGRAM
    },
    Mistake {
        title: "The program is a directory",
        edits: &[("process.args", r#"["/bin"]"#)],
        message: "ERRO runc run failed: unable to start container process: error during container init: exec: \"/bin\": is a directory",
        cause: "The first of `process.args` is the path of a directory.",
        remedy: "Name the program in it.",
        remedy_edits: &[("process.args", r#"["/bin/app"]"#)],
        ..PROGRAM
    },
    Mistake {
        title: "The interpreter of a script does not exist",
        edits: &[("process.args", r#"["start.sh"]"#)],
        shell: "printf '#!/bin/bash\\n' >rootfs/bin/start.sh\nchmod +x rootfs/bin/start.sh",
        message: "exec /bin/start.sh: no such file or directory\nWARN exec /bin/start.sh: no such file or directory; hint: its #! line names \"/bin/bash\", which is missing",
        cause: "The script exists. The kernel's error is about the program in its first line.",
        remedy: "Name an interpreter that the image has, or install it.",
        remedy_shell: "printf '#!/bin/app\\n' >rootfs/bin/start.sh",
        reports: "[openjdk#373](https://github.com/docker-library/openjdk/issues/373), [docker/cli#3993](https://github.com/docker/cli/issues/3993)",
        ..PROGRAM
    },
    Mistake {
        title: "A script has the line ends of Windows",
        edits: &[("process.args", r#"["start.sh"]"#)],
        shell: "printf '#!/bin/app\\r\\nexit\\r\\n' >rootfs/bin/start.sh\nchmod +x rootfs/bin/start.sh",
        message: "exec /bin/start.sh: no such file or directory\nWARN exec /bin/start.sh: no such file or directory; hint: its #! line names \"/bin/app\\r\", which is missing: the file has the line ends of Windows (CRLF)",
        cause: "The carriage return at the end of the first line belongs to the name of the interpreter. An editor or git (`core.autocrlf`) has added it.",
        remedy: "Convert the file.",
        remedy_shell: "sed -i 's/\\r$//' rootfs/bin/start.sh",
        reports: "[OxiCloud#289](https://github.com/AtalayaLabs/OxiCloud/issues/289), [copilot-api#137](https://github.com/ericc-ch/copilot-api/issues/137), [docker-php#40](https://github.com/phpearth/docker-php/issues/40)",
        ..PROGRAM
    },
    Mistake {
        title: "The dynamic linker does not exist",
        edits: &[("process.args", r#"["true"]"#)],
        shell: "cp /bin/true rootfs/bin",
        message: "exec /bin/true: no such file or directory\nWARN exec /bin/true: no such file or directory; hint: its dynamic linker \"/lib64/ld-linux-x86-64.so.2\" is missing: the program was built for another C library, or the image lacks it",
        cause: "The program exists. It was linked on a host with glibc, and the image has musl (Alpine), or no C library (scratch, distroless/static).",
        remedy: "Use an image with that C library, link the program statically, or add the libraries.",
        remedy_shell: "for file in $(ldd /bin/true | grep -o '/[^ ]*'); do install -D $file rootfs$file; done",
        needs: Needs::Amd64,
        ..PROGRAM
    },
    Mistake {
        title: "The program is for another processor",
        shell: "printf '\\267\\000' | dd of=rootfs/bin/app bs=1 seek=18 conv=notrunc 2>/dev/null  # marks it as built for ARM",
        message: "exec /bin/app: exec format error\nWARN exec /bin/app: exec format error; hint: it is a program for aarch64, and this host is x86_64",
        cause: "The image was made for another processor.",
        remedy: "Pull or build it for this one (`--platform linux/amd64`), or install an emulator (binfmt_misc, qemu-user-static).",
        remedy_shell: "printf '\\076\\000' | dd of=rootfs/bin/app bs=1 seek=18 conv=notrunc 2>/dev/null",
        needs: Needs::Amd64,
        reports: "[pypiserver#394](https://github.com/pypiserver/pypiserver/issues/394), [charliecloud#1898](https://github.com/hpc/charliecloud/issues/1898), [containerd#5854](https://github.com/containerd/containerd/issues/5854)",
        ..PROGRAM
    },
    Mistake {
        title: "A script without #!",
        edits: &[("process.args", r#"["start.sh"]"#)],
        shell: "echo 'exit 0' >rootfs/bin/start.sh\nchmod +x rootfs/bin/start.sh",
        message: "exec /bin/start.sh: exec format error\nWARN exec /bin/start.sh: exec format error; hint: it is neither a program for this architecture nor a script with #!",
        cause: "A shell runs such a file as a script, the kernel does not.",
        remedy: "Begin the file with `#!` and the interpreter, without a blank line or a byte order mark before it.",
        remedy_shell: "printf '#!/bin/app\\nexit 0\\n' >rootfs/bin/start.sh",
        reports: "[mailcow#6325](https://github.com/mailcow/mailcow-dockerized/issues/6325)",
        ..PROGRAM
    },
    Mistake {
        title: "No root file system",
        shell: "mv rootfs image",
        message: "ERRO runc run failed: invalid rootfs: stat /bundle/rootfs: no such file or directory",
        cause: "`root.path` names a directory that does not exist. A relative path begins at the bundle.",
        remedy: "Unpack an image there, or correct the path.",
        remedy_edits: &[("root.path", r#""image""#)],
        ..BUNDLE
    },
    Mistake {
        title: "No config.json",
        command: "cd rootfs; runtime-cli run web",
        message: "ERRO runc run failed: JSON specification file config.json not found; hint: /bundle/rootfs has none; --bundle names another directory",
        cause: "Without `--bundle` the bundle is the working directory.",
        remedy: "Give the flag or change the directory. The command `spec` makes a config.json.",
        after: "cd rootfs; runtime-cli run --bundle .. web",
        ..BUNDLE
    },
    Mistake {
        title: "A syntax error in config.json",
        shell: "sed -i '2s/,$//' config.json",
        message: "ERRO runc run failed: /bundle/config.json: hostname: expected `,` or `}` at line 3 column 3",
        cause: "A comma is missing at the end of the line before. JSON has no comments, and no comma behind the last element.",
        remedy: "Correct it; `jq . config.json` finds the place, too.",
        ..BUNDLE
    },
    Mistake {
        title: "A value of a wrong type",
        edits: &[("process.args", r#""app""#)],
        message: "ERRO runc run failed: /bundle/config.json: process.args: invalid type: string \"app\", expected an array at line …",
        cause: "The property has another type in the specification.",
        remedy: "Give a value of that type.",
        remedy_edits: &[("process.args", r#"["app"]"#)],
        ..BUNDLE
    },
    Mistake {
        title: "The name of a user instead of the number",
        edits: &[("process.user.uid", r#""www-data""#)],
        message: "ERRO runc run failed: /bundle/config.json: process.user.uid: invalid type: string \"www-data\", expected a number from 0 to 4294967295 at line …",
        cause: "A runtime does not look up names in the image's /etc/passwd. Engines do that.",
        remedy: "Give the number.",
        remedy_edits: &[("process.user.uid", "33")],
        ..BUNDLE
    },
    Mistake {
        title: "No version",
        edits: &[("ociVersion", "")],
        message: "ERRO runc run failed: ociVersion: must be given, such as \"1.2.0\"",
        cause: "The specification requires the property.",
        remedy: "Add it.",
        remedy_edits: &[("ociVersion", r#""1.2.0""#)],
        reports: "[crun#1880](https://github.com/containers/crun/issues/1880) is about a version that the runtime does not know",
        ..BUNDLE
    },
    Mistake {
        title: "The source of a bind mount does not exist",
        edits: &[(
            "mounts[]",
            r#"{ "destination": "/data", "source": "/srv/nothing", "options": ["rbind"] }"#,
        )],
        message: "ERRO runc run failed: unable to start container process: error during container init: mounts[7].source: failed to fulfil mount request: open /srv/nothing: no such file or directory",
        cause: "`source` is a path of the host. Some engines make a missing source, a runtime does not.",
        remedy: "Make it, or correct the path. A relative path begins at the bundle.",
        remedy_edits: &[("mounts[7].source", r#""data""#)],
        remedy_shell: "mkdir data",
        reports: "[docs#13503](https://github.com/docker/docs/issues/13503)",
        ..FILES
    },
    Mistake {
        title: "A file is mounted on a directory",
        edits: &[("mounts[]", r#"{ "destination": "/etc", "source": "app.conf", "options": ["bind"] }"#)],
        shell: "touch app.conf",
        message: "ERRO runc run failed: unable to start container process: error during container init: error mounting \"/bundle/app.conf\" to rootfs at \"/etc\" (mounts[7]): move_mount: not a directory; hint: a file cannot be mounted on a directory, nor a directory on a file",
        cause: "Source and destination have different types. Often the source is a file that did not exist, and an engine has made a directory in its place.",
        remedy: "Name a file as the destination, or make the source what it should be.",
        remedy_edits: &[("mounts[7].destination", r#""/etc/app.conf""#)],
        reports: "[runc#3318](https://github.com/opencontainers/runc/issues/3318), [secrets-init#50](https://github.com/doitintl/secrets-init/issues/50), [blocky#1624](https://github.com/0xERR0R/blocky/pull/1624)",
        ..FILES
    },
    Mistake {
        title: "A mount point is missing on a read-only file system",
        edits: &[("mounts[]", r#"{ "destination": "/data", "type": "tmpfs" }"#)],
        shell: "mount --bind -o ro rootfs rootfs",
        message: "ERRO runc run failed: unable to start container process: error during container init: error mounting \"tmpfs\" to rootfs at \"/data\" (mounts[7]): openat2: read-only file system; hint: the mount point is missing, and the file system there is read-only: make it in the image",
        cause: "The runtime makes missing mount points, but cannot on a read-only image or volume. (`root.readonly` is no obstacle: the root becomes read-only later.)",
        remedy: "Make the directory in the image or in the volume.",
        remedy_shell: "umount rootfs\nmkdir rootfs/data\nmount --bind -o ro rootfs rootfs",
        reports: "[runc#1670](https://github.com/opencontainers/runc/issues/1670), [cri-o#2564](https://github.com/cri-o/cri-o/issues/2564), [amazon-ecs-agent#951](https://github.com/aws/amazon-ecs-agent/issues/951)",
        ..FILES
    },
    Mistake {
        title: "The working directory is missing on a read-only file system",
        edits: &[("process.cwd", r#""/srv/app""#)],
        shell: "mount --bind -o ro rootfs rootfs",
        message: "ERRO runc run failed: unable to start container process: error during container init: chdir to cwd (\"/srv/app\") set in config.json failed: mkdirat: read-only file system; hint: it is missing, and the file system there is read-only: make it in the image",
        cause: "As for mount points: the runtime makes a missing working directory where it can.",
        remedy: "Make it in the image, or give another `process.cwd`.",
        remedy_edits: &[("process.cwd", r#""/bin""#)],
        ..FILES
    },
    Mistake {
        title: "A misspelt mount option",
        edits: &[("mounts[]", r#"{ "destination": "/data", "type": "tmpfs", "options": ["readonly"] }"#)],
        message: "ERRO runc run failed: unable to start container process: error during container init: error mounting \"tmpfs\" to rootfs at \"/data\" (mounts[7]): fsconfig: invalid argument; hint: the kernel reports \"tmpfs: Unknown parameter 'readonly'\"",
        cause: "An option that the runtime does not know goes to the file system, and the kernel refuses it.",
        remedy: "Use the names of mount(8).",
        remedy_edits: &[("mounts[7].options", r#"["ro"]"#)],
        ..FILES
    },
    Mistake {
        title: "An id that the user namespace does not have",
        edits: &[MAPPED[0], MAPPED[1], MAPPED[2], ("process.user.uid", "1000")],
        message: "ERRO runc run failed: unable to start container process: error during container init: process.user (uid 1000, gid 0): setresuid: invalid argument; hint: the user namespace has no such id: see linux.uidMappings and linux.gidMappings",
        cause: "The mappings cover the ids 0 to 999.",
        remedy: "Map more ids, or use a mapped one.",
        remedy_edits: &[("linux.uidMappings[0].size", "65536"), ("linux.gidMappings[0].size", "65536")],
        ..IDS
    },
    Mistake {
        title: "The mapped root may not enter the root file system",
        edits: &[MAPPED[0], MAPPED[1], MAPPED[2]],
        shell: "chmod 700 rootfs",
        message: "ERRO runc run failed: unable to start container process: error during container init: error mounting \"proc\" to rootfs at \"/proc\" (mounts[0]): openat2: permission denied; hint: the container's root may not search a directory of this path, or not make the mount point in it",
        cause: "In the user namespace, root is uid 100000 of the host. The root file system belongs to another user.",
        remedy: "Give the files to the mapped ids, or the permission to others.",
        remedy_shell: "chown 100000:100000 rootfs",
        reports: "[podman#25080](https://github.com/podman-container-tools/podman/issues/25080), [moby#28859](https://github.com/moby/moby/issues/28859)",
        ..IDS
    },
    Mistake {
        title: "An ordinary user without a user namespace",
        edits: &[("linux.resources", ""), ("process.capabilities", "{}")],
        message: "ERRO runc run failed: unable to start container process: error during container init: cloning the mount of rootfs /bundle/rootfs: open_tree: operation not permitted; hint: it takes CAP_SYS_ADMIN: run as root, or with a user namespace (spec --rootless); a filter of the host's may forbid it, too",
        cause: "Only root makes the other namespaces. An ordinary user becomes root of a user namespace first.",
        remedy: "Run it as root, or with the config.json of `spec --rootless`.",
        remedy_edits: &ROOTLESS,
        user: true,
        reports: "[runc#1413](https://github.com/opencontainers/runc/issues/1413)",
        ..IDS
    },
    Mistake {
        title: "A mount option names an id that is not mapped",
        edits: &[ROOTLESS[0], ROOTLESS[1], ROOTLESS[2], ROOTLESS[3], ROOTLESS[5]],
        message: "ERRO runc run failed: unable to start container process: error during container init: error mounting \"devpts\" to rootfs at \"/dev/pts\" (mounts[2]): fsconfig: invalid argument; hint: the kernel reports \"devpts: Invalid gid '5'\": the user namespace does not map this id",
        older: "ERRO runc run failed: unable to start container process: error during container init: error mounting \"devpts\" to rootfs at \"/dev/pts\" (mounts[2]): fsconfig(CMD_CREATE): invalid argument; hint: the file system refused an option (newinstance, ptmxmode, mode, gid); the user namespace may not map the uid or gid",
        cause: "The option `gid=5` (group tty) is in the config.json of root, and an ordinary user maps one id.",
        remedy: "Leave it out, as `spec --rootless` does.",
        remedy_edits: &[ROOTLESS[4]],
        user: true,
        ..IDS
    },
    Mistake {
        title: "No cgroup was delegated to the user",
        edits: &[
            ROOTLESS[0],
            ROOTLESS[1],
            ROOTLESS[2],
            ROOTLESS[3],
            ROOTLESS[4],
            ROOTLESS[5],
            ("linux.cgroupsPath", r#""/web""#),
        ],
        message: "ERRO runc run failed: rootless needs no limits + no cgrouppath when no permission is granted for cgroups: unable to apply cgroup configuration: mkdir /sys/fs/cgroup/web: permission denied; hint: leave out linux.cgroupsPath and the limits, or begin in a cgroup of the user (systemd-run --user --scope -p Delegate=yes)",
        cause: "A user may make cgroups, and set limits, only below a cgroup that belongs to the user.",
        remedy: "Do without, or begin in such a cgroup. With systemd: `systemd-run --user --scope -p Delegate=yes runtime-cli ...`, or the flag `--systemd-cgroup`.",
        remedy_edits: &[("linux.cgroupsPath", "")],
        user: true,
        reports: "[crun#376](https://github.com/containers/crun/issues/376), [crun#849](https://github.com/containers/crun/issues/849), [podman#6368](https://github.com/containers/podman/issues/6368)",
        ..IDS
    },
    Mistake {
        title: "The user has no subordinate ids",
        edits: &[
            ROOTLESS[0],
            (
                "linux.uidMappings",
                r#"[{ "containerID": 0, "hostID": 4321, "size": 1 }, { "containerID": 1, "hostID": 100000, "size": 65536 }]"#,
            ),
            (
                "linux.gidMappings",
                r#"[{ "containerID": 0, "hostID": 4321, "size": 1 }, { "containerID": 1, "hostID": 100000, "size": 65536 }]"#,
            ),
            ROOTLESS[3],
            ROOTLESS[5],
        ],
        shell: "echo 'user:x:4321:4321::/:/bin/sh' | cat /etc/passwd - >passwd\nmount --bind passwd /etc/passwd\ntouch subids\nmount --bind subids /etc/subuid\nmount --bind subids /etc/subgid",
        message: "ERRO runc run failed: unable to start container process: error during container init: newuidmap failed (exit status: 1): newuidmap: uid range [1-65537) -> [100000-165536) not allowed; hint: /etc/subuid and /etc/subgid must grant these ids to the user (usermod --add-subuids)",
        cause: "Only root maps other ids than one's own. newuidmap(1) does it for a user with a range in /etc/subuid.",
        remedy: "Give the user a range: `usermod --add-subuids 100000-165535 --add-subgids 100000-165535 user`.",
        remedy_shell: "echo 'user:100000:65536' >subids",
        user: true,
        needs: Needs::Newuidmap,
        reports: "[podman#5488](https://github.com/podman-container-tools/podman/issues/5488), [podman#13360](https://github.com/podman-container-tools/podman/issues/13360)",
        ..IDS
    },
    Mistake {
        title: "The user may not read the bundle",
        edits: &ROOTLESS,
        shell: "chmod 700 .",
        command: "cd /; runtime-cli run --bundle \"$OLDPWD\" web",
        message: "ERRO runc run failed: read /bundle/config.json: permission denied; hint: this user may not read it, or not search a directory of its path",
        cause: "The bundle is in a directory with the mode 0700 of another user, such as a home directory.",
        remedy: "Give the permission, or move the bundle.",
        remedy_shell: "chmod 755 .",
        user: true,
        ..IDS
    },
    Mistake {
        title: "User namespaces are forbidden, or their number is limited",
        edits: &MAPPED,
        command: "unshare --user --map-root-user sh -c 'echo 0 >/proc/sys/user/max_user_namespaces; runtime-cli run web'",
        message: "ERRO runc run failed: clone3: no space left on device; hint: a limit on the number of namespaces is reached (/proc/sys/user/max_*_namespaces)",
        cause: "A limit of 0 forbids them. (The example sets it for a user namespace only; `sysctl user.max_user_namespaces` shows it.)",
        remedy: "Raise the limit. On Debian `kernel.unprivileged_userns_clone`, and on Ubuntu `kernel.apparmor_restrict_unprivileged_userns`, can forbid them to ordinary users, too: [check](check.md) tells.",
        after: "runtime-cli run web",
        ..IDS
    },
    Mistake {
        title: "The name of a capability without CAP_",
        edits: &[(
            "process.capabilities",
            r#"{ "bounding": ["NET_ADMIN"], "effective": ["NET_ADMIN"], "permitted": ["NET_ADMIN"] }"#,
        )],
        message: "WARN ignoring unknown or unavailable capabilities: [NET_ADMIN]; the names of capabilities begin with CAP_",
        starts: true,
        cause: "Engines take short names, config.json does not. The specification says to warn and to go on, so the program runs without the capability.",
        remedy: "Write the whole name.",
        remedy_edits: &[(
            "process.capabilities",
            r#"{ "bounding": ["CAP_NET_ADMIN"], "effective": ["CAP_NET_ADMIN"], "permitted": ["CAP_NET_ADMIN"] }"#,
        )],
        ..IDS
    },
    Mistake {
        title: "A kernel parameter without its namespace",
        edits: &[("linux.namespaces[1]", ""), ("linux.sysctl", r#"{ "net.ipv4.ip_forward": "1" }"#)],
        message: "ERRO runc run failed: linux.sysctl.net.ipv4.ip_forward: not allowed without a private network namespace: it would change the host",
        cause: "The container has no network namespace of its own (`--net=host`).",
        remedy: "Give it one, or set the parameter on the host.",
        remedy_edits: &[("linux.namespaces[]", r#"{ "type": "network" }"#)],
        reports: "[runc#2693](https://github.com/opencontainers/runc/issues/2693), [containerd#5281](https://github.com/containerd/containerd/issues/5281), [docker-snap#40](https://github.com/canonical/docker-snap/issues/40)",
        ..KERNEL
    },
    Mistake {
        title: "A kernel parameter that does not exist",
        edits: &[("linux.sysctl", r#"{ "net.ipv4.ip_forwarding": "1" }"#)],
        message: "ERRO runc run failed: unable to start container process: error during container init: linux.sysctl: setting /proc/sys/net/ipv4/ip_forwarding: openat2: no such file or directory; hint: the kernel has no such parameter; the module that brings it may not be loaded",
        cause: "The name is wrong, the kernel is older or newer, or a new network namespace does not have it.",
        remedy: "Correct or remove it, or load the module (`modprobe`).",
        remedy_edits: &[("linux.sysctl", r#"{ "net.ipv4.ip_forward": "1" }"#)],
        reports: "[runc#1193](https://github.com/opencontainers/runc/issues/1193), [nerdctl#4016](https://github.com/containerd/nerdctl/issues/4016)",
        ..KERNEL
    },
    Mistake {
        title: "A value that a kernel parameter does not take",
        edits: &[("linux.sysctl", r#"{ "net.ipv4.ip_forward": "yes" }"#)],
        message: "ERRO runc run failed: unable to start container process: error during container init: linux.sysctl: setting /proc/sys/net/ipv4/ip_forward: write: invalid argument; hint: the kernel refuses the value \"yes\"",
        cause: "The parameter takes a number.",
        remedy: "Correct it.",
        remedy_edits: &[("linux.sysctl", r#"{ "net.ipv4.ip_forward": "1" }"#)],
        reports: "[moby#27484](https://github.com/moby/moby/issues/27484)",
        ..KERNEL
    },
    Mistake {
        title: "A namespace whose process has ended",
        edits: &[("linux.namespaces[0]", r#"{ "type": "pid", "path": "/proc/999999999/ns/pid" }"#)],
        message: "ERRO runc run failed: linux.namespaces: pid namespace: open /proc/999999999/ns/pid: no such file or directory; hint: the process has ended, or has no such namespace",
        cause: "The container joins the namespace of a process that is gone, for example of a pod's pause container.",
        remedy: "Start that process again and write its new pid, or let the container make a namespace.",
        remedy_edits: &[("linux.namespaces[0]", r#"{ "type": "pid" }"#)],
        ..KERNEL
    },
    Mistake {
        title: "A network namespace that was removed",
        edits: &[("linux.namespaces[1]", r#"{ "type": "network", "path": "/bundle/netns" }"#)],
        shell: "touch netns",
        message: "ERRO runc run failed: linux.namespaces: network namespace /bundle/netns: not a namespace file; hint: no namespace is mounted there any more",
        cause: "The file was the mount point of a namespace (`ip netns`, CNI). The mount is gone, as after a restart of the host.",
        remedy: "Make the namespace again.",
        remedy_shell: "unshare --net=netns true",
        ..KERNEL
    },
    Mistake {
        title: "A controller that cgroup v2 does not have here",
        edits: &[("linux.resources.memory", r#"{ "limit": 67108864 }"#), ("linux.cgroupsPath", r#""/web""#)],
        message: "ERRO runc run failed: unable to start container process: error during container init: linux.resources.memory.limit: controller \"memory\" not available in /sys/fs/cgroup/web; hint: cgroup2 has these controllers here: …",
        cause: "The host uses the controller with cgroup v1, or the kernel has it disabled (`cgroup_enable=memory` on a Raspberry Pi).",
        remedy: "Boot with `systemd.unified_cgroup_hierarchy=1`, or remove the limit.",
        remedy_edits: &[("linux.resources.memory", "")],
        needs: Needs::Memory(false),
        ..KERNEL
    },
    Mistake {
        title: "A memory limit that is too small to start",
        edits: &[("linux.resources.memory", r#"{ "limit": 65536 }"#), ("linux.cgroupsPath", r#""/web""#)],
        message: "ERRO runc run failed: unable to start container process: error during container init: container init was OOM-killed (memory limit too low?)…",
        cause: "The container's first process needs memory before it executes the program.",
        remedy: "Raise the limit. `4m` is not 4 but 4194304 in config.json.",
        remedy_edits: &[("linux.resources.memory.limit", "16777216")],
        needs: Needs::Memory(true),
        reports: "[amazon-ecs-agent#3021](https://github.com/aws/amazon-ecs-agent/issues/3021), [crun#630](https://github.com/containers/crun/issues/630)",
        ..KERNEL
    },
    Mistake {
        title: "An AppArmor profile that is not loaded",
        edits: &[("process.apparmorProfile", r#""container-default""#)],
        message: "ERRO runc run failed: unable to start container process: error during container init: process.apparmorProfile: /proc/…exec container-default: write: no such file or directory; hint: the kernel has no such profile or label: load it (apparmor_parser, semodule)",
        cause: "The kernel knows only loaded profiles; `aa-status` lists them.",
        remedy: "Load it (`apparmor_parser --replace FILE`), or use `unconfined`.",
        remedy_edits: &[("process.apparmorProfile", r#""unconfined""#)],
        needs: Needs::AppArmor,
        reports: "[moby#25488](https://github.com/moby/moby/issues/25488), [moby#26823](https://github.com/moby/moby/issues/26823)",
        ..KERNEL
    },
    Mistake {
        title: "The filter kills the program",
        edits: &[(
            "linux.seccomp",
            r#"{ "defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{ "names": ["exit_group"], "action": "SCMP_ACT_KILL_PROCESS" }] }"#,
        )],
        message: "WARN process … was killed by SIGSYS, probably by linux.seccomp; dmesg may have the number of the system call (type=1326 ... syscall=)",
        cause: "The program has called a system call for which `linux.seccomp` has a killing action. The exit status is 159. `ausyscall NUMBER` prints the name of the call.",
        remedy: "Allow the call. With the action SCMP_ACT_LOG all calls that a program needs can be found.",
        remedy_edits: &[("linux.seccomp.syscalls[0].action", r#""SCMP_ACT_LOG""#)],
        ..KERNEL
    },
    Mistake {
        title: "A hook fails",
        edits: &[(
            "hooks",
            r#"{ "createRuntime": [{ "path": "/bin/sh", "args": ["sh", "-c", "echo no network >&2; exit 3"] }] }"#,
        )],
        message: "ERRO runc run failed: unable to start container process: error during container init: error running createRuntime hook #0: exit status 3, stdout: , stderr: no network",
        cause: "The number is the index of the hook in its list. What the hook has printed follows.",
        remedy: "Mend the hook or what it complains about. Hooks of engines are in /etc/containers/oci/hooks.d and /usr/share/containers/oci/hooks.d.",
        remedy_edits: &[("hooks.createRuntime[0].args[2]", r#""exit 0""#)],
        reports: "[nvidia-docker#1710](https://github.com/NVIDIA/nvidia-docker/issues/1710), [nvidia-container-toolkit#230](https://github.com/NVIDIA/nvidia-container-toolkit/issues/230)",
        ..KERNEL
    },
    Mistake {
        title: "The program of a hook does not exist",
        edits: &[("hooks", r#"{ "createRuntime": [{ "path": "/usr/libexec/oci/hook" }] }"#)],
        message: "ERRO runc run failed: unable to start container process: error during container init: error running createRuntime hook #0: fork/exec /usr/libexec/oci/hook: no such file or directory",
        cause: "A package was removed, and the file that names its hook was not.",
        remedy: "Install the program, or remove the hook.",
        remedy_edits: &[("hooks", "")],
        ..KERNEL
    },
    Mistake {
        title: "The id is in use",
        edits: &[("process.args", r#"["wait"]"#)],
        shell: "runtime-cli run --detach web",
        message: "ERRO runc run failed: container with given ID already exists; hint: /run/runc has \"web\": delete it, or choose another id",
        cause: "A container with this id exists; it may have stopped.",
        remedy: "Delete it, or choose another id. `runtime-cli list` shows all.",
        remedy_edits: &[("process.args", r#"["app"]"#)],
        remedy_shell: "runtime-cli delete --force web",
        ..LIFE
    },
    Mistake {
        title: "The container does not exist",
        edits: &[("process.args", r#"["wait"]"#)],
        command: "runtime-cli state shop",
        message: "ERRO container does not exist; hint: /run/runc has no \"shop\"; --root names another directory",
        cause: "The id is wrong, the container was deleted, or it has another state directory: each user has one, and each engine gives one with `--root` (Docker: /run/docker/runtime-runc/moby).",
        remedy: "`runtime-cli list` shows the ids of a state directory.",
        remedy_shell: "runtime-cli run --detach shop",
        reports: "[runc#1999](https://github.com/opencontainers/runc/pull/1999)",
        ..LIFE
    },
    Mistake {
        title: "The container has stopped",
        shell: "runtime-cli run --detach web\nsleep 1",
        command: "runtime-cli start web",
        message: "ERRO cannot start a container that has stopped; hint: it starts only once: delete it, and create it again",
        cause: "A container runs once.",
        remedy: "Delete it and create it again.",
        remedy_shell: "runtime-cli delete web",
        after: "runtime-cli run web",
        ..LIFE
    },
    Mistake {
        title: "The container to delete is running",
        edits: &[("process.args", r#"["wait"]"#)],
        shell: "runtime-cli run --detach web",
        command: "runtime-cli delete web",
        message: "ERRO cannot delete container web that is not stopped: running; hint: delete --force kills it",
        cause: "Only a stopped container can be deleted.",
        remedy: "End it first, or use `--force`.",
        after: "runtime-cli delete --force web",
        ..LIFE
    },
    Mistake {
        title: "A terminal that no program gets",
        edits: &[("process.terminal", "true")],
        command: "runtime-cli create web",
        message: "ERRO runc create failed: cannot allocate tty if runc will detach without setting console socket; hint: process.terminal is true: set it to false, or give a socket with --console-socket",
        cause: "The config.json of `spec` asks for a terminal. `create` and `run --detach` end before the container does, so another program has to take it.",
        remedy: "Do without a terminal, use `run`, or give the socket of a program that takes it.",
        remedy_edits: &[("process.terminal", "false")],
        after: "runtime-cli create web; runtime-cli start web",
        reports: "[runc#1580](https://github.com/opencontainers/runc/issues/1580), [crun#484](https://github.com/containers/crun/issues/484), [kata-containers#4324](https://github.com/kata-containers/kata-containers/issues/4324)",
        ..LIFE
    },
    Mistake {
        title: "No program listens at the console socket",
        edits: &[("process.terminal", "true")],
        command: "runtime-cli create --console-socket tty.sock web",
        message: "ERRO runc create failed: dial unix tty.sock: connect: no such file or directory; hint: no program listens there: start it first",
        cause: "The runtime connects to the socket, and does not make it.",
        remedy: "Start the program that takes the terminal first (runc's `recvtty`, an engine's monitor). Here `$CONSOLE` is its socket.",
        after: "runtime-cli create --console-socket $CONSOLE web; runtime-cli start web",
        ..LIFE
    },
    Mistake {
        title: "A terminal in a script",
        edits: &[("process.terminal", "true")],
        command: "setsid --wait runtime-cli run web",
        message: "ERRO runc run failed: open /dev/tty: no such device or address; hint: process.terminal (or --tty) needs a terminal here: leave it out, or use --detach and --console-socket",
        cause: "The command was started by a program without a terminal: cron, a service, CI.",
        remedy: "Do without a terminal.",
        remedy_edits: &[("process.terminal", "false")],
        ..LIFE
    },
];
