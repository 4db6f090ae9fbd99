#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Runs each example, and the program conformance/outside, with a static busybox, and checks what it
# prints. To be run as root, with the directory of the built examples and the path of that program:
# runtime-core/examples/check.sh target/.../debug/examples conformance/outside/target/.../debug/outside
set -eu
built=$(realpath "$1")
outside=$(realpath "$2")
busybox=$(command -v busybox)
bundle=$(mktemp -d)
trap 'rm -rf "$bundle"' EXIT
chmod 755 "$bundle"
mkdir -p "$bundle/rootfs/bin" "$bundle/rootfs/etc" "$bundle/rootfs/proc" "$bundle/rootfs/dev" "$bundle/rootfs/sys"
cp "$busybox" "$bundle/rootfs/bin/busybox"
chroot "$bundle/rootfs" /bin/busybox --install -s /bin
echo 'root:x:0:0:root:/root:/bin/sh' >"$bundle/rootfs/etc/passwd"

# check NAME WORDS COMMAND...: the command succeeds, and WORDS are in what it prints.
check() {
	name=$1 words=$2
	shift 2
	if "$@" >"$bundle/said" 2>&1 && grep -qF -- "$words" "$bundle/said"; then
		echo "ok $name"
	else
		echo "FAILED $name, expected $words:"
		cat "$bundle/said"
		exit 1
	fi
}

cat >"$bundle/config.json" <<'CONFIG'
{
	"ociVersion": "1.0.2",
	"process": { "user": { "uid": 0, "gid": 0 }, "args": ["/bin/busybox", "echo", "from the bundle"], "cwd": "/" },
	"root": { "path": "rootfs" },
	"linux": { "namespaces": [{ "type": "pid" }, { "type": "mount" }] }
}
CONFIG
check run "from the bundle" "$built/run" "$bundle"
check output "root:x:0:0" "$built/output" "$bundle" cat /etc/passwd
check exec_server "19 squared is 361" "$built/exec_server" "$bundle"
check pool "100 containers from 8 threads, sum 4950" "$built/pool" "$bundle"
check terminal "24 80" "$built/terminal" "$bundle"
check hooks "creating: 1 interface" "$built/hooks" "$bundle"
check "hooks that fail" "no address is left" "$built/hooks" "$bundle"
check oci_spec "from oci-spec" "$built/oci_spec" "$bundle"
check outside "containers, none left" "$outside" "$bundle"
# A user without rights, who may read the bundle and execute the program.
cp "$built/rootless" "$outside" "$bundle"
chmod 755 "$bundle/rootless" "$bundle/outside"
as_user() {
	setpriv --reuid 12345 --regid 12345 --clear-groups --no-new-privs env -u XDG_RUNTIME_DIR "$@"
}
check rootless "uid=0(root)" as_user "$bundle/rootless" "$bundle"
check "outside, rootless" "containers, none left" as_user "$bundle/outside" "$bundle"
rm -rf /tmp/runtime-example-12345
if grep -qw memory /sys/fs/cgroup/cgroup.controllers /sys/fs/cgroup/unified/cgroup.controllers 2>/dev/null; then
	check memory_limit "was OOM-killed: memory.max of the container is 16777216" "$built/memory_limit" "$bundle"
else
	# The error of a host without the controller.
	check "memory_limit, without the controller" "linux.resources.memory" sh -c '! "$0" "$1"' \
		"$built/memory_limit" "$bundle"
fi
