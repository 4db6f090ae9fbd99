# SPDX-License-Identifier: Apache-2.0
# Checkpoint and restore with CRIU, by the command line, and with Podman and containerd.

load common

setup() {
	mkdir -p "$BATS_TEST_TMPDIR"/{bundle/rootfs/bin,state,one,two}
	cd "$BATS_TEST_TMPDIR/bundle"
	for name in sh sleep cat mount ip chmod grep rm; do cp /bin/busybox "rootfs/bin/$name"; done
	runtime-cli spec
	# In a subshell: busybox 1.38 starts other programs by vfork, in which CRIU cannot stop a process.
	cat >rootfs/count <<-'END'
		trap "exit 7" TERM
		i=0
		while true; do i=$((i + 1)); echo $i >/dev/shm/n; (sleep 0.1); done
	END
	edit 'c["process"].update(terminal=False, args=["sh", "/count"])'
	edit 'c["linux"]["cgroupsPath"] = "/checkpoint"'
}

teardown() {
	runtime delete --force c
	runtime delete --force other
	# A container that is left has the descriptors of bats, which would wait for its end.
	[ -z "${with_podman:-}" ] || command podman rm --force --time 0 counter twin
}

# Changes the configuration `c`.
edit() {
	python3 -c '
import json, sys
c = json.load(open("config.json"))
exec(sys.argv[1])
json.dump(c, open("config.json", "w"))' "$1"
}

# Adds a bind mount.
bind() {
	edit 'c["mounts"].append({"destination": "'"$2"'", "source": "'"$1"'", "options": ["rbind", "'"$3"'"]})'
}

# Adds a hook that writes the state into the file with its name.
hook() {
	edit 'c.setdefault("hooks", {})["'"$1"'"] = [{"path": "/bin/sh", "args": ["sh", "-c", "cat >'"$BATS_TEST_TMPDIR/$1"'"]}]'
}

runtime() {
	runtime-cli --root "$BATS_TEST_TMPDIR/state" "$@"
}

start() {
	runtime run --detach c </dev/null >/dev/null 2>&1
	eventually counts_beyond c 2
}

# Prints the number that the container has counted to.
counted() {
	runtime exec "$1" cat /dev/shm/n
}

# The file is empty for a moment when a number is written.
counts_beyond() {
	local number
	number=$(counted "$1")
	[ -n "$number" ] && [ "$number" -gt "$2" ]
}

checkpoint() {
	runtime checkpoint --image-path "$BATS_TEST_TMPDIR/images" --work-path "$BATS_TEST_TMPDIR/work" "$@"
}

restore() {
	runtime restore --detach --image-path "$BATS_TEST_TMPDIR/images" --work-path "$BATS_TEST_TMPDIR/work" \
		"$@" </dev/null >/dev/null
}

is() {
	[ "$(runtime state "$1" | python3 -c 'import json, sys; print(json.load(sys.stdin)["status"])')" = "$2" ]
}

nothing_is_left() {
	[ -z "$(ls "$BATS_TEST_TMPDIR/state")" ]
	[ ! -e /sys/fs/cgroup/checkpoint ]
	run ! grep criu-root /proc/self/mounts
	eventually no_criu
}

no_criu() {
	! pgrep --exact criu >/dev/null
}

@test "checkpoint: a container goes on counting under another id" {
	start
	checkpoint c
	nothing_is_left
	restore --pid-file pid other
	counts_beyond other 2
	last=$(counted other)
	eventually counts_beyond other "$last"
	grep -x 0::/checkpoint "/proc/$(cat pid)/cgroup"
	# It is a container in every respect.
	runtime pause other
	is other paused
	runtime resume other
	runtime update --pids-limit 50 other
	[ "$(cat /sys/fs/cgroup/checkpoint/pids.max)" = 50 ]
	runtime events --stats other | grep '"current"'
	runtime kill other TERM
	eventually is other stopped
	runtime delete other
	nothing_is_left
}

@test "checkpoint: again and again" {
	start
	for id in other c other; do
		checkpoint "$([ $id = c ] && echo other || echo c)"
		restore $id
	done
	counts_beyond other 2
}

@test "checkpoint: a container that is left running, or was paused" {
	start
	checkpoint --leave-running c
	is c running
	last=$(counted c)
	eventually counts_beyond c "$last"
	runtime pause c
	checkpoint --leave-running c
	is c paused
	runtime resume c
	eventually counts_beyond c "$last"
}

@test "checkpoint: the root, the masks and lo are what they were" {
	start
	places() {
		runtime exec "$1" cat /proc/self/mountinfo | grep -E ' (/|/proc/keys|/proc/acpi|/sys/firmware) ' |
			awk '{ print $5, $6 }' | sort
	}
	before=$(places c)
	checkpoint c
	restore c
	[ "$(places c)" = "$before" ]
	[[ $before == '/ ro,'* ]]
	runtime exec c ip address | grep 'lo: <LOOPBACK,UP'
	run ! runtime exec c chmod 777 /proc/keys
}

@test "checkpoint: bind mounts have the sources of the new configuration" {
	echo one >"$BATS_TEST_TMPDIR/one/f" && echo two >"$BATS_TEST_TMPDIR/two/f"
	ln -s real rootfs/link && mkdir rootfs/real
	# CRIU compares texts of paths, if the mount of the source is shared.
	mount --make-shared / || true
	bind "$BATS_TEST_TMPDIR/./one" /data ro
	bind "$BATS_TEST_TMPDIR/one/f" /link/file rw
	start
	checkpoint c
	sed -i "s|/one|/two|g" config.json
	rm -r rootfs/data rootfs/real/file
	restore c
	run -0 runtime exec c cat /data/f /link/file
	echo "$output"
	[ "$output" = $'two\ntwo' ]
	run ! runtime exec c sh -c 'echo x >/data/g'
	[ "$(ls "$BATS_TEST_TMPDIR/two")" = f ]
}

@test "checkpoint: bind mounts are as restricted as the new configuration says" {
	bind "$BATS_TEST_TMPDIR/one" /data rw
	start
	checkpoint c
	edit 'c["mounts"][-1]["options"] = ["rbind", "ro", "nosuid"]'
	restore c
	run -0 runtime exec c grep ' /data ' /proc/self/mountinfo
	echo "$output"
	[[ $output == *' /data ro,nosuid'[,\ ]* ]]
	run ! runtime exec c sh -c 'echo x >/data/f'
}

@test "checkpoint: a source that becomes another one is not mounted" {
	bind "$BATS_TEST_TMPDIR/one" /data rw
	start
	checkpoint c
	hook createRuntime
	edit 'c["hooks"]["createRuntime"][0]["args"] = ["sh", "-c", "cd '"$BATS_TEST_TMPDIR"'; mv one old; mv two one"]'
	run -1 restore c
	[[ $output == *'mounts['*']: the restored mount: check of the source: '* ]]
	nothing_is_left
}

@test "checkpoint: the parameters of a new network namespace are set" {
	edit 'c["linux"]["sysctl"] = {"net.ipv4.ip_unprivileged_port_start": "77"}'
	start
	checkpoint c
	restore c
	run -0 runtime exec c cat /proc/sys/net/ipv4/ip_unprivileged_port_start
	[ "$output" = 77 ]
}

# Makes the interface that the configuration names. A machine without dummy interfaces has pairs.
interface() {
	edit 'c["linux"]["netDevices"] = {"checkpoint0": {"name": "eth7"}}'
	add_interface
}

add_interface() {
	ip link add checkpoint0 type dummy || ip link add checkpoint0 type veth peer name checkpoint1
	ip address add 192.0.2.7/24 dev checkpoint0
}

@test "checkpoint: a network device is moved again, or is still in the namespace that is joined" {
	interface
	start
	checkpoint c
	# It has ended with the namespace of the container.
	run -1 restore c
	[[ $output == *'linux.netDevices.checkpoint0: the host has no such interface'* ]]
	nothing_is_left
	ip link delete checkpoint1 2>/dev/null || true
	add_interface
	restore c
	runtime exec c ip address show eth7 | grep 192.0.2.7/24
	run ! ip link show checkpoint0
	runtime delete --force c

	ip netns add checkpoint
	edit 'next(n for n in c["linux"]["namespaces"] if n["type"] == "network")["path"] = "/run/netns/checkpoint"'
	ip link delete checkpoint1 2>/dev/null || true
	add_interface
	start
	local _
	for _ in 1 2; do
		checkpoint c
		restore c
		runtime exec c ip address show eth7 | grep 192.0.2.7/24
	done
	runtime delete --force c
	ip netns delete checkpoint
}

@test "checkpoint: a network device goes back to the host after a restore that fails" {
	interface
	start
	checkpoint c
	ip link delete checkpoint1 2>/dev/null || true
	add_interface
	hook createRuntime
	edit 'c["hooks"]["createRuntime"][0]["args"] = ["sh", "-c", "exit 3"]'
	run -1 restore c
	[[ $output == *'createRuntime hook #0: exit status 3'* ]]
	nothing_is_left
	ip address show checkpoint0 | grep 192.0.2.7/24
	ip link delete checkpoint0
}

# Makes and loads an AppArmor profile that denies a file.
profile() {
	echo "profile $1 flags=(attach_disconnected, mediate_deleted) {
		file, capability, network, signal, ptrace, unix, mount, umount,
		deny $2 r,
	}" | apparmor_parser --replace
}

@test "checkpoint: the AppArmor profile is what it was, or that of --lsm-profile" {
	[ -e /sys/kernel/security/apparmor ] || skip "the kernel has no AppArmor"
	profile checkpoint-one /one
	profile checkpoint-two /two
	echo 1 >rootfs/one
	echo 2 >rootfs/two
	# The files are tried by the container itself: exec has the profile of the configuration.
	sed -i 's|echo $i >/dev/shm/n;|& cat /one /two >/dev/shm/read 2>/dev/null;|' rootfs/count
	edit 'c["process"]["apparmorProfile"] = "checkpoint-one"'
	profile_is() {
		[ "$(cat "/proc/$(cat pid)/attr/current")" = "$1 (enforce)" ]
		runtime exec c rm -f /dev/shm/read
		eventually reads "$2"
	}
	reads() {
		[ "$(runtime exec c cat /dev/shm/read)" = "$1" ]
	}
	runtime run --detach --pid-file pid c </dev/null >/dev/null 2>&1
	eventually counts_beyond c 2
	profile_is checkpoint-one 2
	checkpoint c
	restore --pid-file pid c
	profile_is checkpoint-one 2
	checkpoint c
	restore --pid-file pid --lsm-profile apparmor:checkpoint-two c
	profile_is checkpoint-two 1
	# A profile that is gone.
	checkpoint c
	apparmor_parser --remove <<<'profile checkpoint-one {}'
	run -1 restore c
	[[ $output == *'process.apparmorProfile: the kernel has no AppArmor profile'*checkpoint-one* ]]
	nothing_is_left
	apparmor_parser --remove <<<'profile checkpoint-two {}'
}

@test "checkpoint: a device in place of a pipe is not that of the host" {
	runtime run --detach c </dev/null 2>&1 | cat >"$BATS_TEST_TMPDIR/out" 3>&- &
	eventually counts_beyond c 2
	checkpoint c
	restore c
	mode=$(stat --format %a /dev/null)
	runtime exec c chmod 644 /proc/1/fd/1
	after=$(stat --format %a /dev/null)
	chmod "$mode" /dev/null
	[ "$after" = "$mode" ]
}

@test "checkpoint: nothing is made behind a read-only mount" {
	bind "$BATS_TEST_TMPDIR/one" /data ro
	bind "$BATS_TEST_TMPDIR/two" /data/below rw
	mkdir "$BATS_TEST_TMPDIR/one/below"
	start
	checkpoint c
	rmdir "$BATS_TEST_TMPDIR/one/below"
	run -1 restore c
	[[ $output == *'mounts['*'].destination: the mount point /data/below: no such file or directory'* ]]
	[ -z "$(ls "$BATS_TEST_TMPDIR/one")" ]
	nothing_is_left
}

@test "checkpoint: a mount whose directory was removed is not taken for another" {
	bind "$BATS_TEST_TMPDIR/two" /work rw
	bind "$BATS_TEST_TMPDIR/one" /work/ref ro
	start
	# The mount is in the container only, so anybody with the volume can do this.
	rmdir "$BATS_TEST_TMPDIR/two/ref"
	mkdir "$BATS_TEST_TMPDIR/two/ref"
	run -1 checkpoint c
	[[ $output == *'cannot checkpoint: the mount at '*'/work/ref'*' is gone from the container'* ]]
	is c running
	last=$(counted c)
	eventually counts_beyond c "$last"
}

@test "checkpoint: hooks, and the exit status in the foreground" {
	for kind in createRuntime poststart poststop; do hook $kind; done
	start
	rm "$BATS_TEST_TMPDIR"/{createRuntime,poststart}
	checkpoint c
	grep '"stopped"' "$BATS_TEST_TMPDIR/poststop"
	(sleep 2; eventually runtime kill c TERM) &
	run -7 runtime restore --image-path "$BATS_TEST_TMPDIR/images" c </dev/null
	grep '"status":"creating"' "$BATS_TEST_TMPDIR/createRuntime"
	[ ! -e "$BATS_TEST_TMPDIR/poststart" ]
	nothing_is_left
	edit 'c["hooks"]["createRuntime"][0]["args"] = ["sh", "-c", "exit 3"]'
	run -1 runtime restore --detach --image-path "$BATS_TEST_TMPDIR/images" c </dev/null
	[[ $output == *'error running createRuntime hook #0: exit status 3'* ]]
	nothing_is_left
}

@test "checkpoint: images without a checkpoint" {
	start
	checkpoint c
	: >"$BATS_TEST_TMPDIR/images/inventory.img"
	run -1 restore c
	[[ $output == *'criu failed: type RESTORE errno'*'Error ('*'the log of CRIU is'*restore.log* ]]
	nothing_is_left
}

@test "checkpoint: images that are torn, or not files" {
	local file how
	start
	checkpoint c
	mv "$BATS_TEST_TMPDIR/images" "$BATS_TEST_TMPDIR/whole"
	for file in inventory.img pstree.img core-1.img mountpoints-*.img descriptors.json; do
		for how in missing empty half fifo link; do
			rm -rf "$BATS_TEST_TMPDIR/images"
			cp -r "$BATS_TEST_TMPDIR/whole" "$BATS_TEST_TMPDIR/images"
			cd "$BATS_TEST_TMPDIR/images"
			# The number in the name of some is another one each time.
			file=$(echo $file)
			case $how in
			half) truncate --size $(($(stat --format %s $file) / 2)) $file ;;
			*) rm $file ;;&
			empty) : >$file ;;
			fifo) mkfifo $file ;;
			link) ln -s "$BATS_TEST_TMPDIR/whole/$file" $file ;;
			esac
			cd "$BATS_TEST_TMPDIR/bundle"
			run -1 restore c
			echo "$how $file: $output"
			[ "$(grep --count level=error <<<"$output")" = 1 ]
			case $how in
			fifo | link) [[ $output == *"image directory $BATS_TEST_TMPDIR/images: $file is a $how"* ]] ;;
			esac
			nothing_is_left
		done
	done
}

@test "checkpoint: images of another container" {
	start
	checkpoint c
	rm rootfs/bin/sh
	run -1 restore c
	[[ $output == *"Can't open file bin/sh"* ]]
	nothing_is_left
}

@test "checkpoint: output goes to the caller of each restore" {
	sed -i 's|echo $i >/dev/shm/n;|& echo $i;|' rootfs/count
	runtime run --detach c </dev/null 2>&1 | cat >"$BATS_TEST_TMPDIR/first" 3>&- &
	eventually counts_beyond c 2
	for output in second third; do
		checkpoint c
		[[ $(cat "$BATS_TEST_TMPDIR/images/descriptors.json") == '["","pipe:['*']","pipe:['*']"]' ]]
		runtime restore --detach --image-path "$BATS_TEST_TMPDIR/images" c </dev/null 2>&1 |
			cat >"$BATS_TEST_TMPDIR/$output" 3>&- &
		eventually [ -s "$BATS_TEST_TMPDIR/$output" ]
	done
	[ "$(head -n 1 "$BATS_TEST_TMPDIR/first")" = 1 ]
	[ "$(head -n 1 "$BATS_TEST_TMPDIR/second")" -gt "$(tail -n 1 "$BATS_TEST_TMPDIR/first")" ]
	[ "$(head -n 1 "$BATS_TEST_TMPDIR/third")" -gt "$(tail -n 1 "$BATS_TEST_TMPDIR/second")" ]
}

@test "checkpoint: a mount whose directory became a link to another mount is not taken for it" {
	local other
	bind "$BATS_TEST_TMPDIR/two" /work rw
	bind "$BATS_TEST_TMPDIR/one" /work/ref rw
	start
	rmdir "$BATS_TEST_TMPDIR/two/ref"
	# A file system, a read-only path, and a masked one.
	for other in /proc /proc/sys /sys/firmware; do
		ln -s $other "$BATS_TEST_TMPDIR/two/ref"
		run -1 checkpoint c
		echo "$output"
		[[ $output == *'cannot checkpoint: the mount at '*'/work/ref'*' is now that at '*"$other\\\""* ]]
		is c running
		rm "$BATS_TEST_TMPDIR/two/ref"
	done
}

# Kills a command of the runtime at its system calls, at each one if SWEEP=all, otherwise at twelve
# that are spread over them, and runs `$1` after each. `$2` makes a container that the command can be
# used on.
sweep() {
	local check=$1 prepare=$2 calls step number tool=$BATS_TEST_DIRNAME/kill-at
	shift 2
	set -- runtime-cli --root "$BATS_TEST_TMPDIR/state" "$@"
	"$prepare"
	calls=$("$tool" 1000000 "$@" </dev/null 2>/dev/null) || [ "$calls" -gt 100 ]
	runtime delete --force c
	[ "${SWEEP:-}" = all ] && step=1 || step=$((calls / 12))
	echo "# kills at $((calls / step)) of $calls system calls: ${*:4}" >&3
	"$prepare"
	for ((number = 1; number <= calls; number += step)); do
		"$tool" $number "$@" </dev/null >/dev/null 2>&1 || true
		echo "killed at system call $number"
		# Not in a condition, in which a check would go on after what fails.
		"$check"
	done
}

running() {
	is c running 2>/dev/null || start
}

goes_on() {
	is c running
	last=$(counted c)
	eventually counts_beyond c "$last"
}

# A container that no longer runs can be restored. A checkpoint has deleted it, or was killed before.
goes_on_or_is_in_the_images() {
	eventually no_criu
	if ! is c running 2>/dev/null; then
		! runtime state c >/dev/null 2>&1 || is c stopped
		runtime delete --force c
		no_process
		restore c
	fi
	goes_on
}

goes_on_without_criu() {
	eventually no_criu
	goes_on
}

@test "checkpoint: killed at any system call, the container goes on or is in the images" {
	sweep goes_on_or_is_in_the_images running checkpoint --image-path "$BATS_TEST_TMPDIR/images" c
	runtime delete --force c
	nothing_is_left
}

@test "checkpoint: --leave-running, killed at any system call, the container goes on" {
	sweep goes_on_without_criu running checkpoint --leave-running --image-path "$BATS_TEST_TMPDIR/images" c
	runtime delete --force c
	nothing_is_left
}

no_process() {
	! pgrep --full 'sh /count' >/dev/null
}

# A container with a record is one, and without a record there is no process. CRIU ends the processes if
# the runtime is killed when the record has them already, but before CRIU was told to let them go on.
is_recorded_and_can_be_deleted() {
	if runtime state c >/dev/null 2>&1; then
		if ! is c creating; then
			eventually no_criu
			is c stopped || goes_on
		fi
		runtime delete --force c
	else
		eventually no_process
		runtime delete --force c
	fi
	nothing_is_left
	no_process
}

@test "checkpoint: a restore killed at any system call has a record, and can be deleted" {
	start
	checkpoint c
	sweep is_recorded_and_can_be_deleted true restore --detach --image-path "$BATS_TEST_TMPDIR/images" c
}

# Kills CRIU while a command of the runtime waits for it.
without_criu_after() {
	runtime "${@:2}" </dev/null >/dev/null 2>&1 &
	local delay=$1 command=$!
	for _ in {1..200}; do
		! pgrep --exact criu >/dev/null || break
		sleep 0.005
	done
	sleep "$delay"
	pkill -KILL --exact criu || true
	wait $command
}

@test "checkpoint: when CRIU is killed, the container goes on or is in the images" {
	start
	for delay in 0 0.005 0.01 0.015 0.02 0.03 0.04 0.05 0.06 0.08 0.1 0.13; do
		without_criu_after $delay checkpoint --image-path "$BATS_TEST_TMPDIR/images" c || goes_on
		goes_on_or_is_in_the_images
	done
}

@test "checkpoint: when CRIU is killed, a restore leaves nothing" {
	start
	checkpoint c
	for delay in 0 0.005 0.01 0.015 0.02 0.03 0.04 0.05 0.06 0.08 0.1 0.13; do
		if without_criu_after $delay restore --detach --image-path "$BATS_TEST_TMPDIR/images" c; then
			goes_on
			runtime delete --force c
		fi
		nothing_is_left
		no_process
	done
}

# Prints the number that a container of an engine has counted to, by the engine's exec and its container.
counted_by() {
	"$@" cat /dev/shm/n
}

counts_on() {
	local last
	eventually counts_by_beyond 0 "$@"
	last=$number
	eventually counts_by_beyond "$last" "$@"
}

# The file is empty for a moment when a number is written.
counts_by_beyond() {
	number=$(counted_by "${@:2}")
	[ -n "$number" ] && [ "$number" -gt "$1" ]
}

@test "checkpoint: with systemd's scopes" {
	local scope=/sys/fs/cgroup/system.slice/runc-checkpoint.scope
	runtime() { runtime-cli --systemd-cgroup --root "$BATS_TEST_TMPDIR/state" "$@"; }
	edit 'c["linux"]["cgroupsPath"] = "system.slice:runc:checkpoint"'
	start
	checkpoint c
	eventually [ ! -e $scope ]
	restore --pid-file pid other
	counts_beyond other 2
	grep -x "0::${scope#/sys/fs/cgroup}" "/proc/$(cat pid)/cgroup"
	runtime update --pids-limit 50 other
	[ "$(cat $scope/pids.max)" = 50 ]
	checkpoint --leave-running other
	counts_beyond other 2
	runtime delete --force other
	eventually [ ! -e $scope ]
	nothing_is_left
}

# Uses Podman's commands with a cgroup manager.
with_podman() {
	local counter='i=0; while true; do i=$((i + 1)); echo $i >/dev/shm/n; (sleep 0.1); done'
	with_podman=yes
	podman() { command podman --cgroup-manager "$manager" "$@"; }
	local manager=$1
	podman load --quiet --input /var/tmp/busybox.tar
	podman run --detach --name counter --network none busybox sh -c "$counter"
	counts_on podman exec counter
	podman container checkpoint counter
	podman container restore counter
	counts_on podman exec counter
	podman container checkpoint --export "$BATS_TEST_TMPDIR/counter.tar" counter
	podman rm --force --time 0 counter
	podman container restore --import "$BATS_TEST_TMPDIR/counter.tar" --name twin
	counts_on podman exec twin
	# In two parts.
	podman container checkpoint --pre-checkpoint --export "$BATS_TEST_TMPDIR/before.tar" twin
	counts_on podman exec twin
	podman container checkpoint --with-previous --export "$BATS_TEST_TMPDIR/rest.tar" twin
	podman rm --force --time 0 twin
	podman container restore --import-previous "$BATS_TEST_TMPDIR/before.tar" --import "$BATS_TEST_TMPDIR/rest.tar"
	counts_on podman exec twin
	podman rm --force --time 0 twin
}

@test "checkpoint: with Podman and cgroupfs, also from archives under another name" {
	with_podman cgroupfs
}

@test "checkpoint: with Podman and systemd, also from archives under another name" {
	with_podman systemd
}

# Checkpoints and restores with ctr. The arguments are the flags of `ctr run` that name the runtime.
with_containerd() {
	local count='i=0; while true; do i=$((i + 1)); echo $i >/dev/shm/n; echo $i; (sleep 0.1); done'
	systemctl start containerd
	ctr images import /var/tmp/busybox.tar
	ctr run --detach "$@" docker.io/library/busybox:latest counter sh -c "$count"
	counts_on ctr tasks exec --exec-id count counter
	# Into a directory, and the container goes on.
	ctr tasks checkpoint --image-path "$BATS_TEST_TMPDIR/ctr" counter
	[ -e "$BATS_TEST_TMPDIR/ctr/inventory.img" ]
	counts_on ctr tasks exec --exec-id count counter
	# Into an image, and from there into another container.
	ctr containers checkpoint --image --rw --task counter checkpoint:counter
	ctr tasks kill --signal KILL counter
	ctr containers restore --live --rw twin checkpoint:counter
	counts_on ctr tasks exec --exec-id count twin
	# And again, with the end of the container.
	ctr tasks checkpoint --exit --image-path "$BATS_TEST_TMPDIR/again" twin
	eventually has_stopped twin
	ctr tasks delete twin counter
	ctr containers delete counter twin
	ctr images remove checkpoint:counter
}

has_stopped() {
	ctr tasks ls | grep "^$1 .*STOPPED"
}

@test "checkpoint: with containerd" {
	with_containerd --runc-binary /usr/local/bin/runtime-cli
}

@test "checkpoint: with containerd, through the project's own shim" {
	with_containerd --runtime io.containerd.runtime-core.v2
	[ -z "$(ls /run/containerd/runtime-core/default)" ]
	eventually [ -z "$(ls /run/containerd/s)" ]
}
