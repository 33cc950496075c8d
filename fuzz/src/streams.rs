//! Fuzzes the framing of streams: `make fuzz`. The first byte of an input chooses how the rest is read.
#![no_main]

use libfuzzer_sys::fuzz_target;
use streams::channel::{ChannelDecoder, ChannelProtocol};
use streams::port_forward::StreamPairs;
use streams::portforward_channels::{PortChannels, parse_ports};
use streams::spdy::{ResetStatus, Session, SessionEvent, SpdyError};

/// SYN_STREAM of stream 1, without headers: stored in zlib, as the beginning of a stream.
const SYN_STREAM: &[u8] = b"\x80\x03\x00\x01\x00\x00\x00\x15\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\
    \x78\x01\x00\x04\x00\xfb\xff\x00\x00\x00\x00";

fuzz_target!(|bytes: &[u8]| {
    let Some((mode, bytes)) = bytes.split_first() else { return };
    let chunk = usize::from(mode >> 2);
    match mode % 4 {
        0 => check_session(bytes, chunk),
        1 => check_session(&[SYN_STREAM, bytes].concat(), chunk),
        2 => check_session(&with_header_block(bytes), chunk),
        _ => check_channels(bytes),
    }
});

/// Returns a SYN_STREAM with these bytes as its decompressed header block.
fn with_header_block(bytes: &[u8]) -> Vec<u8> {
    let block = bytes.get(..16_000).unwrap_or(bytes);
    let stored = u16::try_from(block.len()).unwrap_or(u16::MAX);
    let length = u32::from(stored) + 10 + 7;
    let mut frame = vec![0x80, 3, 0, 1];
    frame.extend(length.to_be_bytes());
    frame.extend([0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0x78, 1, 0]);
    frame.extend(stored.to_le_bytes());
    frame.extend((!stored).to_le_bytes());
    frame.extend_from_slice(block);
    frame
}

/// Checks that a session reads the same from chunks as from the whole, and answers within its bound.
fn check_session(bytes: &[u8], chunk: usize) {
    let (whole, in_chunks) = (outcome(bytes, bytes.len()), outcome(bytes, chunk));
    assert_eq!(whole.1, in_chunks.1);
    assert_eq!(whole.0, in_chunks.0);
}

/// Returns the events, those of data without their bytes, and the error.
fn outcome(bytes: &[u8], chunk: usize) -> (Vec<String>, Result<(), SpdyError>) {
    let (mut session, mut pairs, mut outcome) = (Session::server(), StreamPairs::default(), Vec::new());
    for piece in bytes.chunks(chunk.max(1)) {
        let mut events = Vec::new();
        let result = session.receive(piece.to_vec(), &mut events);
        for event in events {
            match &event {
                SessionEvent::StreamOpened { stream, headers, .. } => match pairs.add(*stream, headers, stream.get()) {
                    Ok(Some(_)) => outcome.push(format!("{event:?}")),
                    Ok(None) => outcome.push(format!("{stream} waits")),
                    Err(_) => pairs.remove(*stream),
                },
                SessionEvent::Data { fin: true, stream, .. } => outcome.push(format!("{stream} ends")),
                SessionEvent::Data { .. } => {}
                SessionEvent::Reset { .. } | SessionEvent::GoAway => outcome.push(format!("{event:?}")),
            }
        }
        if result.is_err() {
            return (outcome, result);
        }
    }
    assert!(session.output_len() <= 2 * bytes.len() + 16, "{} bytes of output", session.output_len());
    for number in pairs.expire(u32::MAX) {
        let _ = session.send_data(number, bytes, false);
        session.reset(number, ResetStatus::Cancel);
    }
    (outcome, Ok(()))
}

/// Decodes the bytes as messages that end with 0xfe.
fn check_channels(bytes: &[u8]) {
    let ports = PortChannels::new(ChannelProtocol::V4, parse_ports(["80", "443"]).unwrap_or_default());
    for protocol in ChannelProtocol::ALL {
        let mut decoder = ChannelDecoder::new(protocol);
        for message in bytes.split(|byte| *byte == 0xfe) {
            let _ = decoder.decode(message.to_vec().into());
            let _ = ports.decode(message.to_vec().into());
        }
    }
}
