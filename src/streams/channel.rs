//! Remote command over WebSocket: the channels of exec and attach, in the protocols of Kubernetes' API server
//! (`k8s.io/apimachinery/pkg/util/httpstream/wsstream`).

pub mod client;

use bytes::{Bytes, BytesMut};

use super::message::{Base64Error, ChannelMessage, MessageEncoding};
use super::terminal_size::{TerminalSize, TerminalSizeDecoder, TerminalSizeError};

/// The first byte of a close frame of v5; the channel's number follows.
const CLOSE: u8 = 255;

/// A WebSocket subprotocol for remote commands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChannelProtocol {
    /// `v5.channel.k8s.io`: v4 with close frames.
    V5,
    /// `v4.channel.k8s.io`: the exit status is a `Status` in JSON.
    V4,
    /// `v4.base64.channel.k8s.io`: v4 in text messages.
    V4Base64,
    /// `channel.k8s.io`: errors are plain text.
    Channel,
    /// `base64.channel.k8s.io`: the same in text messages.
    Base64Channel,
    /// The client offers no protocol; the same as `channel.k8s.io`.
    Unnamed,
}

/// No protocol that the client offers is supported.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("requested protocol(s) are not supported: {offered:?}; supports {supported:?}")]
pub struct NegotiationError {
    /// The protocols that the client offers.
    pub offered: Vec<String>,
    /// The names of those that the endpoint supports.
    pub supported: Vec<&'static str>,
}

impl ChannelProtocol {
    /// All protocols, newest first.
    pub const ALL: [ChannelProtocol; 6] = [
        ChannelProtocol::V5,
        ChannelProtocol::V4,
        ChannelProtocol::V4Base64,
        ChannelProtocol::Channel,
        ChannelProtocol::Base64Channel,
        ChannelProtocol::Unnamed,
    ];

    /// Returns the protocol with this name; the empty name is [`Unnamed`](Self::Unnamed).
    pub fn parse(name: &str) -> Option<ChannelProtocol> {
        ChannelProtocol::ALL.into_iter().find(|protocol| protocol.name() == name)
    }

    /// Returns the name in `Sec-WebSocket-Protocol`; empty if the answer has no such header.
    pub fn name(self) -> &'static str {
        match self {
            ChannelProtocol::V5 => "v5.channel.k8s.io",
            ChannelProtocol::V4 => "v4.channel.k8s.io",
            ChannelProtocol::V4Base64 => "v4.base64.channel.k8s.io",
            ChannelProtocol::Channel => "channel.k8s.io",
            ChannelProtocol::Base64Channel => "base64.channel.k8s.io",
            ChannelProtocol::Unnamed => "",
        }
    }

    /// Returns the first protocol among those that the client offers that is supported for exec and attach. The order is
    /// the client's, as in Kubernetes; a client that offers nothing gets [`Unnamed`](Self::Unnamed).
    ///
    /// # Errors
    ///
    /// Fails if none of the offered protocols is supported.
    pub fn negotiate(offered: &[&str]) -> Result<ChannelProtocol, NegotiationError> {
        ChannelProtocol::negotiate_among(&ChannelProtocol::ALL, offered)
    }

    /// Returns the first offered protocol that is in `supported`; see [`negotiate`](Self::negotiate).
    ///
    /// # Errors
    ///
    /// Fails if there is none.
    pub fn negotiate_among(
        supported: &[ChannelProtocol],
        offered: &[&str],
    ) -> Result<ChannelProtocol, NegotiationError> {
        let candidates = if offered.is_empty() { &[""] } else { offered };
        let mut protocols = candidates.iter().filter_map(|name| ChannelProtocol::parse(name));
        protocols.find(|protocol| supported.contains(protocol)).ok_or_else(|| NegotiationError {
            offered: offered.iter().map(ToString::to_string).collect(),
            supported: supported.iter().map(|protocol| protocol.name()).collect(),
        })
    }

    /// Returns the encoding of messages in both directions.
    pub fn encoding(self) -> MessageEncoding {
        match self {
            ChannelProtocol::V5 | ChannelProtocol::V4 | ChannelProtocol::Channel | ChannelProtocol::Unnamed => {
                MessageEncoding::Binary
            }
            ChannelProtocol::V4Base64 | ChannelProtocol::Base64Channel => MessageEncoding::Base64,
        }
    }

    /// Returns whether the error channel carries a `Status` in JSON, for success too. If not, it carries the message of
    /// an error as plain text, and nothing for success.
    pub fn has_json_status(self) -> bool {
        matches!(self, ChannelProtocol::V5 | ChannelProtocol::V4 | ChannelProtocol::V4Base64)
    }

    /// Returns whether clients close single channels by frames. Servers never do.
    pub fn has_close_frames(self) -> bool {
        self == ChannelProtocol::V5
    }

    /// Returns the message that carries `data` on a channel.
    pub fn encode(self, channel: Channel, data: &[u8]) -> ChannelMessage {
        self.encoding().encode(channel.number(), data)
    }

    /// Begins a message by appending the channel's prefix, so that the caller can read data directly behind it.
    /// [`finish_message`](Self::finish_message) returns the message.
    pub fn start_message(self, channel: Channel, message: &mut BytesMut) {
        self.encoding().start(channel.number(), message);
    }

    /// Returns the message that [`start_message`](Self::start_message) began. Binary messages are not copied.
    pub fn finish_message(self, message: BytesMut) -> ChannelMessage {
        self.encoding().finish(message)
    }
}

/// A channel of a remote command.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Channel {
    /// Input of the command; from the client.
    Stdin,
    /// Output of the command.
    Stdout,
    /// Error output of the command.
    Stderr,
    /// How the command ended.
    Error,
    /// Sizes of the client's terminal; from the client.
    Resize,
}

impl Channel {
    /// All channels, by number.
    pub const ALL: [Channel; 5] = [Channel::Stdin, Channel::Stdout, Channel::Stderr, Channel::Error, Channel::Resize];

    /// Returns the channel with this number.
    pub fn from_number(number: u8) -> Option<Channel> {
        Channel::ALL.into_iter().find(|channel| channel.number() == number)
    }

    /// Returns the number with which messages name the channel.
    pub fn number(self) -> u8 {
        match self {
            Channel::Stdin => 0,
            Channel::Stdout => 1,
            Channel::Stderr => 2,
            Channel::Error => 3,
            Channel::Resize => 4,
        }
    }

    /// Returns the name, which is also the `streamType` of the same stream over SPDY.
    pub fn name(self) -> &'static str {
        match self {
            Channel::Stdin => "stdin",
            Channel::Stdout => "stdout",
            Channel::Stderr => "stderr",
            Channel::Error => "error",
            Channel::Resize => "resize",
        }
    }
}

/// A message from the client, decoded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClientFrame {
    /// Input for the command; may be empty, which is not the end of input.
    Stdin(Bytes),
    /// The terminal's new size.
    Resize(TerminalSize),
    /// The client sends nothing more on the channel (v5). Matters for stdin: its reader gets the end of input.
    Close(Channel),
}

/// A message from the client is not valid.
#[derive(Debug, thiserror::Error)]
pub enum FrameError {
    /// The channel does not exist. Kubernetes ignores such a message.
    #[error("channel {0} does not exist")]
    UnknownChannel(u8),
    /// The client sends on a channel that is the server's. Kubernetes ignores such a message.
    #[error("channel {} ({}) carries no data from the client", .0.number(), .0.name())]
    WrongDirection(Channel),
    /// A close frame does not name exactly one channel. Kubernetes closes the connection.
    #[error("a close frame names {0} channels, not 1")]
    MalformedClose(usize),
    /// The data are not valid base64. Kubernetes ignores such a message.
    #[error(transparent)]
    Base64(#[from] Base64Error),
    /// The terminal's size cannot be read. Kubernetes ignores it and all that follow.
    #[error("channel {} (resize): cannot read the terminal size", Channel::Resize.number())]
    Resize(#[from] TerminalSizeError),
}

/// Decodes the messages of a client of exec or attach.
#[derive(Debug)]
pub struct ChannelDecoder {
    protocol: ChannelProtocol,
    sizes: TerminalSizeDecoder,
}

impl ChannelDecoder {
    /// Returns a decoder for a connection that speaks `protocol`.
    pub fn new(protocol: ChannelProtocol) -> ChannelDecoder {
        ChannelDecoder { protocol, sizes: TerminalSizeDecoder::default() }
    }

    /// Decodes a message, binary or text. Returns `None` if the message is empty or ends within a terminal size. Binary
    /// input shares the memory of the message.
    ///
    /// # Errors
    ///
    /// Fails if the message is not valid; the next one can be decoded all the same.
    pub fn decode(&mut self, message: Bytes) -> Result<Option<ClientFrame>, FrameError> {
        if self.protocol.has_close_frames() && message.first() == Some(&CLOSE) {
            return decode_close(&message).map(Some);
        }
        let encoding = self.protocol.encoding();
        let Some((number, data)) = encoding.split(message) else { return Ok(None) };
        match Channel::from_number(number).ok_or(FrameError::UnknownChannel(number))? {
            Channel::Stdin => Ok(Some(ClientFrame::Stdin(encoding.decode(number, data)?))),
            Channel::Resize => Ok(self.sizes.push(&encoding.decode(number, data)?)?.map(ClientFrame::Resize)),
            channel @ (Channel::Stdout | Channel::Stderr | Channel::Error) => Err(FrameError::WrongDirection(channel)),
        }
    }
}

fn decode_close(message: &[u8]) -> Result<ClientFrame, FrameError> {
    let [CLOSE, number] = message else { return Err(FrameError::MalformedClose(message.len().saturating_sub(1))) };
    Channel::from_number(*number).map(ClientFrame::Close).ok_or(FrameError::UnknownChannel(*number))
}

#[cfg(test)]
mod tests;
