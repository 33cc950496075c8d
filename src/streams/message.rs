//! WebSocket messages of numbered channels: the channel's number, then the data.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::{Buf, BufMut, Bytes, BytesMut};

/// The encoding of a channel message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MessageEncoding {
    /// The number is a byte, the data follow as they are.
    Binary,
    /// The number is a digit (`'0'` + number), the data are in base64.
    Base64,
}

/// A WebSocket message for the client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ChannelMessage {
    /// A binary message.
    Binary(Bytes),
    /// A text message.
    Text(String),
}

/// The data of a message are not valid base64.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("data of channel {channel} are not valid base64")]
pub struct Base64Error {
    /// The channel's number.
    pub channel: u8,
    source: base64::DecodeError,
}

impl MessageEncoding {
    /// Splits a message into channel number and data, which stay encoded. Returns `None` if the message is empty.
    pub fn split(self, mut message: Bytes) -> Option<(u8, Bytes)> {
        if message.is_empty() {
            return None;
        }
        let first = message.get_u8();
        let channel = match self {
            MessageEncoding::Binary => first,
            MessageEncoding::Base64 => first.wrapping_sub(b'0'),
        };
        Some((channel, message))
    }

    /// Decodes the data of a message, without a copy if they are binary.
    ///
    /// # Errors
    ///
    /// Fails if the encoding is base64 and the data are not.
    pub fn decode(self, channel: u8, data: Bytes) -> Result<Bytes, Base64Error> {
        match self {
            MessageEncoding::Binary => Ok(data),
            MessageEncoding::Base64 => {
                STANDARD.decode(&data).map(Bytes::from).map_err(|source| Base64Error { channel, source })
            }
        }
    }

    /// Begins a message: appends the channel's number. The caller appends the data and calls [`finish`](Self::finish).
    pub fn start(self, channel: u8, message: &mut BytesMut) {
        message.put_u8(match self {
            MessageEncoding::Binary => channel,
            MessageEncoding::Base64 => channel.wrapping_add(b'0'),
        });
    }

    /// Finishes a message that [`start`](Self::start) began: number and unencoded data. Binary data are not copied.
    pub fn finish(self, message: BytesMut) -> ChannelMessage {
        match (self, message.split_first()) {
            (MessageEncoding::Base64, Some((number, data))) => {
                let mut text = String::from(char::from(*number));
                STANDARD.encode_string(data, &mut text);
                ChannelMessage::Text(text)
            }
            (MessageEncoding::Base64, None) => ChannelMessage::Text(String::new()),
            (MessageEncoding::Binary, _) => ChannelMessage::Binary(message.freeze()),
        }
    }

    /// Returns the message that carries `data` on a channel.
    pub fn encode(self, channel: u8, data: &[u8]) -> ChannelMessage {
        let mut message = BytesMut::with_capacity(1 + data.len());
        self.start(channel, &mut message);
        message.extend_from_slice(data);
        self.finish(message)
    }
}
