#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# make demo: shows a container with a static busybox from inside and from outside. Run it as root:
# conformance/demo.sh RUNTIME
set -eu
runtime=$(realpath "$1")

busybox=$(command -v busybox || true)
if [ -z "$busybox" ] || ldd "$busybox" >/dev/null 2>&1; then
	echo "installing Debian's busybox-static"
	{ apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends busybox-static; } >/dev/null
	busybox=$(command -v busybox)
fi

bundle=$(mktemp -d)
id=demo-$$
clean_up() {
	"$runtime" delete --force $id # succeeds if it does not exist
	rm -rf "$bundle"
}
trap clean_up EXIT

say() { printf '\n\033[1m%s\033[0m\n' "$*"; }

# A bundle is a directory with a root file system and a config.json.
mkdir -p "$bundle/rootfs/bin" "$bundle/rootfs/etc"
cp "$busybox" "$bundle/rootfs/bin/busybox"
chroot "$bundle/rootfs" /bin/busybox --install -s /bin
echo 'root:x:0:0:root:/root:/bin/sh' >"$bundle/rootfs/etc/passwd"
cat >"$bundle/rootfs/look" <<'LOOK'
echo "hostname: $(hostname)"
echo "user: $(id)"
echo; echo processes:; ps -o pid,user,args
echo; echo mounts:; cut -d' ' -f2-4 /proc/mounts | cut -c1-100
echo; echo interfaces:; ip -oneline address | cut -c1-70
echo; echo capabilities:; grep Cap /proc/self/status
exec sleep 1000
LOOK
cd "$bundle"
"$runtime" spec
sed -i -e 's|"terminal": true|"terminal": false|' -e 's|"sh"$|"sh", "/look"|' -e 's|"runc"|"demo"|' config.json

say "create: everything is made, the program waits"
"$runtime" create $id >inside.log 2>&1
"$runtime" list

say "start: the container from the inside"
"$runtime" start $id
tries=0
until grep -q CapAmb inside.log; do
	tries=$((tries + 1))
	[ $tries -lt 500 ] || { cat inside.log; exit 1; }
	sleep 0.01
done
cat inside.log

say "the same process from the outside"
pid=$("$runtime" state $id | sed -n 's/.*"pid": \([0-9]*\).*/\1/p')
ps -o pid,ppid,user,args -p "$pid"
grep -E '^(NSpid|CapEff|NoNewPrivs|Seccomp):' "/proc/$pid/status"
cgroup=$(sed -n 's/^0:://p' "/proc/$pid/cgroup")
echo "cgroup: $cgroup"
for ns in cgroup ipc mnt net pid user uts; do
	own=$(readlink /proc/self/ns/$ns) its=$(readlink "/proc/$pid/ns/$ns")
	[ "$own" = "$its" ] && echo "$its (the host's)" || echo "$its (its own)"
done

say "kill and delete: nothing is left"
"$runtime" kill $id KILL
"$runtime" delete --force $id
"$runtime" state $id || true
for left in /sys/fs/cgroup$cgroup /sys/fs/cgroup/unified$cgroup; do
	[ ! -e "$left" ] || { echo "left: $left"; exit 1; }
done
