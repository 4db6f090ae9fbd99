# SPDX-License-Identifier: Apache-2.0
# Buildah, which makes a container for each RUN.

load common

setup_file() {
	buildah pull --quiet docker-archive:/var/tmp/busybox.tar
}

@test "buildah: RUN steps of a Containerfile" {
	cat >"$BATS_TEST_TMPDIR/Containerfile" <<-'END'
		FROM localhost/busybox
		ARG WHO=nobody
		RUN echo built for $WHO >/file && test $$ -lt 10
		RUN --mount=type=tmpfs,target=/scratch echo x >/scratch/y && grep -q '^Seccomp:.*2$' /proc/self/status
		WORKDIR /new
		USER 1000
		RUN id -u >/tmp/id && pwd >>/tmp/id
	END
	buildah build --quiet --isolation oci --build-arg WHO=us --tag built "$BATS_TEST_TMPDIR"
	container=$(buildah from built)
	run -0 buildah run "$container" cat /file /tmp/id
	[ "$output" = $'built for us\n1000\n/new' ]
	buildah rm "$container"
}

@test "buildah: a step that fails" {
	printf 'FROM localhost/busybox\nRUN exit 9\n' >"$BATS_TEST_TMPDIR/Containerfile"
	run ! buildah build --isolation oci "$BATS_TEST_TMPDIR"
	[[ $output == *'exit status 9'* ]]
}

@test "buildah: run, with limits of its own and a terminal" {
	container=$(buildah from localhost/busybox)
	run -6 --separate-stderr buildah run --isolation oci --hostname inside --user 1000:1000 --workingdir /tmp "$container" sh -c 'hostname; id -u; pwd; cat; exit 6' <<<input
	[ "$output" = $'inside\n1000\n/tmp\ninput' ]
	in_terminal "buildah run --isolation oci --terminal $container tty"
	has_line /dev/pts/0
	buildah rm "$container"
}
