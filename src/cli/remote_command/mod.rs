//! Runs exec and attach sessions: copies between a WebSocket and local streams, and ends with the program's exit code.

mod terminal;

use std::convert::Infallible;
use std::future::pending;
use std::io::IsTerminal;

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use super::client::{WebSocket, WebSocketReceiver, WebSocketSender};
use super::exit::{Outcome, RequestFailed};
use super::signals::Signals;
use crate::streams::channel::ChannelProtocol;
use crate::streams::channel::client::{CommandEnd, ServerFrame, resize_message, stdin_close_message, stdin_message};
use terminal::{RawTerminal, TerminalSizes};

/// The sub-protocol of sessions: the first in which clients can end the input.
pub const PROTOCOL: ChannelProtocol = ChannelProtocol::V5;

/// Maximum bytes of input in a message.
const MAX_INPUT: usize = 32 * 1024;

/// The local ends of a session's streams.
pub struct LocalStreams<'s> {
    pub stdin: Option<&'s mut (dyn AsyncRead + Unpin)>,
    pub stdout: &'s mut (dyn AsyncWrite + Unpin),
    pub stderr: &'s mut (dyn AsyncWrite + Unpin),
}

/// Which of this process's streams a session is connected to.
#[derive(Debug, Clone, Copy)]
pub struct SessionMode {
    /// Whether standard input is sent.
    pub stdin: bool,
    /// Whether the program has a terminal, and this process's is in raw mode.
    pub tty: bool,
}

impl SessionMode {
    /// Returns the mode that `-i` and `-t` request. Without input, or if it is not a terminal, there is no terminal.
    pub fn new(stdin: bool, tty: bool) -> SessionMode {
        let tty = tty && stdin;
        if tty && !std::io::stdin().is_terminal() {
            stderrln!("Unable to use a TTY - input is not a terminal or the right kind of file");
            return SessionMode { stdin, tty: false };
        }
        SessionMode { stdin, tty }
    }

    /// Appends the parameters of exec and attach requests.
    pub fn append_to(self, query: &mut form_urlencoded::Serializer<'_, String>) {
        query.append_pair("stdout", "true");
        let flags = [("stdin", self.stdin), ("tty", self.tty), ("stderr", !self.tty)];
        for (name, _) in flags.iter().filter(|(_, is_set)| *is_set) {
            query.append_pair(name, "true");
        }
    }
}

/// Connects this process's streams to a session until the program ends. A signal that ends the session restores the
/// terminal. A program that runs already shows its screen again (`redraws`).
pub async fn run_on_terminal(socket: WebSocket, mode: SessionMode, redraws: bool) -> anyhow::Result<Outcome> {
    let (mut stdin, mut stdout, mut stderr) = (tokio::io::stdin(), tokio::io::stdout(), tokio::io::stderr());
    let streams =
        LocalStreams { stdin: mode.stdin.then_some(&mut stdin as _), stdout: &mut stdout, stderr: &mut stderr };
    if !mode.tty {
        return outcome(run(socket, streams, None).await?);
    }
    let mut signals = Signals::listen()?;
    let raw = RawTerminal::enable()?;
    let sizes = TerminalSizes::listen(redraws)?;
    let end = tokio::select! {
        end = run(socket, streams, Some(sizes)) => end,
        signal = signals.next() => return Ok(signal),
    };
    drop(raw);
    outcome(end?)
}

/// Returns the outcome of a command whose program ended. Prints an exit code in kubectl's words.
pub fn outcome(end: CommandEnd) -> anyhow::Result<Outcome> {
    match end {
        CommandEnd::Success => Ok(Outcome::Success),
        CommandEnd::ExitCode(code) => {
            stderrln!("command terminated with exit code {code}");
            Ok(Outcome::Program(u8::try_from(code & 0xff).unwrap_or(u8::MAX)))
        }
        CommandEnd::Failed(message) => Err(RequestFailed(message).into()),
    }
}

/// Copies between `socket` and `streams` until the server reports how the program ended.
pub async fn run(
    socket: WebSocket,
    streams: LocalStreams<'_>,
    sizes: Option<TerminalSizes>,
) -> anyhow::Result<CommandEnd> {
    let WebSocket { mut sender, mut receiver } = socket;
    let LocalStreams { stdin, stdout, stderr } = streams;
    let end = tokio::select! {
        end = receive(&mut receiver, stdout, stderr) => end,
        never = send(&mut sender, stdin, sizes) => match never {},
    };
    sender.close().await;
    end
}

/// Writes the output until the program has ended.
async fn receive(
    receiver: &mut WebSocketReceiver,
    stdout: &mut (dyn AsyncWrite + Unpin),
    stderr: &mut (dyn AsyncWrite + Unpin),
) -> anyhow::Result<CommandEnd> {
    while let Some(message) = receiver.next().await? {
        match ServerFrame::decode(message) {
            Some(ServerFrame::Stdout(bytes)) => write(stdout, &bytes).await?,
            Some(ServerFrame::Stderr(bytes)) => write(stderr, &bytes).await?,
            Some(ServerFrame::Status(json)) => return Ok(CommandEnd::from_status(&json)),
            None => {}
        }
    }
    Err(RequestFailed("the server closed the connection before the command ended".into()).into())
}

async fn write(output: &mut (dyn AsyncWrite + Unpin), bytes: &[u8]) -> std::io::Result<()> {
    output.write_all(bytes).await?;
    output.flush().await
}

/// Sends input, its end and the terminal's sizes for as long as the session lasts. What a closed connection cannot take
/// is dropped: the receiving half reports the reason.
async fn send(
    sender: &mut WebSocketSender,
    mut stdin: Option<&mut (dyn AsyncRead + Unpin)>,
    mut sizes: Option<TerminalSizes>,
) -> Infallible {
    let mut buffer = vec![0; MAX_INPUT];
    loop {
        let message = tokio::select! {
            length = read(&mut stdin, &mut buffer) => match buffer.get(..length) {
                Some(input) if !input.is_empty() => stdin_message(input),
                Some(_) | None => {
                    stdin = None;
                    stdin_close_message()
                }
            },
            message = next_size(&mut sizes) => message,
        };
        sender.send(message).await;
    }
}

/// Returns how many bytes were read; 0 at the end and for input that cannot be read. Waits for ever without input.
async fn read(stdin: &mut Option<&mut (dyn AsyncRead + Unpin)>, buffer: &mut [u8]) -> usize {
    match stdin {
        Some(stdin) => stdin.read(buffer).await.unwrap_or(0),
        None => pending().await,
    }
}

async fn next_size(sizes: &mut Option<TerminalSizes>) -> Bytes {
    match sizes {
        Some(sizes) => resize_message(sizes.next().await),
        None => pending().await,
    }
}
