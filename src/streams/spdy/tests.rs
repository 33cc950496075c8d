//! Sessions against a client that may break every rule, and properties of any input.

use bytes::Bytes;

use super::frame::{FLAG_FIN, FLAG_UNIDIRECTIONAL, Frame, GOAWAY, PING, RST_STREAM, SYN_REPLY, SYN_STREAM};
use super::header_block::{HeaderCompressor, HeaderDecompressor};
use super::test_client::Client;
use super::*;

mod properties;

const HEADERS: u16 = 8;
const PROTOCOL_ERROR: u32 = 1;

fn id(number: u32) -> StreamId {
    StreamId::from_wire(number)
}

fn opened(stream: StreamId, headers: &[(&str, &str)], fin: bool) -> SessionEvent {
    SessionEvent::StreamOpened { stream, headers: headers.iter().copied().collect(), fin }
}

fn data(stream: StreamId, bytes: &'static [u8], fin: bool) -> SessionEvent {
    SessionEvent::Data { stream, bytes: Bytes::from_static(bytes), fin }
}

fn data_frame(stream: StreamId, bytes: &'static [u8], fin: bool) -> Frame {
    Frame::Data { stream, bytes: Bytes::from_static(bytes), fin }
}

fn reset_frame(stream: StreamId, status: ResetStatus) -> Frame {
    Frame::RstStream { stream, status: status.code() }
}

/// Passes on what the client has written.
fn receive(session: &mut Session, client: &mut Client) -> Vec<SessionEvent> {
    let mut events = Vec::new();
    session.receive(client.output.split().freeze(), &mut events).expect("valid frames");
    events
}

/// Checks the error of the session, the GOAWAY to the client, and that nothing is read afterwards.
#[track_caller]
fn check_failure(bytes: Bytes, expected: SpdyError) {
    let mut session = Session::server();
    assert_eq!(session.receive(bytes, &mut Vec::new()), Err(expected));
    assert_eq!(Client::new().read(session.take_output()), [Frame::GoAway { last_stream: id(0) }]);
    let mut client = Client::new();
    client.open(&[], 0);
    assert_eq!(session.receive(client.output.freeze(), &mut Vec::new()), Err(expected));
    assert_eq!((session.open_streams(), session.output_len()), (0, 0));
}

/// Checks the error of the session for a control frame.
#[track_caller]
fn check_control_failure(kind: u16, payload: &[u8], expected: SpdyError) {
    let mut client = Client::new();
    client.control(kind, payload);
    check_failure(client.output.freeze(), expected);
}

/// Checks that the client's frames are answered by resets only, and open nothing.
#[track_caller]
fn check_resets(session: &mut Session, client: &mut Client, expected: &[(u32, ResetStatus)]) {
    assert_eq!(receive(session, client), []);
    let expected: Vec<Frame> = expected.iter().map(|(stream, status)| reset_frame(id(*stream), *status)).collect();
    assert_eq!(client.read(session.take_output()), expected);
}

/// Frames that Python's zlib compressed: both streams of a port-forward, the second in the context of the first.
#[test]
fn blocks_of_other_zlibs_are_read() {
    const FRAMES: &[u8] = b"\x80\x03\x00\x01\x00\x00\x00\x3d\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\
        \x78\xbb\xe3\xc6\xa7\xc2\x02\x25\x3a\x48\xf9\x5b\x04\x4e\xea\x16\x06\x16\x06\x40\x9a\xb3\x08\x12\x5f\x99\xa0\
        \x74\xcc\x68\x00\x4e\x89\x25\x45\xa9\x89\xb9\xd0\xc2\x86\x35\x15\x14\x15\x00\x00\x00\x00\xff\xff\
        \x80\x03\x00\x01\x00\x00\x00\x16\x00\x00\x00\x03\x00\x00\x00\x00\x00\x00\
        \x22\x53\x33\xa8\xa4\x4a\x04\x00\x00\x00\xff\xff";
    let (mut session, mut events) = (Session::server(), Vec::new());
    session.receive(Bytes::from_static(FRAMES), &mut events).expect("valid frames");
    let headers = |kind| [("port", "8080"), ("requestid", "0"), ("streamtype", kind)];
    assert_eq!(events, [opened(id(1), &headers("error"), false), opened(id(3), &headers("data"), false)]);
}

#[test]
fn stream_is_opened_used_and_closed() {
    let (mut session, mut client) = (Session::server(), Client::new());
    let stream = client.open(&[("port", "80")], 0);
    client.data(stream, b"GET", false);
    let events = receive(&mut session, &mut client);
    assert_eq!(events, [opened(stream, &[("port", "80")], false), data(stream, b"GET", false)]);

    assert_eq!((session.reply(stream), session.reply(stream)), (Ok(()), Ok(())));
    session.send_data(stream, b"200", false).expect("open");
    session.send_data(stream, b"", false).expect("open");
    session.send_data(stream, b"", true).expect("open");
    let frames = client.read(session.take_output());
    let [Frame::SynReply { stream: replied, .. }, rest @ ..] = frames.as_slice() else { panic!("{frames:?}") };
    assert_eq!((*replied, rest), (stream, &[data_frame(stream, b"200", false), data_frame(stream, b"", true)][..]));
    assert_eq!(session.send_data(stream, b"more", false), Err(StreamError::Finished(stream)));

    client.data(stream, b"", false);
    client.data(stream, b"bye", true);
    assert_eq!(receive(&mut session, &mut client), [data(stream, b"bye", true)]);
    assert_eq!(session.open_streams(), 0);
    assert_eq!(session.send_data(stream, b"more", false), Err(StreamError::NotOpen(stream)));
}

#[test]
fn data_before_the_reply_are_preceded_by_it() {
    let (mut session, mut client) = (Session::server(), Client::new());
    let streams = [client.open(&[], FLAG_FIN), client.open(&[], 0)];
    assert_eq!(receive(&mut session, &mut client), [opened(streams[0], &[], true), opened(streams[1], &[], false)]);
    for stream in streams {
        session.send_data(stream, b"x", true).expect("open");
        let frames = client.read(session.take_output());
        assert!(matches!(&frames[..], [Frame::SynReply { .. }, Frame::Data { fin: true, .. }]), "{frames:?}");
    }
    assert_eq!(session.open_streams(), 1);
}

#[test]
fn long_data_are_split() {
    let (mut session, mut client) = (Session::server(), Client::new());
    let stream = client.open(&[], 0);
    receive(&mut session, &mut client);
    session.reply(stream).expect("open");
    session.take_output();
    for (length, expected) in [
        (MAX_DATA_FRAME, &[(MAX_DATA_FRAME, false)][..]),
        (2 * MAX_DATA_FRAME + 1, &[(MAX_DATA_FRAME, false), (MAX_DATA_FRAME, false), (1, false)]),
    ] {
        session.send_data(stream, &vec![7; length], false).expect("open");
        let frames = client.read(session.take_output());
        let sizes: Vec<(usize, bool)> = frames
            .iter()
            .map(|frame| match frame {
                Frame::Data { bytes, fin, .. } => (bytes.len(), *fin),
                other => panic!("{other:?} is not data"),
            })
            .collect();
        assert_eq!(sizes, expected);
    }
}

#[test]
fn data_share_the_memory_of_the_input() {
    let (mut session, mut client, mut events) = (Session::server(), Client::new(), Vec::new());
    let stream = client.open(&[], 0);
    receive(&mut session, &mut client);
    client.data(stream, b"input", false);
    let input = client.output.freeze();
    session.receive(input.clone(), &mut events).expect("valid frames");
    let [SessionEvent::Data { bytes, .. }] = &events[..] else { panic!("{events:?}") };
    assert_eq!(bytes.as_ptr(), input[8..].as_ptr());
}

#[test]
fn either_side_resets_a_stream() {
    let (mut session, mut client) = (Session::server(), Client::new());
    let (first, second) = (client.open(&[], 0), client.open(&[], 0));
    client.reset(first);
    client.reset(first);
    assert_eq!(receive(&mut session, &mut client).last(), Some(&SessionEvent::Reset { stream: first }));
    session.reset(second, ResetStatus::Cancel);
    session.reset(second, ResetStatus::Cancel);
    assert_eq!(client.read(session.take_output()), [reset_frame(second, ResetStatus::Cancel)]);
    // On their way when the stream was reset.
    client.data(first, b"late", false);
    client.data(second, b"late", true);
    check_resets(&mut session, &mut client, &[]);
}

#[test]
fn headers_frames_are_read_for_their_end_of_data_only() {
    let (mut session, mut client) = (Session::server(), Client::new());
    let stream = client.open(&[], 0);
    receive(&mut session, &mut client);
    client.headers(HEADERS, stream, &[("a", "b")], 0);
    client.headers(HEADERS, stream, &[("a", "b")], FLAG_FIN);
    client.headers(SYN_REPLY, stream, &[("a", "b")], 0);
    let next = client.open(&[("a", "c")], 0);
    let events = receive(&mut session, &mut client);
    assert_eq!(events, [data(stream, b"", true), opened(next, &[("a", "c")], false)]);
}

#[test]
fn unidirectional_streams_cannot_be_written_to() {
    let (mut session, mut client) = (Session::server(), Client::new());
    let (open, closed) = (client.open(&[], FLAG_UNIDIRECTIONAL), client.open(&[], FLAG_UNIDIRECTIONAL | FLAG_FIN));
    receive(&mut session, &mut client);
    assert_eq!(session.reply(open), Err(StreamError::Finished(open)));
    assert_eq!(session.send_data(closed, b"", true), Err(StreamError::NotOpen(closed)));
    assert_eq!((session.open_streams(), session.output_len()), (1, 0));
}

#[test]
fn pings_of_the_client_are_echoed() {
    let (mut session, mut client) = (Session::server(), Client::new());
    for number in [1_u32, 2, 0, 0xffff_ffff] {
        client.control(PING, &number.to_be_bytes());
    }
    assert_eq!(receive(&mut session, &mut client), []);
    assert_eq!(client.read(session.take_output()), [Frame::Ping { id: 1 }, Frame::Ping { id: 0xffff_ffff }]);
}

#[test]
fn streams_opened_after_going_away_are_ignored() {
    let (mut session, mut client) = (Session::server(), Client::new());
    let first = client.open(&[], 0);
    receive(&mut session, &mut client);
    session.go_away();
    session.go_away();
    assert_eq!(client.read(session.take_output()), [Frame::GoAway { last_stream: first }]);
    let ignored = client.open(&[], 0);
    client.data(ignored, b"x", true);
    client.data(first, b"y", false);
    client.control(GOAWAY, &[0; 8]);
    assert_eq!(receive(&mut session, &mut client), [data(first, b"y", false), SessionEvent::GoAway]);
    assert_eq!(session.output_len(), 0);
}

#[test]
fn streams_with_wrong_numbers_are_reset() {
    let (mut session, mut client) = (Session::server(), Client::new());
    client.syn_stream(id(5), &[], 0);
    receive(&mut session, &mut client);
    client.syn_stream(id(2), &[], 0);
    client.syn_stream(id(3), &[], 0);
    check_resets(&mut session, &mut client, &[(2, ResetStatus::ProtocolError), (3, ResetStatus::ProtocolError)]);
    client.syn_stream(id(5), &[], 0);
    assert_eq!(receive(&mut session, &mut client), [SessionEvent::Reset { stream: id(5) }]);
    assert_eq!(client.read(session.take_output()), [reset_frame(id(5), ResetStatus::ProtocolError)]);
    // Was never opened.
    client.data(id(9), b"x", false);
    client.data(id(9), b"x", true);
    client.data(id(4), b"x", true);
    check_resets(&mut session, &mut client, &[(9, ResetStatus::InvalidStream)]);
}

#[test]
fn data_after_their_end_reset_the_stream() {
    let (mut session, mut client) = (Session::server(), Client::new());
    let stream = client.open(&[], FLAG_FIN);
    client.data(stream, b"x", false);
    let events = receive(&mut session, &mut client);
    assert_eq!(events, [opened(stream, &[], true), SessionEvent::Reset { stream }]);
    assert_eq!(client.read(session.take_output()), [reset_frame(stream, ResetStatus::StreamAlreadyClosed)]);
}

#[test]
fn streams_beyond_the_maximum_are_refused() {
    let (mut session, mut client) = (Session::server(), Client::new());
    for _ in 0..MAX_STREAMS {
        client.open(&[("port", "80")], 0);
    }
    assert_eq!(receive(&mut session, &mut client).len(), MAX_STREAMS);
    let refused = client.open(&[("port", "80")], 0);
    client.data(refused, b"x", true);
    check_resets(&mut session, &mut client, &[(refused.get(), ResetStatus::RefusedStream)]);
    client.reset(id(1));
    let next = client.open(&[("port", "81")], 0);
    let expected = [SessionEvent::Reset { stream: id(1) }, opened(next, &[("port", "81")], false)];
    assert_eq!(receive(&mut session, &mut client), expected);
}

#[test]
fn invalid_headers_reset_only_their_stream() {
    let (mut session, mut client) = (Session::server(), Client::new());
    for headers in [&[("a", "1"), ("a", "2")][..], &[("Port", "1")], &[("", "1")], &[("a\0b", "1")]] {
        let stream = client.open(headers, 0);
        check_resets(&mut session, &mut client, &[(stream.get(), ResetStatus::ProtocolError)]);
    }
    let stream = client.open(&[("a", "1\0two")], 0);
    let events = receive(&mut session, &mut client);
    assert_eq!(events, [opened(stream, &[("a", "1\0two")], false)]);
    let [SessionEvent::StreamOpened { headers, .. }] = &events[..] else { panic!("{events:?}") };
    assert_eq!((headers.get("a"), headers.get("b"), headers.iter().count()), (Some("1"), None, 1));
    // Also in later headers of a stream.
    client.headers(HEADERS, stream, &[("A", "")], 0);
    assert_eq!(receive(&mut session, &mut client), [SessionEvent::Reset { stream }]);
}

#[test]
fn header_bombs_end_the_session() {
    let length = |value: usize| MAX_HEADER_BLOCK - 4 - 4 - 1 - 4 + value;
    let (mut session, mut client) = (Session::server(), Client::new());
    client.open(&[("a", &"x".repeat(length(0)))], 0);
    assert_eq!(receive(&mut session, &mut client).len(), 1);
    for excess in [1, 1_000_000] {
        let mut client = Client::new();
        client.open(&[("a", &"x".repeat(length(excess)))], 0);
        assert!(client.output.len() < MAX_CONTROL_FRAME, "{} bytes", client.output.len());
        check_failure(client.output.freeze(), SpdyError::HeaderBlockTooLong);
    }
}

#[test]
fn malformed_header_blocks_end_the_session() {
    let syn_stream = |block: &[u8]| [&[0, 0, 0, 1, 0, 0, 0, 0, 0, 0], block].concat();
    check_control_failure(SYN_STREAM, &syn_stream(b""), SpdyError::HeaderBlock);
    check_control_failure(SYN_STREAM, &syn_stream(b"not zlib"), SpdyError::Compression);
    // Names another dictionary.
    check_control_failure(SYN_STREAM, &syn_stream(b"\x78\xbb\x01\x02\x03\x04\x05"), SpdyError::Compression);
    // Ends the zlib stream: an empty last block and the checksum of nothing.
    check_control_failure(SYN_STREAM, &syn_stream(b"\x78\x01\x03\x00\x00\x00\x00\x01"), SpdyError::Compression);
    // Stored blocks: more headers than there are, a name longer than the block, bytes after the last header.
    for block in [&[0, 0, 0, 1][..], &[0xff; 4], &[0, 0, 0, 1, 0xff, 0xff, 0xff, 0xff], &[0, 0, 0, 0, 0]] {
        let length = u8::try_from(block.len()).expect("a short block");
        let stored = [&[0x78, 0x01, 0x00, length, 0, !length, 0xff], block].concat();
        check_control_failure(SYN_STREAM, &syn_stream(&stored), SpdyError::HeaderBlock);
    }
}

#[test]
fn malformed_control_frames_end_the_session() {
    for (kind, length) in
        [(SYN_STREAM, 9), (SYN_REPLY, 3), (RST_STREAM, 7), (RST_STREAM, 12), (4, 3), (4, 5), (PING, 8)]
    {
        check_control_failure(kind, &vec![1; length], SpdyError::FrameLength { kind, length });
    }
    for (kind, length) in [(GOAWAY, 4), (HEADERS, 0), (9, 4)] {
        check_control_failure(kind, &vec![1; length], SpdyError::FrameLength { kind, length });
    }
    let length = MAX_CONTROL_FRAME + 1;
    check_control_failure(SYN_STREAM, &vec![1; length], SpdyError::FrameTooLong { kind: SYN_STREAM, length });
    check_control_failure(RST_STREAM, &[0; 8], SpdyError::ZeroStream);
    check_failure(Bytes::from_static(b"\x00\x00\x00\x00\x01\x00\x00\x00"), SpdyError::ZeroStream);
    check_failure(Bytes::from_static(b"\x80\x02\x00\x06\x00\x00\x00\x04"), SpdyError::Version(2));
}

#[test]
fn other_control_frames_are_ignored() {
    let (mut session, mut client) = (Session::server(), Client::new());
    client.control(4, &[0, 0, 0, 1, 0, 0, 0, 4, 0, 0, 0, 100]);
    client.control(9, &[0, 0, 0, 1, 0, 0, 0, 0]);
    client.control(10, b"");
    client.control(99, &vec![0; 3 * MAX_CONTROL_FRAME]);
    let stream = client.open(&[], 0);
    assert_eq!(receive(&mut session, &mut client), [opened(stream, &[], false)]);
    assert_eq!(session.output_len(), 0);
}

#[test]
fn failure_names_the_last_stream() {
    let (mut session, mut client) = (Session::server(), Client::new());
    client.syn_stream(id(7), &[], 0);
    client.control(PING, &[]);
    assert!(session.receive(client.output.split().freeze(), &mut Vec::new()).is_err());
    let output = session.take_output();
    assert_eq!(output[12..], PROTOCOL_ERROR.to_be_bytes());
    assert_eq!(client.read(output), [Frame::GoAway { last_stream: id(7) }]);
}
