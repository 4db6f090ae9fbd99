# SPDX-License-Identifier: Apache-2.0
# containerd with its own client. `cri` tests it through the CRI. With SHIM the containers are made by
# the project's own shim, and otherwise by runtime-cli under runc's.

load common

IMAGE=docker.io/library/busybox:latest

if [ -n "${SHIM:-}" ]; then
	RUNTIME='--runtime io.containerd.runtime-core.v2'
	# The shim takes the driver from the form of the cgroup's path.
	SYSTEMD=
	STATE=/run/containerd/runtime-core
	PROGRAM=containerd-shim-runtime-core-v2
else
	RUNTIME='--runc-binary /usr/local/bin/runtime-cli'
	SYSTEMD=--runc-systemd-cgroup
	STATE=/run/containerd/runc
	PROGRAM=containerd-shim-runc-v2
fi

setup_file() {
	systemctl start containerd
	ctr image import /var/tmp/busybox.tar
	run_container --detach --memory-limit 67108864 --cpus 0.5 web sh -c 'trap "exit 5" TERM; sleep 10000 & while :; do wait; done'
}

teardown_file() {
	ctr task delete --force web
	ctr container delete web
	systemctl stop containerd
}

# run_container [FLAG...] NAME COMMAND...
run_container() {
	local flags=()
	while [[ $1 == -* ]]; do
		flags+=("$1")
		# Flags with a value.
		case $1 in --memory-limit | --cpus | --cgroup | --apparmor-default-profile | --cap-drop | --uidmap | --gidmap) flags+=("$2"); shift ;; esac
		shift
	done
	ctr run $RUNTIME "${flags[@]}" "$IMAGE" "$@"
}

pid_of() {
	ctr task ls | awk -v name="$1" '$1 == name { print $2 }'
}

cgroup_of() {
	echo "/sys/fs/cgroup$(sed 's/^0:://' "/proc/$(pid_of "$1")/cgroup")"
}

@test "containerd: run passes on input, output and exit status" {
	# Not cat, because ctr does not forward the end of its input.
	run -7 --separate-stderr run_container --rm c1 sh -c 'read -r line; echo $line; echo wrong >&2; exit 7' <<<right
	[ "$output" = right ]
	[[ $stderr == *wrong* ]]
}

@test "containerd: a program that is not there" {
	run ! run_container --rm c2 nosuch
	[[ $output == *'OCI runtime create failed'*'executable file not found in $PATH'* ]]
	# The next container can be made.
	run -0 run_container --rm c2 true
}

@test "containerd: a terminal" {
	in_terminal "ctr run --rm --tty $RUNTIME $IMAGE c3 sh -c 'tty; ls -l /dev/console'"
	has_line /dev/pts/0
	[[ $output == *'136,   0'* ]]
}

@test "containerd: limits" {
	cgroup=$(cgroup_of web)
	[ "$(cat "$cgroup/memory.max")" = 67108864 ]
	[ "$(cat "$cgroup/cpu.max")" = '50000 100000' ]
	run -0 ctr task metrics --format json web
	[[ $output == *67108864* ]]
}

@test "containerd: exec" {
	run -3 ctr task exec --exec-id e2 --user 1000:1000 --cwd /tmp web sh -c 'read -r line; echo $line; id -u; pwd; exit 3' <<<input
	[ "$output" = $'input\n1000\n/tmp' ]
	run ! ctr task exec --exec-id e3 web nosuch
	[[ $output == *'executable file not found in $PATH'* ]]
	in_terminal 'ctr task exec --tty --exec-id e4 web sh -c "tty; cat /proc/1/comm"'
	has_line '/dev/pts/[0-9]+'
	has_line sh
}

@test "containerd: pause and resume" {
	ctr task pause web
	[[ $(ctr task ls) == *PAUSED* ]]
	run ! ctr task exec --exec-id e5 web true
	ctr task resume web
	ctr task exec --exec-id e6 web true
}

@test "containerd: seccomp, AppArmor, capabilities, read-only root, rlimits" {
	run -0 run_container --rm --seccomp --apparmor-default-profile ctr-default --cap-drop CAP_KILL --read-only c4 sh -c '
		grep -E "^(Seccomp|CapEff):" /proc/self/status; cat /proc/self/attr/current; touch /x || echo read-only'
	has_line $'Seccomp:\t2'
	has_line $'CapEff:\t00000000a80425db'
	has_line 'ctr-default \(enforce\)'
	has_line read-only
}

@test "containerd: a user namespace" {
	run -0 run_container --rm --uidmap 0:100000:65536 --gidmap 0:100000:65536 c5 sh -c 'cat /proc/self/uid_map; id -u'
	[[ ${lines[0]} =~ ^\ +0\ +100000\ +65536$ ]]
	[ "${lines[1]}" = 0 ]
}

@test "containerd: systemd as the cgroup driver" {
	run_container --detach $SYSTEMD --cgroup machine.slice:ctr:c6 --memory-limit 33554432 c6 sleep 10000
	run -0 systemctl show --property MemoryMax --property Slice --property Delegate ctr-c6.scope
	has_line MemoryMax=33554432
	has_line Slice=machine.slice
	has_line Delegate=yes
	ctr task kill --signal KILL c6
	eventually stopped c6
	ctr task delete c6
	ctr container delete c6
	run ! systemctl status ctr-c6.scope
	[[ $output == *'could not be found'* ]]
}

# The engine may lose a race with systemd, and more than one on a slow machine: docs/engines.md.
@test "containerd: an OOM kill of the only process is reported" {
	ctr events >"$BATS_TEST_TMPDIR/events" 3>&- &
	local listener=$! try told=no
	for try in {1..12}; do
		run -137 run_container --rm $SYSTEMD --cgroup "machine.slice:ctr:hog$try" \
			--memory-limit 16777216 "hog$try" tail /dev/zero
		sleep 1
		if grep --quiet "/tasks/oom .*\"hog$try\"" "$BATS_TEST_TMPDIR/events"; then
			told=yes
			break
		fi
	done
	kill "$listener"
	[[ $told == yes ]]
}

stopped() {
	[[ $(ctr task ls | grep "^$1 ") == *STOPPED* ]]
}

@test "containerd: kill, the exit status, and errors for a stopped container" {
	run_container --detach c7 sh -c 'trap "exit 5" TERM; sleep 10000 & while :; do wait; done'
	run ! ctr task start c7
	run ! ctr task delete c7
	ctr task exec --exec-id e7 c7 true
	ctr task kill --signal TERM c7
	eventually stopped c7
	run ! ctr task kill c7
	[[ $output == *'not found'* || $output == *'already finished'* ]]
	run ! ctr task exec --exec-id e8 c7 true
	run ctr task delete c7
	[[ $status == 5 || $output == *'code 5'* || $output == *'status 5'* ]]
	ctr container delete c7
}

@test "containerd: a shim that dies takes its container along, and leaves nothing" {
	run_container --detach c8 sleep 10000
	pid=$(pid_of c8)
	cgroup=$(cgroup_of c8)
	[ -d "$cgroup" ]
	shim=$(ps -o ppid= -p "$pid")
	kill -KILL $shim
	eventually [ ! -e "/proc/$pid" ]
	eventually [ ! -e "$STATE/default/c8" ]
	eventually [ ! -e "$cgroup" ]
	ctr container delete c8
}

@test "containerd: a shim that dies while a container is made leaves nothing" {
	mkdir -p "$BATS_TEST_TMPDIR/rootfs/bin"
	cp /bin/busybox "$BATS_TEST_TMPDIR/rootfs/bin/"
	(cd "$BATS_TEST_TMPDIR" && runtime-cli spec)
	# The runtime waits for this after everything except the program's process is made.
	python3 - "$BATS_TEST_TMPDIR" <<-'END'
		import json, sys
		file = sys.argv[1] + "/config.json"
		c = json.load(open(file))
		c["root"]["path"] = sys.argv[1] + "/rootfs"
		c["process"].update(terminal=False, args=["busybox", "sleep", "10000"])
		c["linux"]["cgroupsPath"] = "/default/c9"
		c["hooks"] = {"createRuntime": [{"path": "/bin/sleep", "args": ["sleep", "4747"]}]}
		json.dump(c, open(file, "w"))
	END
	ctr run --detach $RUNTIME --config "$BATS_TEST_TMPDIR/config.json" c9 >"$BATS_TEST_TMPDIR/log" 2>&1 3>&- &
	eventually pgrep --full 'sleep 4747'
	cgroup=/sys/fs/cgroup/default/c9
	[ -d "$cgroup" ]
	[ -d $STATE/default/c9 ]
	pkill -KILL --full "$PROGRAM .*-id c9 "
	if wait $!; then false; fi
	grep 'failed to create shim task' "$BATS_TEST_TMPDIR/log"
	eventually [ ! -e $STATE/default/c9 ]
	eventually [ ! -e "$cgroup" ]
	run ! pgrep --full 'runtime-cli.* c9'
	run ctr container delete c9
	# The name can be used again.
	run -0 run_container --rm c9 true
	pkill --full 'sleep 4747' || true
}
