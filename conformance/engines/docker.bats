# SPDX-License-Identifier: Apache-2.0
# Docker, with this runtime as its default runtime.

load common

# The default runtime of the page that `run` has configured Docker with.
RUNTIME=${SHIM:+runtime-core}
RUNTIME=${RUNTIME:-runtime-cli}

setup_file() {
	# BuildKit uses the runtime with the name runc.
	printf '#!/bin/sh\necho "$*" >>/run/runc.log\nexec /usr/local/bin/runtime-cli "$@"\n' >/usr/local/sbin/runc
	chmod +x /usr/local/sbin/runc
	systemctl start docker
	docker load --quiet --input /var/tmp/busybox.tar
	docker run --detach --name web --hostname inside --init \
		--memory 64m --cpus 0.5 --pids-limit 50 --cap-drop ALL --read-only \
		--tmpfs /tmp:size=1m --volume data:/data --ulimit nofile=100:200 \
		--health-cmd 'test -e /tmp/healthy' --health-interval 2s --health-retries 1 \
		busybox sh -c 'trap "echo got USR1" USR1; echo ready; sleep 10000 & while :; do wait; done'
}

teardown_file() {
	docker rm --force web >/dev/null
	systemctl stop docker docker.socket
	rm /usr/local/sbin/runc
}

@test "docker: the runtime is the default, and prints its version" {
	run -0 docker info --format '{{.DefaultRuntime}} {{.CgroupDriver}} {{.CgroupVersion}} {{.Warnings}}'
	[ "$output" = "$RUNTIME systemd 2 []" ]
}

@test "docker: run passes on input, output and exit status" {
	run -7 --separate-stderr docker run --rm --interactive busybox sh -c 'cat; echo wrong >&2; exit 7' <<<right
	[ "$output" = right ]
	[ "$stderr" = wrong ]
}

@test "docker: a program that is not there is 127, one that cannot be executed 126" {
	run -127 docker run --rm busybox nosuch
	run -127 docker run --rm busybox /no/such
	run -126 docker run --rm busybox /etc/passwd
	run -126 docker run --rm busybox /etc
}

@test "docker: a terminal, as large as the caller's" {
	in_terminal 'stty rows 33 cols 77; docker run --rm -it busybox sh -c "sleep 2; tty; stty size; exit 5"; echo "status $?"'
	has_line /dev/pts/0
	has_line '33 77'
	has_line 'status 5'
}

@test "docker: limits, capabilities, read-only root, tmpfs, volume, rlimits, LSM and seccomp are those of the flags" {
	run -0 docker exec web sh -c '
		cd /sys/fs/cgroup; grep -H . memory.max cpu.max pids.max
		grep -E "^(CapEff|CapBnd|Seccomp|NoNewPrivs):" /proc/self/status
		touch /x || echo read-only; touch /tmp/x /data/x && echo writable
		dd if=/dev/zero of=/tmp/big bs=64k count=32 2>/dev/null || echo "tmpfs is full"; rm /tmp/big
		hostname; ulimit -n; ulimit -Hn; cat /proc/self/attr/current; head -n 1 /proc/1/cmdline | tr "\0" "\n" | head -n 1'
	has_line memory.max:67108864
	has_line 'cpu.max:50000 100000'
	has_line pids.max:50
	has_line $'CapEff:\t0000000000000000'
	has_line $'CapBnd:\t0000000000000000'
	has_line $'Seccomp:\t2'
	has_line read-only
	has_line writable
	has_line 'tmpfs is full'
	has_line inside
	has_line 100
	has_line 200
	has_line 'docker-default \(enforce\)'
	has_line /sbin/docker-init
}

@test "docker: a dry run of its bundle shows what the flags ask for, and makes nothing" {
	run -0 ./dry-run "/run/containerd/io.containerd.runtime.v2.task/moby/$(docker inspect --format '{{.Id}}' web)"
	has_line 'runtime +MakeCgroup +let systemd start dry-run.scope around the init: .*'
	has_line 'runtime +Limits +write "67108864" to /sys/fs/cgroup/system.slice/dry-run.scope/memory.max'
	has_line 'runtime +Limits +write "50000 100000" to /sys/fs/cgroup/system.slice/dry-run.scope/cpu.max'
	has_line 'init +Mount +tmpfs on /tmp type tmpfs \(.*size=1m.*\)'
	has_line 'init +Hostname +set hostname: inside'
	has_line 'init +ReadonlyRootfs .*'
	has_line 'init +Rlimit +set the soft limit of RLIMIT_NOFILE to 100, and the hard limit to 200'
	has_line 'init +Capabilities +effective: none; .*'
	has_line 'init +Seccomp +load the system call filter: [0-9]{3} instructions.*'
	has_line 'init +Mount +/var/lib/docker/volumes/data/_data with its mounts on /data \(.*\)'
	has_line 'init +Label +write "exec docker-default" to /proc/self/attr/.*'
}

@test "docker: exec with environment, directory, user and exit status" {
	run -3 docker exec --env A=b --workdir /tmp --user 1000:1000 web sh -c 'echo $A $(pwd) $(id -u):$(id -g); exit 3'
	[ "$output" = 'b /tmp 1000:1000' ]
	run -0 docker exec --interactive web cat <<<input
	[ "$output" = input ]
	# The status, 126 or 127, depends on the release of Docker.
	run docker exec web nosuch
	[[ $status = 12[67] && $output == *'executable file not found'* ]]
	run -126 docker exec web /etc/passwd
	[[ $output == *'permission denied'* ]]
}

@test "docker: exec with a terminal" {
	in_terminal 'docker exec -it web sh -c "tty; test -t 0 && echo terminal"'
	has_line '/dev/pts/[0-9]+'
	has_line terminal
}

@test "docker: health checks" {
	eventually health_is unhealthy
	docker exec web touch /tmp/healthy
	eventually health_is healthy
}

health_is() {
	[ "$(docker inspect --format '{{.State.Health.Status}}' web)" = "$1" ]
}

@test "docker: pause and unpause" {
	docker pause web
	run -0 docker inspect --format '{{.State.Status}}' web
	[ "$output" = paused ]
	run -1 docker exec web true
	docker unpause web
	docker exec web true
}

@test "docker: update" {
	docker update --memory 96m --memory-swap 96m --cpus 0.75 --pids-limit 60 web
	run -0 docker exec web sh -c 'cd /sys/fs/cgroup; grep -H . memory.max cpu.max pids.max'
	has_line memory.max:100663296
	has_line 'cpu.max:75000 100000'
	has_line pids.max:60
}

@test "docker: stats, top, logs" {
	run -0 docker stats --no-stream --format '{{.Name}} {{.MemUsage}} {{.PIDs}}' web
	[[ $output =~ ^web\ [0-9.]+[KM]iB\ /\ 96MiB\ [1-9] ]]
	run -0 docker top web
	[[ $output == *'docker-init'* && $output == *'trap "echo got USR1"'* ]]
	run -0 docker logs web
	has_line ready
}

@test "docker: kill with a signal, stop, start again" {
	docker run --detach --name trap busybox sh -c 'trap "echo got USR1" USR1; trap "exit 5" TERM; echo ready; sleep 10000 & while :; do wait; done'
	eventually logged trap ready
	docker kill --signal USR1 trap
	eventually logged trap 'got USR1'
	docker stop --time 20 trap
	run -0 docker inspect --format '{{.State.Status}} {{.State.ExitCode}}' trap
	[ "$output" = 'exited 5' ]
	run -1 docker kill trap
	[[ $output == *'is not running'* ]]
	run -1 docker exec trap true
	[[ $output == *'is not running'* ]]
	docker start trap
	run -0 docker inspect --format '{{.State.Status}}' trap
	[ "$output" = running ]
	docker rm --force trap
}

logged() {
	docker logs "$1" 2>&1 | grep -q -x -e "$2"
}

@test "docker: stop kills a process that does not end" {
	docker run --detach --name deaf busybox sh -c 'trap "" TERM; sleep 10000'
	docker stop --time 1 deaf
	run -0 docker inspect --format '{{.State.ExitCode}}' deaf
	[ "$output" = 137 ]
	docker rm deaf
}

@test "docker: restart policies" {
	docker run --detach --name again --restart on-failure:2 busybox sh -c 'echo try; exit 4'
	eventually exited again
	run -0 docker inspect --format '{{.RestartCount}} {{.State.ExitCode}}' again
	[ "$output" = '2 4' ]
	run -0 docker logs again
	[ "$output" = $'try\ntry\ntry' ]
	docker rm again
}

exited() {
	[ "$(docker inspect --format '{{.State.Status}}' "$1")" = exited ]
}

@test "docker: an OOM kill is reported as the reason" {
	knows_out_of_memory docker
}

@test "docker: namespaces of the host and of another container" {
	run -0 docker run --rm --pid host --net host --ipc host --uts host busybox sh -c \
		'readlink /proc/self/ns/pid; readlink /proc/self/ns/net; readlink /proc/self/ns/ipc; readlink /proc/self/ns/uts'
	[ "$output" = "$(readlink /proc/self/ns/pid /proc/self/ns/net /proc/self/ns/ipc /proc/self/ns/uts)" ]
	run -0 docker run --rm --pid container:web --net container:web busybox sh -c 'hostname; ps'
	[[ $output == *'trap "echo got USR1"'* ]]
}

@test "docker: devices, sysctls, /dev/shm, a profile of seccomp, privileges" {
	run -0 docker run --rm --device /dev/fuse --sysctl net.ipv4.ip_forward=0 --shm-size 1m --group-add 7 busybox sh -c \
		'ls -l /dev/fuse; : <>/dev/fuse && echo opened; cat /proc/sys/net/ipv4/ip_forward; df /dev/shm | tail -n 1; id -G'
	has_line opened
	has_line 0
	has_line 'shm +1024 .*'
	has_line '(.* )?7'
	echo '{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 5}]}' >"$BATS_TEST_TMPDIR/profile"
	run -1 docker run --rm --security-opt "seccomp=$BATS_TEST_TMPDIR/profile" busybox mkdir /x
	[[ $output == *'Input/output error'* || $output == *'I/O error'* ]]
	run -0 docker run --rm --privileged busybox sh -c 'grep -E "^(CapEff|Seccomp):" /proc/self/status; mount -t tmpfs x /mnt 2>&1 || mkdir /mnt && mount -t tmpfs x /mnt && echo mounted'
	has_line $'Seccomp:\t0'
	has_line mounted
}

@test "docker: build" {
	printf 'FROM busybox\nRUN echo built >/file && test $$ -lt 10\nWORKDIR /new\nUSER 1000\nCMD cat /file; pwd; id -u\n' >"$BATS_TEST_TMPDIR/Dockerfile"
	DOCKER_BUILDKIT=0 docker build --quiet --tag built "$BATS_TEST_TMPDIR"
	run -0 docker run --rm built
	[ "$output" = $'built\n/new\n1000' ]
}

@test "docker: build with BuildKit" {
	cat >"$BATS_TEST_TMPDIR/Dockerfile" <<-'END'
		FROM busybox
		RUN --mount=type=cache,target=/cache --mount=type=tmpfs,target=/scratch --network=none \
			touch /cache/x /scratch/x && test $$ -lt 10 && test "$(ls /sys/class/net)" = lo && echo built >/file
		RUN test ! -e /cache/x && ls -A /sys/class/net | grep -q eth0
		WORKDIR /new
		USER 1000
		RUN test "$(id -u)" = 1000 && ! touch /file
		CMD cat /file; pwd; id -u
	END
	DOCKER_BUILDKIT=1 docker build --tag kit "$BATS_TEST_TMPDIR"
	[ "$(grep -c '\<run\>' /run/runc.log)" = 3 ]
	run -0 docker run --rm kit
	[ "$output" = $'built\n/new\n1000' ]
	printf 'FROM busybox\nRUN echo wrong >&2; exit 3\n' >"$BATS_TEST_TMPDIR/Dockerfile"
	run -1 env DOCKER_BUILDKIT=1 docker build "$BATS_TEST_TMPDIR"
	[[ $output == *wrong* && $output == *'exit code: 3'* ]]
}

@test "docker: user namespaces" {
	systemctl stop docker
	cp /etc/docker/daemon.json "$BATS_TEST_TMPDIR/before"
	sed -i '1s/{/{ "userns-remap": "user",/' /etc/docker/daemon.json
	systemctl start docker
	docker load --quiet --input /var/tmp/busybox.tar
	run -0 docker run --rm --memory 64m busybox sh -c 'cat /proc/self/uid_map; id -u; touch /x && echo written; cat /sys/fs/cgroup/memory.max'
	first=$(sed -n 's/^user:\([0-9]*\):.*/\1/p' /etc/subuid)
	[[ ${lines[0]} =~ ^\ +0\ +$first\ +65536$ ]]
	[ "${lines[1]}" = 0 ]
	[ "${lines[2]}" = written ]
	[ "${lines[3]}" = 67108864 ]
	run -0 docker run --rm --userns host busybox cat /proc/self/uid_map
	[[ $output =~ ^\ +0\ +0\ +4294967295$ ]]
	systemctl stop docker
	cp "$BATS_TEST_TMPDIR/before" /etc/docker/daemon.json
	systemctl start docker
}
