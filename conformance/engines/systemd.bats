# SPDX-License-Identifier: Apache-2.0
# systemd as the first process of a container.

load common
load machine

teardown_file() {
	podman rm --force --time 0 machine
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
