# SPDX-License-Identifier: Apache-2.0
# What the tests of all engines have in common.

bats_require_minimum_version 1.5.0

# An image for any engine that takes the archives of `docker save`.
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

# Runs a command line in a terminal, and leaves what it says in $output.
in_terminal() {
	run script --quiet --return --command "$1" /dev/null </dev/null
	output=${output//$'\r'/}
	# The echo of script's end of input.
	output=${output//^@/}
}

# Whether an engine says of a container that memory was the reason. Not of the last
# process, and not each time: docs/engines.md.
knows_out_of_memory() {
	local script='tail /dev/zero; status=$?; sleep 2; exit $status'
	for _ in 1 2 3 4 5; do
		run -137 "$1" run --name hog --memory 16m --memory-swap 16m busybox sh -c "$script"
		run -0 "$1" inspect --format '{{.State.OOMKilled}}' hog
		"$1" rm hog
		[ "$output" != true ] || return 0
	done
	return 1
}
