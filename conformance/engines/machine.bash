# SPDX-License-Identifier: Apache-2.0
# A container with systemd as its first process: this machine's systemd, on the image of busybox.

# The command starts the units of the machine that ready.target wants.
MACHINE='/usr/lib/systemd/systemd --unit=ready.target'

# The volumes that systemd needs.
machine_volumes() {
	local units=$BATS_FILE_TMPDIR/units
	mkdir -p "$units"
	printf '[Unit]\nWants=limited.service\nAfter=limited.service\n' >"$units/ready.target"
	printf '[Service]\nExecStart=/usr/bin/sleep infinity\nMemoryMax=50M\n' >"$units/limited.service"
	# /lib and /lib64 are links of the image: before its end systemd unmounts everything except /usr,
	# and then executes a program that needs them.
	echo "--volume /usr:/usr:ro --volume $units:/etc/systemd/system"
}

# machine_is_up ENGINE: waits until systemd has made cgroups for its units and answers.
machine_is_up() {
	eventually "$1" exec machine /usr/bin/systemctl is-active ready.target
	run -0 "$1" exec machine cat /proc/1/comm
	[ "$output" = systemd ]
	"$1" exec machine /usr/bin/systemctl restart limited.service
	run -0 "$1" exec machine /usr/bin/systemctl is-active limited.service
	run -0 "$1" exec machine cat /sys/fs/cgroup/system.slice/limited.service/memory.max
	[ "$output" = 52428800 ]
}

# scope_of ENGINE: prints the directory of the container's scope.
scope_of() {
	local pid
	pid=$("$1" inspect --format '{{.State.Pid}}' machine)
	sed 's|^0::\(.*/[a-z]*-[0-9a-f]*\.scope\).*|/sys/fs/cgroup\1|' "/proc/$pid/cgroup"
}

# machine_is_down ENGINE SCOPE: waits until systemd has exited, and its scope is gone.
machine_is_down() {
	run -0 "$1" inspect --format '{{.State.Status}} {{.State.ExitCode}}' machine
	# If it may, systemd ends by reboot(2), which sends a signal to its parent.
	[[ $output = 'exited 0' || $output = 'exited 130' ]]
	"$1" rm machine
	eventually [ ! -e "$2" ]
}
