//! Port-forward over WebSocket channels, for clients other than kubectl: two channels per port, data and error, in the
//! order of the `ports` parameters (`k8s.io/kubelet/pkg/cri/streaming/portforward/websocket.go`).

use std::num::NonZeroU16;

use bytes::{Bytes, BytesMut};

use super::channel::{ChannelProtocol, NegotiationError};
use super::message::{Base64Error, ChannelMessage, MessageEncoding};
use super::port::{PortError, parse_port};

/// Maximum ports of a connection, so that each channel's number is one ASCII character in base64 messages.
pub const MAX_PORTS: usize = 32;

const PROTOCOLS: [ChannelProtocol; 3] = [ChannelProtocol::V4, ChannelProtocol::V4Base64, ChannelProtocol::Unnamed];

/// Returns the first protocol among those that the client offers that is supported for port-forward.
///
/// # Errors
///
/// Fails if none of the offered protocols is supported.
pub fn negotiate(offered: &[&str]) -> Result<ChannelProtocol, NegotiationError> {
    ChannelProtocol::negotiate_among(&PROTOCOLS, offered)
}

/// The ports of a request are not valid. The texts are the kubelet's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PortsError {
    /// The request has no such parameter.
    #[error("query parameter \"port\" is required")]
    Missing,
    /// A parameter has no value.
    #[error("query parameter \"port\" cannot be empty")]
    Empty,
    /// A value is not a port.
    #[error(transparent)]
    Port(#[from] PortError),
    /// The request has more ports than a connection can have channels for.
    #[error("{0} ports are too many; at most {MAX_PORTS} can be forwarded by one connection")]
    TooMany(usize),
}

/// Reads the values of the `ports` parameters, each of them a port or several with commas.
///
/// # Errors
///
/// Fails if there is none, one is not valid, or there are too many.
pub fn parse_ports<'a>(values: impl IntoIterator<Item = &'a str>) -> Result<Vec<NonZeroU16>, PortsError> {
    let mut ports = Vec::new();
    for value in values {
        if value.is_empty() {
            return Err(PortsError::Empty);
        }
        for port in value.split(',') {
            ports.push(parse_port(port, value)?);
        }
    }
    match ports.len() {
        0 => Err(PortsError::Missing),
        1..=MAX_PORTS => Ok(ports),
        count => Err(PortsError::TooMany(count)),
    }
}

/// A message from the client is not valid. Kubernetes ignores such messages.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PortFrameError {
    /// The channel does not exist.
    #[error("channel {0} does not exist")]
    UnknownChannel(u8),
    /// The client sends on an error channel, which is the server's.
    #[error("channel {channel} (errors of port {port}) carries no data from the client")]
    WrongDirection {
        /// The channel's number.
        channel: u8,
        /// The port whose errors it carries.
        port: NonZeroU16,
    },
    /// The data are not valid base64.
    #[error(transparent)]
    Base64(#[from] Base64Error),
}

/// Bytes from the client for one of the ports.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PortData {
    /// Position of the port in the request. A port may be in it twice.
    pub index: usize,
    /// The bytes; may be empty.
    pub bytes: Bytes,
}

/// The channels of a connection.
#[derive(Debug, Clone)]
pub struct PortChannels {
    encoding: MessageEncoding,
    ports: Vec<NonZeroU16>,
}

impl PortChannels {
    /// Returns the channels for these ports, the first [`MAX_PORTS`] of them.
    pub fn new(protocol: ChannelProtocol, mut ports: Vec<NonZeroU16>) -> PortChannels {
        ports.truncate(MAX_PORTS);
        PortChannels { encoding: protocol.encoding(), ports }
    }

    /// Returns the ports in the order of the request.
    pub fn ports(&self) -> &[NonZeroU16] {
        &self.ports
    }

    /// Returns the messages that the server sends first: on each channel its port, 16 bits in little-endian order.
    pub fn opening(&self) -> impl Iterator<Item = ChannelMessage> {
        let channels = self.ports.iter().zip(0..).flat_map(|(port, index)| {
            let port = port.get().to_le_bytes();
            [(data_channel(index), port), (error_channel(index), port)]
        });
        channels.map(|(channel, port)| self.encoding.encode(channel, &port))
    }

    /// Decodes a message, binary or text. Returns `None` if the message is empty.
    ///
    /// # Errors
    ///
    /// Fails if the message is not valid; the next one can be decoded all the same.
    pub fn decode(&self, message: Bytes) -> Result<Option<PortData>, PortFrameError> {
        let Some((channel, data)) = self.encoding.split(message) else { return Ok(None) };
        let index = usize::from(channel / 2);
        let port = *self.ports.get(index).ok_or(PortFrameError::UnknownChannel(channel))?;
        if channel % 2 == 1 {
            return Err(PortFrameError::WrongDirection { channel, port });
        }
        Ok(Some(PortData { index, bytes: self.encoding.decode(channel, data)? }))
    }

    /// Returns the message that carries bytes of the port at `index` in the request.
    pub fn encode_data(&self, index: usize, bytes: &[u8]) -> ChannelMessage {
        self.encoding.encode(data_channel(index), bytes)
    }

    /// Begins such a message by appending the channel's prefix, so that the caller can read bytes directly behind it.
    pub fn start_data(&self, index: usize, message: &mut BytesMut) {
        self.encoding.start(data_channel(index), message);
    }

    /// Returns the message that [`start_data`](Self::start_data) began. Binary messages are not copied.
    pub fn finish_data(&self, message: BytesMut) -> ChannelMessage {
        self.encoding.finish(message)
    }

    /// Returns the message that reports an error of the port at `index` in the request.
    pub fn encode_error(&self, index: usize, text: &str) -> ChannelMessage {
        self.encoding.encode(error_channel(index), text.as_bytes())
    }
}

/// Returns the number of a port's data channel; within a byte, because of [`MAX_PORTS`].
fn data_channel(index: usize) -> u8 {
    u8::try_from(2 * index.min(MAX_PORTS)).unwrap_or(u8::MAX)
}

fn error_channel(index: usize) -> u8 {
    data_channel(index).saturating_add(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn channels(protocol: ChannelProtocol) -> PortChannels {
        PortChannels::new(protocol, parse_ports(["80", "443"]).expect("ports"))
    }

    #[test]
    fn protocols_for_remote_commands_only_are_not_supported() {
        assert_eq!(negotiate(&["v4.base64.channel.k8s.io"]), Ok(ChannelProtocol::V4Base64));
        assert_eq!(negotiate(&["v5.channel.k8s.io", "v4.channel.k8s.io"]), Ok(ChannelProtocol::V4));
        assert_eq!(negotiate(&[]), Ok(ChannelProtocol::Unnamed));
        assert!(negotiate(&["channel.k8s.io"]).is_err());
    }

    #[test]
    fn ports_are_read_in_order() {
        let ports = |values: &[&str]| {
            parse_ports(values.iter().copied())
                .map(|ports| ports.iter().map(|port| port.get()).collect::<Vec<u16>>())
                .map_err(|error| error.to_string())
        };
        assert_eq!(ports(&["80", "443,65535"]), Ok(vec![80, 443, 65535]));
        for (values, error) in [
            (&[][..], "query parameter \"port\" is required"),
            (&[""], "query parameter \"port\" cannot be empty"),
            (&["80", "x"], "unable to parse \"x\" as a port: strconv.ParseUint: parsing \"x\": invalid syntax"),
            (&["+1"], "unable to parse \"+1\" as a port: strconv.ParseUint: parsing \"+1\": invalid syntax"),
            (
                &["65536"],
                "unable to parse \"65536\" as a port: strconv.ParseUint: parsing \"65536\": value out of range",
            ),
            (&["80,"], "unable to parse \"80,\" as a port: strconv.ParseUint: parsing \"\": invalid syntax"),
            (&["0"], "port \"0\" must be > 0"),
            (&["1"; 33], "33 ports are too many; at most 32 can be forwarded by one connection"),
        ] {
            assert_eq!(ports(values), Err(error.to_string()), "{values:?}");
        }
    }

    #[test]
    fn each_channel_begins_with_its_port() {
        let messages: Vec<ChannelMessage> = channels(ChannelProtocol::V4).opening().collect();
        let expected = [&b"\x00\x50\x00"[..], b"\x01\x50\x00", b"\x02\xbb\x01", b"\x03\xbb\x01"];
        assert_eq!(messages, expected.map(|bytes| ChannelMessage::Binary(Bytes::from_static(bytes))));
        let text = channels(ChannelProtocol::V4Base64).opening().next();
        assert_eq!(text, Some(ChannelMessage::Text("0UAA=".into())));
    }

    #[test]
    fn data_and_errors_have_a_channel_each() {
        let channels = channels(ChannelProtocol::V4);
        let decode = |message: &'static [u8]| channels.decode(Bytes::from_static(message));
        assert_eq!(decode(b"\x02hi"), Ok(Some(PortData { index: 1, bytes: Bytes::from_static(b"hi") })));
        assert_eq!(decode(b""), Ok(None));
        assert_eq!(decode(b"\x04"), Err(PortFrameError::UnknownChannel(4)));
        let error = decode(b"\x03x").expect_err("an error channel").to_string();
        assert_eq!(error, "channel 3 (errors of port 443) carries no data from the client");
        assert_eq!(channels.encode_data(1, b"hi"), ChannelMessage::Binary(Bytes::from_static(b"\x02hi")));
        assert_eq!(channels.encode_error(1, "no"), ChannelMessage::Binary(Bytes::from_static(b"\x03no")));
    }

    #[test]
    fn all_ports_have_channels_of_one_character() {
        let ports = vec![NonZeroU16::MIN; MAX_PORTS];
        for message in PortChannels::new(ChannelProtocol::V4Base64, ports).opening() {
            let ChannelMessage::Text(text) = message else { panic!("{message:?} is not text") };
            assert!(text.is_ascii() && text.len() == 5, "{text}");
        }
    }
}
