# SPDX-License-Identifier: Apache-2.0
# Helpers of the tests of all engines.

bats_require_minimum_version 1.5.0

# An image for any engine that reads the archives of `docker save`.
IMAGE_ARCHIVE=/var/tmp/busybox.tar

# Waits until a command succeeds.
eventually() {
	local end=$((SECONDS + 60))
	until "$@"; do
		((SECONDS < end)) || { echo "never: $*"; return 1; }
		sleep 0.3
	done
}

# Fails unless the output of the last `run` has a line like this.
has_line() {
	grep -q -x -E -- "$1" <<<"$output" || { printf 'no line like %s in:\n%s\n' "$1" "$output"; return 1; }
}

# Runs a command line in a terminal, and puts its output into $output.
in_terminal() {
	run script --quiet --return --command "$1" /dev/null </dev/null
	output=${output//$'\r'/}
	# script echoes its end of input.
	output=${output//^@/}
}

# Checks that an engine reports a kill by the OOM killer if the only process of a container is killed,
# in at least nine of twelve runs (docs/engines.md).
knows_out_of_memory() {
	local hogs=(hog{1..12}) hog told=0
	for hog in "${hogs[@]}"; do
		"$1" run --detach --network none --name "$hog" --memory 16m --memory-swap 16m busybox tail /dev/zero
	done
	for hog in "${hogs[@]}"; do
		eventually has_been_killed "$1" "$hog"
	done
	# The events for the kill and for the end arrive independently.
	sleep 2
	for hog in "${hogs[@]}"; do
		[ "$("$1" inspect --format '{{.State.OOMKilled}}' "$hog")" != true ] || told=$((told + 1))
	done
	"$1" rm "${hogs[@]}"
	echo "told of $told kills of ${#hogs[@]}"
	((told >= 9))
}

has_been_killed() {
	[ "$("$1" inspect --format '{{.State.Status}} {{.State.ExitCode}}' "$2")" = 'exited 137' ]
}
