# SPDX-License-Identifier: Apache-2.0
# Podman as root.

load common

setup_file() {
	podman load --quiet --input /var/tmp/busybox.tar
	podman run --detach --name web --hostname inside --init \
		--memory 64m --cpus 0.5 --pids-limit 50 --cap-drop all --read-only --read-only-tmpfs=false \
		--tmpfs /tmp:size=1m --volume data:/data --ulimit nofile=100:200 \
		--health-cmd 'test -e /tmp/healthy' --health-retries 1 \
		busybox sh -c 'trap "echo got USR1" USR1; trap "exit 5" TERM; echo ready; sleep 10000 & while :; do wait; done'
}

teardown_file() {
	podman rm --force --time 0 web
}

@test "podman: the runtime is the default" {
	run -0 podman info --format '{{.Host.OCIRuntime.Name}} {{.Host.OCIRuntime.Path}} {{.Host.CgroupManager}}'
	[ "$output" = "runtime-cli /usr/local/bin/runtime-cli systemd" ]
}

@test "podman: run passes on input, output and exit status" {
	run -7 --separate-stderr podman run --rm --interactive busybox sh -c 'cat; echo wrong >&2; exit 7' <<<right
	[ "$output" = right ]
	[ "$stderr" = wrong ]
}

@test "podman: a program that is not there is 127, one that cannot be executed 126" {
	run -127 podman run --rm busybox nosuch
	[[ $output == *'executable file `nosuch` not found in $PATH'* || $output == *'executable file not found in $PATH'* ]]
	run -126 podman run --rm busybox /etc/passwd
}

@test "podman: a terminal, as large as the caller's" {
	in_terminal 'stty rows 33 cols 77; podman run --rm -it busybox sh -c "sleep 2; tty; stty size; exit 5"; echo "status $?"'
	has_line /dev/pts/0
	has_line '33 77'
	has_line 'status 5'
}

@test "podman: limits, capabilities, read-only root, tmpfs, volume, rlimits, LSM and seccomp are those of the flags" {
	run -0 podman exec web sh -c '
		cd /sys/fs/cgroup; grep -H . memory.max cpu.max pids.max
		grep -E "^(CapEff|CapBnd|Seccomp):" /proc/self/status
		touch /x || echo read-only; touch /tmp/x /data/x && echo writable
		hostname; ulimit -n; ulimit -Hn; cat /proc/self/attr/current'
	has_line memory.max:67108864
	has_line 'cpu.max:50000 100000'
	has_line pids.max:50
	has_line $'CapEff:\t0000000000000000'
	has_line $'CapBnd:\t0000000000000000'
	has_line $'Seccomp:\t2'
	has_line read-only
	has_line writable
	has_line inside
	has_line 100
	has_line 200
	has_line 'containers-default-.* \(enforce\)'
}

@test "podman: a dry run of its bundle shows what the flags ask for, and makes nothing" {
	run -0 ./dry-run "$(dirname "$(podman inspect --format '{{.OCIConfigPath}}' web)")"
	has_line 'runtime +MakeCgroup +let systemd start dry-run.scope around the init: .*'
	has_line 'runtime +Limits +write "67108864" to /sys/fs/cgroup/system.slice/dry-run.scope/memory.max'
	has_line 'runtime +Limits +write "50000 100000" to /sys/fs/cgroup/system.slice/dry-run.scope/cpu.max'
	has_line 'init +Mount +tmpfs on /tmp type tmpfs \(.*size=1m.*\)'
	has_line 'init +Hostname +set hostname: inside'
	has_line 'init +ReadonlyRootfs .*'
	has_line 'init +Rlimit +set the soft limit of RLIMIT_NOFILE to 100, and the hard limit to 200'
	has_line 'init +Capabilities +effective: none; .*'
	has_line 'init +Seccomp +load the system call filter: [0-9]{3} instructions.*'
	has_line 'init +Mount +/var/lib/containers/storage/volumes/data/_data.* on /data \(.*\)'
	has_line 'stage +Join +join the network namespace /run/netns/.*'
}

@test "podman: exec with environment, directory, user and exit status" {
	run -3 podman exec --env A=b --workdir /tmp --user 1000:1000 web sh -c 'echo $A $(pwd) $(id -u):$(id -g); exit 3'
	[ "$output" = 'b /tmp 1000:1000' ]
	run -127 podman exec web nosuch
	run -126 podman exec web /etc/passwd
	in_terminal 'podman exec -it web sh -c "tty; test -t 0 && echo terminal"'
	has_line '/dev/pts/[0-9]+'
	has_line terminal
}

@test "podman: health checks" {
	run -1 podman healthcheck run web
	podman exec web touch /tmp/healthy
	podman healthcheck run web
}

@test "podman: pause and unpause, update, stats, top" {
	podman pause web
	run -0 podman inspect --format '{{.State.Status}}' web
	[ "$output" = paused ]
	run ! podman exec web true
	podman unpause web
	podman update --memory 96m --cpus 0.75 web
	run -0 podman exec web sh -c 'cd /sys/fs/cgroup; grep -H . memory.max cpu.max pids.max'
	has_line memory.max:100663296
	has_line 'cpu.max:75000 100000'
	has_line pids.max:50
	run -0 podman stats --no-stream --format '{{.Name}} {{.MemUsage}}' web
	[[ $output == 'web '*'/ 100.7MB' ]]
	run -0 podman top web hpid pid comm
	[[ $output == *sleep* ]]
}

@test "podman: kill with a signal, stop, start again" {
	podman kill --signal USR1 web
	eventually logged 'got USR1'
	podman stop web
	run -0 podman inspect --format '{{.State.Status}} {{.State.ExitCode}}' web
	[ "$output" = 'exited 5' ]
	run ! podman exec web true
	podman start web
	podman exec web true
}

logged() {
	podman logs web 2>&1 | grep -q -x -e "$1"
}

@test "podman: a pod" {
	podman pod create --name pod --hostname pod
	podman run --detach --pod pod --name server busybox httpd -f -p 80 -h /etc
	run -0 podman run --rm --pod pod busybox sh -c 'wget -q -O - http://127.0.0.1/passwd; hostname'
	has_line 'root:.*'
	has_line pod
	podman pod pause pod
	podman pod unpause pod
	podman pod rm --force --time 0 pod
}

@test "podman: user namespaces" {
	run -0 podman run --rm --uidmap 0:100000:65536 busybox sh -c 'cat /proc/self/uid_map; id -u; touch /x && echo written'
	[[ ${lines[0]} =~ ^\ +0\ +100000\ +65536$ ]]
	[ "${lines[1]}" = 0 ]
	[ "${lines[2]}" = written ]
	run -0 podman run --rm --uidmap 0:100000:65536 --volume data:/data:idmap busybox sh -c 'stat -c %u /data'
	[ "$output" = 0 ]
}

@test "podman: cgroups" {
	run -0 podman run --rm --cgroup-parent /test.slice --cgroupns host busybox cat /proc/self/cgroup
	[[ $output == 0::*/test.slice/* ]]
	run -0 podman --cgroup-manager cgroupfs run --rm --memory 64m busybox cat /sys/fs/cgroup/memory.max
	[ "$output" = 67108864 ]
	run -0 systemd-run --quiet --wait --pipe --property Delegate=yes --unit split podman run --rm --cgroups split --cgroupns host busybox cat /proc/self/cgroup
	[[ $output == 0::/system.slice/split.service/* ]]
}

@test "podman: without a cgroup" {
	run -0 podman run --rm --cgroups disabled --cgroupns host busybox cat /proc/self/cgroup
	[ "$output" = "$(cat /proc/self/cgroup)" ]
}

@test "podman: descriptors, notification, devices, sysctls" {
	run -0 podman run --rm --preserve-fds 1 busybox cat /proc/self/fd/3 3<<<given
	[ "$output" = given ]
	run -0 podman run --rm --device /dev/fuse --sysctl net.ipv4.ip_forward=0 --shm-size 1m --group-add 7 busybox sh -c \
		': <>/dev/fuse && echo opened; cat /proc/sys/net/ipv4/ip_forward; df /dev/shm | tail -n 1; id -G'
	has_line opened
	has_line 0
	has_line 'shm +1024 .*'
	has_line '(.* )?7'
	run -0 podman run --rm --privileged busybox sh -c 'grep -E "^Seccomp:" /proc/self/status; mount -t tmpfs x /mnt && echo mounted'
	has_line $'Seccomp:\t0'
	has_line mounted
}

@test "podman: an OOM kill is reported as the reason" {
	knows_out_of_memory podman
}
