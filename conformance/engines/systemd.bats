# SPDX-License-Identifier: Apache-2.0
# systemd as the first process of a container.

load common
load machine

setup_file() {
	systemctl start docker
	docker load --quiet --input /var/tmp/busybox.tar
}

teardown_file() {
	podman rm --force --time 0 machine
	docker rm --force machine
	systemctl stop docker docker.socket
}

@test "systemd: in a container of Podman" {
	podman load --quiet --input /var/tmp/busybox.tar
	podman run --detach --name machine --systemd always --memory 256m $(machine_volumes) busybox $MACHINE
	machine_is_up podman
	scope=$(scope_of podman)
	[ -e "$scope/memory.max" ]
	podman stop --time 100 machine
	machine_is_down podman "$scope"
}

# Docker gives a writable /sys/fs/cgroup to privileged containers only, and stops by SIGTERM,
# which means something else to systemd.
@test "systemd: in a privileged container of Docker" {
	docker run --detach --name machine --privileged --stop-signal SIGRTMIN+3 --tmpfs /run --tmpfs /tmp --memory 256m \
		$(machine_volumes) busybox $MACHINE
	machine_is_up docker
	scope=$(scope_of docker)
	[ -e "$scope/memory.max" ]
	docker stop --time 100 machine
	machine_is_down docker "$scope"
}
