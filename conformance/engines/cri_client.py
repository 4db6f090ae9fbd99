# SPDX-License-Identifier: Apache-2.0
"""containerd as the kubelet sees it: the CRI. Debian has no crictl."""

import re
import subprocess
import sys
import time
import traceback
from pathlib import Path

import grpc

# The modules that the VM's image has compiled from the protocol's definition.
sys.path.insert(0, "/usr/local/lib/cri")
import cri_pb2 as pb

IMAGE = pb.ImageSpec(image="docker.io/library/busybox:latest")
LOGS = "/var/log/pods"


# The defaults are 2 to 5 s, too short for shims that run emulated with hundreds of others.
PATIENCE = """
[timeouts]
  "io.containerd.timeout.shim.cleanup" = "60s"
  "io.containerd.timeout.shim.load" = "60s"
  "io.containerd.timeout.shim.shutdown" = "60s"
  "io.containerd.timeout.task.state" = "60s"
"""

# Debian's package has one up to Podman 5.4.
NETWORK = """{
  "cniVersion": "1.0.0",
  "name": "pods",
  "plugins": [{
    "type": "bridge",
    "bridge": "cni0",
    "isGateway": true,
    "ipam": { "type": "host-local", "ranges": [[{ "subnet": "10.22.0.0/16" }]] }
  }]
}
"""


def start_containerd():
    """Starts it, with a network, our image, and one that takes the place of the pause image."""
    network = Path("/etc/cni/net.d/10-pods.conflist")
    network.parent.mkdir(parents=True, exist_ok=True)
    network.write_text(NETWORK)
    config = Path("/etc/containerd/config.toml")
    if PATIENCE not in config.read_text():
        config.write_text(config.read_text() + PATIENCE)
    run("systemctl", "restart", "containerd")
    run("ctr", "--namespace", "k8s.io", "image", "import", "/var/tmp/busybox.tar")
    run("./make-image", "/var/tmp/pause.tar", "pause", '["sleep", "1000000"]')
    run("ctr", "--namespace", "k8s.io", "image", "import", "/var/tmp/pause.tar")
    config = run("containerd", "config", "dump")
    pause = re.search(r"""^\s*sandbox(?:_image)? = ['"](.+)['"]""", config, re.MULTILINE)[1]
    run("ctr", "--namespace", "k8s.io", "image", "tag", "--force", "docker.io/library/pause:latest", pause)


def stop_containerd():
    run("systemctl", "stop", "containerd")


def run(*command):
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout


class Cri:
    """Calls by name: cri.call("StopContainer", container_id=..., timeout=3)."""

    def __init__(self):
        self.channel = grpc.insecure_channel("unix:///run/containerd/containerd.sock")

    def call(self, method, **fields):
        service = "ImageService" if "Image" in method else "RuntimeService"
        request = getattr(pb, method + "Request")(**fields)
        return self.channel.unary_unary(
            f"/runtime.v1.{service}/{method}",
            request_serializer=type(request).SerializeToString,
            response_deserializer=getattr(pb, method + "Response").FromString,
        )(request, timeout=120, wait_for_ready=True)

    def pod(self, name, **linux):
        """A running pod: its configuration and id."""
        config = pb.PodSandboxConfig(
            metadata=pb.PodSandboxMetadata(name=name, uid=name, namespace="test"),
            hostname=name,
            log_directory=f"{LOGS}/{name}",
            linux=pb.LinuxPodSandboxConfig(cgroup_parent="kubepods.slice", **linux),
        )
        return config, self.call("RunPodSandbox", config=config).pod_sandbox_id

    def container(self, pod, name, command, **linux):
        """A running container in a pod."""
        config, pod_id = pod
        container = pb.ContainerConfig(
            metadata=pb.ContainerMetadata(name=name),
            image=IMAGE,
            command=command,
            log_path=f"{name}.log",
            linux=pb.LinuxContainerConfig(**linux),
        )
        created = self.call("CreateContainer", pod_sandbox_id=pod_id, config=container, sandbox_config=config)
        self.call("StartContainer", container_id=created.container_id)
        return created.container_id

    def sh(self, container, script, timeout=60):
        """Standard output and exit status of a shell's script in a container."""
        reply = self.call("ExecSync", container_id=container, cmd=["sh", "-c", script], timeout=timeout)
        return reply.stdout.decode(), reply.exit_code

    def status(self, container):
        return self.call("ContainerStatus", container_id=container).status

    def remove(self, pod):
        self.call("StopPodSandbox", pod_sandbox_id=pod[1])
        self.call("RemovePodSandbox", pod_sandbox_id=pod[1])


def eventually(condition, seconds=60):
    """The first true value of a function."""
    end = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < end, "never became true"
        time.sleep(0.2)
    return value


def tap(tests):
    """Runs functions, whose documentation says what they show, and exits."""
    print(f"1..{len(tests)}", flush=True)
    failed = 0
    for number, test in enumerate(tests, 1):
        start = time.monotonic()
        trace = ""
        try:
            test()
        except Exception:
            trace = traceback.format_exc()
            failed += 1
        milliseconds = (time.monotonic() - start) * 1000
        print(f"{'not ok' if trace else 'ok'} {number} {test.__doc__} in {milliseconds:.0f}ms")
        print("".join(f"# {line}\n" for line in trace.splitlines()), end="", flush=True)
    sys.exit(failed > 0)
