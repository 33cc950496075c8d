"""Exec and port-forward with the Python client of Kubernetes, into the pod that the first argument names."""

import sys

from kubernetes import client, config
from kubernetes.stream import portforward, stream

pod, container = sys.argv[1:3]
config.load_kube_config()
api = client.CoreV1Api()


def check(what, actual, expected):
    if actual != expected:
        sys.exit(f"{what}: {actual!r}, expected {expected!r}")
    print(f"{what}: ok")


def open_exec(command):
    return stream(
        api.connect_get_namespaced_pod_exec, pod, "default", container=container, command=command,
        stdin=True, stdout=True, stderr=True, tty=False, _preload_content=False,
    )


session = open_exec(["sh", "-c", "echo out; echo err >&2; read line; echo got $line; exit 7"])
session.write_stdin("typed\n")
session.run_forever(timeout=20)
check("exec stdout", session.read_stdout(), "out\ngot typed\n")
check("exec stderr", session.read_stderr(), "err\n")
check("exec exit code", session.returncode, 7)

output = stream(
    api.connect_get_namespaced_pod_exec, pod, "default", container=container, command=["true"], stdout=True,
)
check("exec of true", output, "")

forward = portforward(api.connect_get_namespaced_pod_portforward, pod, "default", ports="8080")
connection = forward.socket(8080)
connection.setblocking(True)
connection.sendall(b"GET / HTTP/1.0\r\n\r\n")
page = b""
# The protocol has no end of a single connection: read until the page is complete.
while not page.endswith(b"page\n"):
    page += connection.recv(4096)
connection.close()
check("forwarded page", page.rsplit(b"\n", 2)[-2:], [b"page", b""])
check("error of the port", forward.error(8080), None)
