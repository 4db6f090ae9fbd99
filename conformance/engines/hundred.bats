# SPDX-License-Identifier: Apache-2.0
# A hundred containers from one image, with Docker.

load common

COUNT=${COUNT:-100}

setup_file() {
	# Emulated on a busy machine, the removal alone takes longer than the limit of other tests.
	export BATS_TEST_TIMEOUT=900
	systemctl start docker
	docker load --quiet --input /var/tmp/busybox.tar
	before=$(used)
	seq "$COUNT" | xargs -P 4 -I N docker run --detach --network none --name c-N --hostname host-N busybox \
		sh -c 'hostname >/tmp/mine; exec sleep 10000' >/dev/null
	echo "$((($(used) - before) / COUNT))" >"$BATS_FILE_TMPDIR/each"
}

# Checks that the daemon never had the runtime delete what is left in the directory of records. It
# waits 30 s for containerd to delete a container that has ended, then forgets the container: on a
# busy emulated machine that is too short, and the runtime is not called (docs/engines.md).
only_what_docker_gave_up() {
	local id daemon
	daemon=$(journalctl --unit docker --output cat)
	for id in $(ls "$1"); do
		ls -l "$1/$id"
		grep "failed to delete container from containerd.*$id" <<<"$daemon" ||
			{ echo "left by the runtime: $id"; return 1; }
	done
}

# The size of the containers' files on the disk, in kB.
used() {
	du --summarize --one-file-system /var/lib/docker/overlay2 | cut -f 1
}

teardown_file() {
	docker ps --all --quiet | xargs --no-run-if-empty docker rm --force >/dev/null
	systemctl stop docker docker.socket
}

@test "hundred: all of them run" {
	[ "$(docker ps --quiet | wc -l)" = "$COUNT" ]
	[ "$(pgrep --full --exact --count 'sleep 10000')" = "$COUNT" ]
	# The directory that must be empty of them in the end.
	[ "$(ls /run/docker/runtime-runc/moby | wc -l)" = "$COUNT" ]
}

@test "hundred: each has its own file, and none a copy of the image" {
	for n in 1 50 "$COUNT"; do
		[ "$(docker exec "c-$n" cat /tmp/mine)" = "host-$n" ]
	done
	# The image has 2 MB; a container has only directories and a few small files.
	(($(cat "$BATS_FILE_TMPDIR/each") < 200))
}

@test "hundred: nothing of them is left" {
	docker ps --quiet | xargs -P 4 -n 10 docker rm --force >/dev/null
	[ -z "$(pgrep --full 'sleep 10000')" ]
	only_what_docker_gave_up /run/docker/runtime-runc/moby
	[ -z "$(find /sys/fs/cgroup/system.slice -maxdepth 1 -name 'docker-*.scope')" ]
	run ! grep /var/lib/docker/overlay2/ /proc/self/mounts
}
