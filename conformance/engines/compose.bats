# SPDX-License-Identifier: Apache-2.0
# Docker Compose: two services on one network, both on port 80.

load common

setup_file() {
	systemctl start docker
	docker load --quiet --input /var/tmp/busybox.tar
	cd "$BATS_FILE_TMPDIR"
	cat >compose.yaml <<-'END'
		services:
		  one: &server
		    image: busybox
		    command: sh -c 'hostname >/www/index.html; exec httpd -f -p 80 -h /www'
		    hostname: first
		    init: true
		    ports: ["8081:80"]
		    mem_limit: 64m
		  two:
		    <<: *server
		    hostname: second
		    ports: ["8082:80"]
		    depends_on: [one]
	END
	docker-compose --project-name tutorial up --detach
}

teardown_file() {
	cd "$BATS_FILE_TMPDIR"
	docker-compose --project-name tutorial down --timeout 2
	systemctl stop docker docker.socket
}

@test "compose: both services run, and see each other by name on port 80" {
	run -0 docker exec tutorial-one-1 wget -q -O - http://two/
	[ "$output" = second ]
	run -0 docker exec tutorial-two-1 wget -q -O - http://one/
	[ "$output" = first ]
}

@test "compose: both are reached from the host" {
	[ "$(busybox wget -q -O - http://127.0.0.1:8081/)" = first ]
	[ "$(busybox wget -q -O - http://127.0.0.1:8082/)" = second ]
}

@test "compose: ps, exec and stop" {
	cd "$BATS_FILE_TMPDIR"
	run -0 docker-compose --project-name tutorial ps --format '{{.Service}} {{.State}}'
	has_line 'one running'
	has_line 'two running'
	run -0 docker-compose --project-name tutorial exec -T two cat /sys/fs/cgroup/memory.max
	[ "$output" = 67108864 ]
	docker-compose --project-name tutorial stop --timeout 2 two
	run -0 docker-compose --project-name tutorial ps --format '{{.Service}} {{.State}}'
	[ "$output" = 'one running' ]
}
