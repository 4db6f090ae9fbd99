# SPDX-License-Identifier: Apache-2.0
# Mistakes of callers and their results, without an engine, by the command line that engines use.

load common

setup() {
	mkdir -p "$BATS_TEST_TMPDIR"/{bundle/rootfs/bin,state,full}
	cd "$BATS_TEST_TMPDIR/bundle"
	cp /bin/busybox rootfs/bin/sh
	runtime-cli spec
	edit 'c["process"].update(terminal=False, args=["sh", "-c", "sleep 10000"])'
}

teardown() {
	runtime delete --force c
	! mountpoint --quiet "$BATS_TEST_TMPDIR/full" || umount "$BATS_TEST_TMPDIR/full"
}

# Changes the configuration `c`.
edit() {
	python3 -c '
import json, sys
c = json.load(open("config.json"))
exec(sys.argv[1])
json.dump(c, open("config.json", "w"))' "$1"
}

runtime() {
	runtime-cli --root "$BATS_TEST_TMPDIR/state" "$@"
}

nothing_is_left() {
	[ -z "$(ls "$BATS_TEST_TMPDIR/state")" ]
	[ ! -e /sys/fs/cgroup/c ]
	run ! grep "$BATS_TEST_TMPDIR/bundle" /proc/self/mounts
	run ! pgrep --full 'sleep 10000|runtime-cli'
}

@test "caller: a console socket without a listener" {
	edit 'c["process"]["terminal"] = True'
	python3 -c 'import socket; socket.socket(socket.AF_UNIX).bind("socket")'
	run -1 runtime create --console-socket socket c
	[[ $output == *'dial unix socket: connect: connection refused'* ]]
	nothing_is_left
}

@test "caller: a full disk for the pid file, and for the state" {
	for what in pid state; do
		mount -t tmpfs -o size=8k full "$BATS_TEST_TMPDIR/full"
		head -c 100k /dev/zero >"$BATS_TEST_TMPDIR/full/x" || true
		case $what in
		pid) run -1 runtime create --pid-file "$BATS_TEST_TMPDIR/full/pid" c ;;
		state) run -1 runtime-cli --root "$BATS_TEST_TMPDIR/full" create c ;;
		esac
		[[ $output == *'no space left on device'* ]]
		rm "$BATS_TEST_TMPDIR/full/x"
		# Neither an empty pid file nor a state directory is left.
		[ -z "$(ls "$BATS_TEST_TMPDIR/full")" ]
		umount "$BATS_TEST_TMPDIR/full"
		nothing_is_left
	done
}

@test "caller: each command in each status" {
	runtime create c </dev/null >/dev/null 2>&1
	run -1 runtime create c
	[[ $output == *'already exists'* ]]
	runtime start c
	run -1 runtime start c
	[[ $output == *'cannot start an already running container'* ]]
	run -1 runtime delete c
	[[ $output == *'not stopped'* ]]
	runtime kill c KILL
	eventually stopped
	run -255 runtime exec c sh
	[[ $output == *stopped* ]]
	run -1 runtime kill c TERM
	[[ $output == *'not running'* ]]
	runtime delete c
	run -1 runtime delete c
	[[ $output == *'does not exist'* ]]
	runtime delete --force c
	nothing_is_left
}

stopped() {
	[[ $(runtime state c) == *'"stopped"'* ]]
}
