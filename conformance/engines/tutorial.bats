# SPDX-License-Identifier: Apache-2.0
# The exercises of a tutorial about containers, with Docker.

load common

setup_file() {
	systemctl start docker
	docker load --quiet --input /var/tmp/busybox.tar
}

teardown_file() {
	docker ps --all --quiet | xargs --no-run-if-empty docker rm --force >/dev/null
	systemctl stop docker docker.socket
}

@test "tutorial: one process, pid 1 from the inside, a normal one from the outside" {
	docker run --detach --name one busybox sleep 4242
	run -0 docker exec one ps -o pid,args
	has_line ' +1 sleep 4242'
	run -0 pgrep --full --exact 'sleep 4242'
	((output > 1))
	has_line "$(docker inspect --format '{{.State.Pid}}' one)"
	run -0 grep NSpid "/proc/$output/status"
	[[ $output =~ [[:space:]]1$ ]]
}

@test "tutorial: three servers, all of them on port 80" {
	for n in 1 2 3; do
		docker run --detach --name "server$n" --publish "809$n:80" busybox sh -c "echo number $n >/www/index.html; exec httpd -f -p 80 -h /www"
	done
	for n in 1 2 3; do
		eventually answers "$n"
	done
}

answers() {
	[ "$(busybox wget -q -O - "http://127.0.0.1:809$1/")" = "number $1" ]
}

@test "tutorial: data goes with the container, and stays in a volume" {
	docker run --name writer --volume kept:/kept busybox sh -c 'echo gone >/file; echo kept >/kept/file'
	docker rm writer
	run -0 docker run --rm --volume kept:/kept busybox sh -c 'ls /file; cat /kept/file'
	has_line kept
	[[ $output == *'No such file'* ]]
}

@test "tutorial: a process above its memory limit is killed, and no other" {
	docker run --detach --name witness busybox sleep 10000
	before=$(docker inspect --format '{{.State.Pid}}' witness)
	run -137 docker run --name hog --memory 32m --memory-swap 32m busybox sh -c 'tail /dev/zero; exit $?'
	run -0 docker inspect --format '{{.State.OOMKilled}}' hog
	[ "$output" = true ]
	run -0 docker inspect --format '{{.State.Running}} {{.State.Pid}}' witness
	[ "$output" = "true $before" ]
}

@test "tutorial: a fork bomb is stopped by its limit" {
	run ! docker run --rm --pids-limit 20 busybox sh -c 'for i in $(seq 40); do sleep 30 & done; wait'
	[[ $output == *"can't fork"* ]]
}

@test "tutorial: a busy loop gets no more than its share" {
	docker run --detach --name busy --cpus 0.2 busybox sh -c 'while :; do :; done'
	cgroup=/sys/fs/cgroup$(sed 's/^0:://' "/proc/$(docker inspect --format '{{.State.Pid}}' busy)/cgroup")
	from=$(awk '/^usage_usec/ { print $2 }' "$cgroup/cpu.stat")
	sleep 5
	to=$(awk '/^usage_usec/ { print $2 }' "$cgroup/cpu.stat")
	# One second of five, and a quarter more for the coarse clock.
	((to - from < 1250000 && to - from > 500000))
}
