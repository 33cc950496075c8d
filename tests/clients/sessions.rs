//! Exec, attach and port-forward with kube-rs, into the pod that the first argument names.
//!
//! The second argument names a container with a shell, the third a container that prints its input.

use std::error::Error;
use std::fmt::Debug;

use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Status;
use kube::api::AttachParams;
use kube::{Api, Client};
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWriteExt, BufReader};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// The result of a finished session.
struct ExecOutput {
    stdout: String,
    stderr: String,
    status: Status,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [pod, shell, echo] = args.as_slice() else { return Err("expected a pod and two containers".into()) };
    let pods: Api<Pod> = Api::default_namespaced(Client::try_default().await?);
    exec(&pods, pod, shell).await?;
    attach(&pods, pod, echo).await?;
    port_forward(&pods, pod).await
}

fn check<T: Debug + PartialEq>(what: &str, actual: T, expected: T) -> Result<()> {
    if actual != expected {
        return Err(format!("{what}: {actual:?}, expected {expected:?}").into());
    }
    println!("{what}: ok");
    Ok(())
}

async fn exec(pods: &Api<Pod>, pod: &str, container: &str) -> Result<()> {
    let script = "echo out; echo err >&2; read line; echo got $line; exit 7";
    let failed = execute(pods, pod, container, &["sh", "-c", script], "typed\n").await?;
    check("exec stdout", failed.stdout.as_str(), "out\ngot typed\n")?;
    check("exec stderr", failed.stderr.as_str(), "err\n")?;
    let causes = failed.status.details.and_then(|details| details.causes).unwrap_or_default();
    let causes: Vec<_> = causes.iter().map(|cause| (cause.reason.as_deref(), cause.message.as_deref())).collect();
    check("exec exit code", causes, vec![(Some("ExitCode"), Some("7"))])?;
    let counted = execute(pods, pod, container, &["wc", "-c"], "12345").await?;
    check("exec end of input", counted.stdout.as_str(), "5\n")?;
    check("exec success", counted.status.status.as_deref(), Some("Success"))
}

/// Runs a command with `input` and returns its output and status.
async fn execute(pods: &Api<Pod>, pod: &str, container: &str, command: &[&str], input: &str) -> Result<ExecOutput> {
    let params = AttachParams::default().container(container).stdin(true);
    let mut process = pods.exec(pod, command.iter().copied(), &params).await?;
    let status = process.take_status().ok_or("no status")?;
    let (stdout, stderr) = (process.stdout(), process.stderr());
    let mut stdin = process.stdin().ok_or("no standard input")?;
    stdin.write_all(input.as_bytes()).await?;
    stdin.shutdown().await?;
    let (stdout, stderr) = tokio::try_join!(text(stdout), text(stderr))?;
    let status = status.await.ok_or("the session ended without a status")?;
    process.join().await?;
    Ok(ExecOutput { stdout, stderr, status })
}

/// Reads a stream to its end.
async fn text(stream: Option<impl AsyncRead + Unpin>) -> Result<String> {
    let mut text = String::new();
    stream.ok_or("no stream")?.read_to_string(&mut text).await?;
    Ok(text)
}

async fn attach(pods: &Api<Pod>, pod: &str, container: &str) -> Result<()> {
    let params = AttachParams::default().container(container).stdin(true);
    let mut process = pods.attach(pod, &params).await?;
    let mut stdin = process.stdin().ok_or("no standard input")?;
    stdin.write_all(b"a line\n").await?;
    let mut line = String::new();
    BufReader::new(process.stdout().ok_or("no standard output")?).read_line(&mut line).await?;
    check("attach", line.as_str(), "a line\n")
}

/// Requests a page on port 8080; no program listens on port 8081.
async fn port_forward(pods: &Api<Pod>, pod: &str) -> Result<()> {
    let mut forward = pods.portforward(pod, &[8080, 8081]).await?;
    let refused = forward.take_error(8081).ok_or("no errors")?.await.unwrap_or_default();
    check("refused port", refused.contains("connection refused"), true)?;
    let mut stream = forward.take_stream(8080).ok_or("no stream")?;
    stream.write_all(b"GET / HTTP/1.0\r\n\r\n").await?;
    let mut page = String::new();
    // The protocol has no end of a single connection: read until the page is complete.
    while !page.ends_with("page\n") {
        let mut bytes = [0; 4096];
        match stream.read(&mut bytes).await? {
            0 => break,
            length => page += std::str::from_utf8(&bytes[..length])?,
        }
    }
    check("forwarded page", page.lines().next_back(), Some("page"))
}
