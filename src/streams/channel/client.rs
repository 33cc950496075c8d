//! The client's side of remote commands, in protocols with binary messages: v4 and v5.

use bytes::{BufMut, Bytes, BytesMut};
use serde::Deserialize;

use super::super::message::MessageEncoding;
use super::super::terminal_size::TerminalSize;
use super::{CLOSE, Channel};

/// A message from the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ServerFrame {
    /// Output of the command; may be empty, as servers open channels by an empty message.
    Stdout(Bytes),
    /// Error output of the command.
    Stderr(Bytes),
    /// How the command ended: a `Status` in JSON.
    Status(Bytes),
}

impl ServerFrame {
    /// Decodes a binary message, whose memory the frame shares. Returns `None` if it is empty, or of a channel on which
    /// servers send nothing.
    pub fn decode(message: Bytes) -> Option<ServerFrame> {
        let (number, data) = MessageEncoding::Binary.split(message)?;
        match Channel::from_number(number)? {
            Channel::Stdout => Some(ServerFrame::Stdout(data)),
            Channel::Stderr => Some(ServerFrame::Stderr(data)),
            Channel::Error => Some(ServerFrame::Status(data)),
            Channel::Stdin | Channel::Resize => None,
        }
    }
}

/// Returns the message that carries input for the command.
pub fn stdin_message(data: &[u8]) -> Bytes {
    message(Channel::Stdin, data)
}

/// Returns the message that ends the input (v5).
pub fn stdin_close_message() -> Bytes {
    Bytes::from(vec![CLOSE, Channel::Stdin.number()])
}

/// Returns the message that reports the size of the client's terminal.
pub fn resize_message(size: TerminalSize) -> Bytes {
    let TerminalSize { width, height } = size;
    message(Channel::Resize, format!("{{\"Width\":{width},\"Height\":{height}}}\n").as_bytes())
}

fn message(channel: Channel, data: &[u8]) -> Bytes {
    let mut message = BytesMut::with_capacity(1 + data.len());
    MessageEncoding::Binary.start(channel.number(), &mut message);
    message.put_slice(data);
    message.freeze()
}

/// How a remote command ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CommandEnd {
    /// With exit code 0, or a client that detached.
    Success,
    /// With this exit code.
    ExitCode(i32),
    /// The command could not run, with the server's message.
    Failed(String),
}

impl CommandEnd {
    /// Reads the `Status` of the error channel, as client-go's `remotecommand` does.
    pub fn from_status(json: &[u8]) -> CommandEnd {
        #[derive(Default, Deserialize)]
        #[serde(default)]
        struct Status {
            status: String,
            reason: String,
            message: String,
            details: Option<Details>,
        }
        #[derive(Default, Deserialize)]
        #[serde(default)]
        struct Details {
            causes: Vec<Cause>,
        }
        #[derive(Default, Deserialize)]
        #[serde(default)]
        struct Cause {
            reason: String,
            message: String,
        }
        let status = match serde_json::from_slice::<Status>(json) {
            Ok(status) => status,
            Err(error) => {
                return CommandEnd::Failed(format!("cannot decode the status of the command: {error}"));
            }
        };
        if status.status == "Success" {
            return CommandEnd::Success;
        }
        let causes = status.details.unwrap_or_default().causes;
        let code = causes.iter().find(|cause| cause.reason == "ExitCode").and_then(|cause| cause.message.parse().ok());
        match code {
            Some(code) if status.reason == "NonZeroExitCode" => CommandEnd::ExitCode(code),
            _ => CommandEnd::Failed(status.message),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{ChannelDecoder, ChannelProtocol, ClientFrame};
    use super::*;

    #[test]
    fn messages_are_those_that_servers_decode() {
        let mut decoder = ChannelDecoder::new(ChannelProtocol::V5);
        let size = TerminalSize { width: 80, height: 24 };
        for (message, expected) in [
            (stdin_message(b"hi"), ClientFrame::Stdin(Bytes::from_static(b"hi"))),
            (stdin_close_message(), ClientFrame::Close(Channel::Stdin)),
            (resize_message(size), ClientFrame::Resize(size)),
        ] {
            assert_eq!(decoder.decode(message).expect("a frame"), Some(expected));
        }
    }

    #[test]
    fn output_is_decoded_by_channel() {
        let decode = |message: &'static [u8]| ServerFrame::decode(Bytes::from_static(message));
        assert_eq!(decode(b"\x01out"), Some(ServerFrame::Stdout(Bytes::from_static(b"out"))));
        assert_eq!(decode(b"\x02"), Some(ServerFrame::Stderr(Bytes::new())));
        assert_eq!(decode(b"\x03{}"), Some(ServerFrame::Status(Bytes::from_static(b"{}"))));
        for ignored in [&b""[..], b"\x00x", b"\x04x", b"\x09x"] {
            assert_eq!(decode(ignored), None, "{ignored:?}");
        }
    }

    #[test]
    fn status_tells_success_exit_code_and_failure() {
        for (json, expected) in [
            (r#"{"metadata":{},"status":"Success"}"#, CommandEnd::Success),
            (
                r#"{"status":"Failure","message":"m","reason":"NonZeroExitCode",
                    "details":{"causes":[{"reason":"ExitCode","message":"7"}]}}"#,
                CommandEnd::ExitCode(7),
            ),
            (r#"{"status":"Failure","message":"m","reason":"NonZeroExitCode"}"#, CommandEnd::Failed("m".into())),
            (r#"{"status":"Failure","message":"gone","reason":"InternalError"}"#, CommandEnd::Failed("gone".into())),
        ] {
            assert_eq!(CommandEnd::from_status(json.as_bytes()), expected, "{json}");
        }
        assert!(matches!(CommandEnd::from_status(b"oops"), CommandEnd::Failed(_)));
    }
}
