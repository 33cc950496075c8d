// Exec, attach and port-forward with the JavaScript client of Kubernetes, into the pod that the first argument names.

import net from "node:net";
import { PassThrough, Writable } from "node:stream";
import { createRequire } from "node:module";

// The client is installed elsewhere, in the directory that the third argument names.
const [pod, container, modules] = process.argv.slice(2);
const k8s = createRequire(`${modules}/`)("@kubernetes/client-node");
const config = new k8s.KubeConfig();
config.loadFromDefault();

class Capture extends Writable {
  text = "";
  _write(chunk, _encoding, done) {
    this.text += chunk;
    done();
  }
}

function check(what, actual, expected) {
  if (actual !== expected) {
    console.log(`${what}: ${JSON.stringify(actual)}, expected ${JSON.stringify(expected)}`);
    process.exit(1);
  }
  console.log(`${what}: ok`);
}

async function execute(command, input) {
  const [stdout, stderr, stdin] = [new Capture(), new Capture(), new PassThrough()];
  const status = await new Promise((resolve, reject) => {
    new k8s.Exec(config).exec("default", pod, container, command, stdout, stderr, stdin, false, resolve).catch(reject);
    stdin.write(input);
  });
  return { stdout: stdout.text, stderr: stderr.text, status };
}

const script = "echo out; echo err >&2; read line; echo got $line; exit 7";
const failed = await execute(["sh", "-c", script], "typed\n");
check("exec stdout", failed.stdout, "out\ngot typed\n");
check("exec stderr", failed.stderr, "err\n");
check("exec exit code", failed.status.details.causes[0].message, "7");
check("exec success", (await execute(["true"], "")).status.status, "Success");

const forward = new k8s.PortForward(config);
const server = net.createServer((socket) => forward.portForward("default", pod, [8080], socket, null, socket));
await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
const page = await new Promise((resolve, reject) => {
  let text = "";
  const socket = net.connect(server.address().port, "127.0.0.1", () => socket.write("GET / HTTP/1.0\r\n\r\n"));
  socket.on("error", reject);
  socket.on("data", (chunk) => {
    text += chunk;
    if (text.endsWith("page\n")) resolve(text);
  });
});
check("forwarded page", page.split("\n").at(-2), "page");
process.exit(0);
