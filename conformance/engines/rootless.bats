# SPDX-License-Identifier: Apache-2.0
# Podman for a user without root. Run by `run` in the user's own systemd.

load common
load machine

setup_file() {
	podman load --quiet --input /var/tmp/busybox.tar
	podman run --detach --name web --hostname inside --memory 64m --pids-limit 50 \
		--health-cmd 'test -e /tmp/healthy' --health-retries 1 \
		busybox sh -c 'trap "exit 5" TERM; echo ready; sleep 10000 & while :; do wait; done'
}

teardown_file() {
	podman rm --force --time 0 web
}

@test "rootless: the runtime is the default, and Podman has no root" {
	run -0 podman info --format '{{.Host.OCIRuntime.Name}} {{.Host.Security.Rootless}} {{.Host.CgroupManager}}'
	[ "$output" = "runtime-cli true systemd" ]
}

@test "rootless: run passes on input, output and exit status" {
	run -7 --separate-stderr podman run --rm --interactive busybox sh -c 'cat; echo wrong >&2; exit 7' <<<right
	[ "$output" = right ]
	[ "$stderr" = wrong ]
	run -127 podman run --rm busybox nosuch
}

@test "rootless: ids, limits, seccomp" {
	run -0 podman exec web sh -c '
		cat /proc/self/uid_map; cd /sys/fs/cgroup; grep -H . memory.max pids.max
		grep -E "^Seccomp:" /proc/self/status; id -u; hostname'
	has_line ' +0 +1000 +1'
	has_line ' +1 +[0-9]+ +65536'
	has_line memory.max:67108864
	has_line pids.max:50
	has_line $'Seccomp:\t2'
	has_line 0
	has_line inside
}

@test "rootless: exec, with a terminal too" {
	run -3 podman exec --user 1000 --workdir /tmp web sh -c 'echo $(pwd) $(id -u); exit 3'
	[ "$output" = '/tmp 1000' ]
	in_terminal 'podman exec -it web sh -c "tty; test -t 0 && echo terminal"'
	has_line '/dev/pts/[0-9]+'
	has_line terminal
}

@test "rootless: the user's own id is kept" {
	mkdir -p "$BATS_TEST_TMPDIR/mine"
	run -0 podman run --rm --userns keep-id --volume "$BATS_TEST_TMPDIR/mine:/mine" busybox sh -c 'id -u; touch /mine/x'
	[ "$output" = 1000 ]
	[ "$(stat -c %u "$BATS_TEST_TMPDIR/mine/x")" = 1000 ]
}

@test "rootless: the user's groups are kept" {
	run -0 podman run --rm --group-add keep-groups busybox id -G
	has_line '0 65534'
	run -0 podman run --rm busybox id -G
	has_line 0
}

@test "rootless: health checks" {
	run -1 podman healthcheck run web
	podman exec web touch /tmp/healthy
	podman healthcheck run web
}

@test "rootless: without a cgroup" {
	podman run --rm --cgroups disabled busybox true
}

@test "rootless: a pod" {
	podman pod create --name pod
	podman run --detach --pod pod --name server busybox httpd -f -p 8080 -h /etc
	run -0 podman run --rm --pod pod busybox wget -q -O - http://127.0.0.1:8080/passwd
	has_line 'root:.*'
	podman pod rm --force --time 0 pod
}

@test "rootless: pause, unpause, stop" {
	podman pause web
	podman unpause web
	podman stop web
	run -0 podman inspect --format '{{.State.Status}} {{.State.ExitCode}}' web
	[ "$output" = 'exited 5' ]
	podman start web
}

@test "rootless: systemd in a container" {
	podman run --detach --name machine --systemd always $(machine_volumes) busybox $MACHINE
	machine_is_up podman
	scope=$(scope_of podman)
	[ -e "$scope/memory.max" ]
	podman stop --time 100 machine
	machine_is_down podman "$scope"
}
