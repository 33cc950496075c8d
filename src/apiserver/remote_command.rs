//! The connection of an exec or attach session: copies between a WebSocket and an instance's streams.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::time::Duration;

use axum::extract::ws::{Message, WebSocket};
use bytes::{Bytes, BytesMut};
use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::sync::Notify;
use tokio::time::timeout;

use super::websocket::{self, Activity, into_message, ping_times};
use crate::control::{Cause, Reason, Status};
use crate::network::Receiver;
use crate::node::{AttachSession, ExecSession, SessionError};
use crate::runtime::{Exit, SessionInput, SessionPipes, Terminal, TerminalSize};
use crate::streams::channel::{Channel, ChannelDecoder, ChannelProtocol, ClientFrame, FrameError};

/// Maximum time to wait for a client's first sign of life. kubectl before 1.33 discards messages that arrive before it has
/// created its streams; it answers a ping once it reads.
const MAX_READY_WAIT: Duration = Duration::from_millis(20);
/// Maximum number of bytes of output in a message.
const MAX_OUTPUT: usize = 32 * 1024;

/// How a session ended: its JSON for protocols with a status, and its text for older ones.
struct SessionEnd {
    status: Value,
    failure: Option<String>,
}

impl SessionEnd {
    fn success() -> SessionEnd {
        SessionEnd { status: json!({"metadata": {}, "status": "Success"}), failure: None }
    }

    fn error(error: &str) -> SessionEnd {
        let message = format!("Internal error occurred: {error}");
        let cause = Cause { field: String::new(), reason: "", message: error.into() };
        let status = Status::with_empty_details(Reason::InternalError, message.clone()).with_causes(vec![cause]);
        // A Status has only strings and numbers, which always serialize.
        SessionEnd { status: serde_json::to_value(&status).unwrap_or_default(), failure: Some(message) }
    }

    /// Returns the end of a program, in kubelet's words.
    fn exit(command: &[String], exit: &Exit) -> SessionEnd {
        match exit {
            Exit::Code(0) => SessionEnd::success(),
            Exit::StartError { message } => {
                SessionEnd::error(&format!("error executing command in container: {message}"))
            }
            exit => {
                let code = exit.code();
                let command = command.join(" ");
                let message = format!(
                    "command terminated with non-zero exit code: error executing command [{command}], exit code {code}"
                );
                let details = json!({"causes": [{"reason": "ExitCode", "message": code.to_string()}]});
                let status = json!({
                    "metadata": {}, "status": "Failure", "message": message, "reason": "NonZeroExitCode",
                    "details": details,
                });
                SessionEnd { status, failure: Some(message) }
            }
        }
    }

    fn payload(&self, protocol: ChannelProtocol) -> Bytes {
        match protocol.has_json_status() {
            true => self.status.to_string().into(),
            false => self.failure.clone().unwrap_or_default().into(),
        }
    }
}

/// Serves an exec session.
pub async fn exec(
    socket: WebSocket,
    protocol: ChannelProtocol,
    command: Vec<String>,
    session: Result<ExecSession, SessionError>,
) {
    let connection = Connection::new(socket, protocol);
    match session {
        Ok(ExecSession { pipes, mut program }) => {
            let end = async move { SessionEnd::exit(&command, &program.wait().await) };
            connection.run(pipes, end).await;
        }
        Err(error @ SessionError::Program(_)) => {
            connection.fail(&format!("error executing command in container: {error}")).await;
        }
        Err(error) => connection.fail(&format!("unable to upgrade connection: {error}")).await,
    }
}

/// Serves an attach session.
pub async fn attach(socket: WebSocket, protocol: ChannelProtocol, session: Result<AttachSession, SessionError>) {
    let connection = Connection::new(socket, protocol);
    match session {
        // The output ends with the program.
        Ok(AttachSession { pipes, permit: _permit }) => connection.run(pipes, async { SessionEnd::success() }).await,
        Err(error) => connection.fail(&format!("unable to upgrade connection: {error}")).await,
    }
}

/// The WebSocket connection of a session.
struct Connection {
    sink: SplitSink<WebSocket, Message>,
    stream: SplitStream<WebSocket>,
    protocol: ChannelProtocol,
}

impl Connection {
    fn new(socket: WebSocket, protocol: ChannelProtocol) -> Connection {
        let (sink, stream) = socket.split();
        Connection { sink, stream, protocol }
    }

    /// Copies until the output and then `end` are complete, and reports the end. Stops early if the client leaves.
    async fn run(mut self, pipes: SessionPipes, end: impl Future<Output = SessionEnd>) {
        let SessionPipes { stdin, stdout, stderr, terminal } = pipes;
        let (activity, ready) = (Activity::new(), Notify::new());
        let input = ClientInput {
            stdin,
            terminal,
            decoder: ChannelDecoder::new(self.protocol),
            activity: &activity,
            ready: &ready,
        };
        let output = ClientOutput { sink: &mut self.sink, protocol: self.protocol, activity: &activity, ready: &ready };
        let end = tokio::select! {
            end = output.write(stdout, stderr, end) => end,
            () = input.read(&mut self.stream) => None,
        };
        if let Some(end) = end {
            self.finish(&end).await;
        }
    }

    async fn fail(mut self, error: &str) {
        let _ = self.sink.send(Message::Ping(Bytes::new())).await;
        let _ = timeout(MAX_READY_WAIT, self.stream.next()).await;
        self.finish(&SessionEnd::error(error)).await;
    }

    /// Sends how the session ended, and closes the connection.
    async fn finish(mut self, end: &SessionEnd) {
        let payload = end.payload(self.protocol);
        if !payload.is_empty() {
            let message = self.protocol.encode(Channel::Error, &payload);
            let _ = self.sink.send(into_message(message)).await;
        }
        websocket::close(self.sink, self.stream).await;
    }
}

/// What the client sends.
struct ClientInput<'c> {
    stdin: Option<SessionInput>,
    terminal: Option<std::sync::Arc<Terminal>>,
    decoder: ChannelDecoder,
    activity: &'c Activity,
    /// Notified of the client's first message.
    ready: &'c Notify,
}

impl ClientInput<'_> {
    /// Reads until the client closes the connection or breaks the protocol.
    async fn read(mut self, stream: &mut SplitStream<WebSocket>) {
        while let Some(Ok(message)) = stream.next().await {
            self.activity.record();
            self.ready.notify_one();
            let data = match message {
                Message::Binary(data) => data,
                Message::Text(text) => text.into(),
                Message::Close(_) => return,
                Message::Ping(_) | Message::Pong(_) => continue,
            };
            match self.decoder.decode(data) {
                Ok(Some(frame)) => self.apply(frame).await,
                Ok(None) => {}
                Err(error @ FrameError::MalformedClose(_)) => return tracing::debug!(%error, "closing a session"),
                Err(error) => tracing::debug!(%error, "ignoring a client's message"),
            }
        }
    }

    async fn apply(&mut self, frame: ClientFrame) {
        match frame {
            ClientFrame::Stdin(bytes) => {
                if let Some(stdin) = &self.stdin
                    && !stdin.send(bytes).await
                {
                    self.stdin = None;
                }
            }
            ClientFrame::Close(Channel::Stdin) => self.stdin = None,
            ClientFrame::Close(_) => {}
            ClientFrame::Resize(size) => {
                if let Some(terminal) = &self.terminal {
                    terminal.resize(TerminalSize { columns: size.width, rows: size.height });
                }
            }
        }
    }
}

/// What the client receives.
struct ClientOutput<'c> {
    sink: &'c mut SplitSink<WebSocket, Message>,
    protocol: ChannelProtocol,
    activity: &'c Activity,
    /// Notified of the client's first message.
    ready: &'c Notify,
}

impl ClientOutput<'_> {
    /// Writes the output, then waits for `end`. Returns `None` if the client is gone or idle for too long.
    async fn write(
        mut self,
        mut stdout: Option<Receiver>,
        mut stderr: Option<Receiver>,
        end: impl Future<Output = SessionEnd>,
    ) -> Option<SessionEnd> {
        let mut end = pin!(end);
        let mut pings = ping_times();
        self.sink.send(Message::Ping(Bytes::new())).await.ok()?;
        let _ = timeout(MAX_READY_WAIT, self.ready.notified()).await;
        loop {
            let is_open = stdout.is_some() || stderr.is_some();
            tokio::select! {
                chunk = next_chunk(stdout.as_ref()), if stdout.is_some() => {
                    self.send_output(Channel::Stdout, chunk, &mut stdout).await?;
                }
                chunk = next_chunk(stderr.as_ref()), if stderr.is_some() => {
                    self.send_output(Channel::Stderr, chunk, &mut stderr).await?;
                }
                end = &mut end, if !is_open => return Some(end),
                _ = pings.tick() => {
                    if self.activity.is_idle() {
                        return None;
                    }
                    self.sink.send(Message::Ping(Bytes::new())).await.ok()?;
                }
            }
        }
    }

    /// Sends `chunk` with what else has been written; at its end, takes `receiver` away.
    async fn send_output(
        &mut self,
        channel: Channel,
        chunk: Option<Bytes>,
        receiver: &mut Option<Receiver>,
    ) -> Option<()> {
        let Some(chunk) = chunk else {
            *receiver = None;
            return Some(());
        };
        self.activity.record();
        let mut message = BytesMut::with_capacity(chunk.len() + 1);
        self.protocol.start_message(channel, &mut message);
        message.extend_from_slice(&chunk);
        while let Some(room @ 1..) = MAX_OUTPUT.checked_sub(message.len()) {
            match receiver.as_ref().and_then(|receiver| receiver.read(room)) {
                Some(more) if !more.is_empty() => message.extend_from_slice(&more),
                _ => break,
            }
        }
        self.sink.send(into_message(self.protocol.finish_message(message))).await.ok()
    }
}

/// Waits for bytes of a pipe; `None` at its end.
async fn next_chunk(receiver: Option<&Receiver>) -> Option<Bytes> {
    let receiver = receiver?;
    loop {
        poll_fn(|cx| receiver.poll_readable(cx)).await;
        match receiver.read(MAX_OUTPUT) {
            Some(bytes) if bytes.is_empty() => {}
            chunk => return chunk,
        }
    }
}
