//! Properties of any input.

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

/// What a client does next. Streams are chosen among those that it has opened.
#[derive(Debug, Clone)]
enum Step {
    Open(Vec<(String, String)>),
    Data(usize, Vec<u8>, bool),
    Reset(usize),
    Ping(u32),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let headers = vec(("[a-z]{1,12}", "[ -~]{0,40}"), 0..4);
    let step = prop_oneof![
        headers.prop_map(Step::Open),
        (any::<usize>(), any::<Vec<u8>>(), any::<bool>()).prop_map(|(at, bytes, fin)| Step::Data(at, bytes, fin)),
        any::<usize>().prop_map(Step::Reset),
        any::<u32>().prop_map(Step::Ping),
    ];
    vec(step, 0..40)
}

/// Returns the bytes that a client sends.
fn bytes_of(steps: &[Step]) -> Bytes {
    let (mut client, mut opened) = (Client::new(), Vec::new());
    for step in steps {
        let choose = |at: &usize, opened: &Vec<StreamId>| opened.get(at % opened.len().max(1)).copied();
        match step {
            Step::Open(headers) => {
                let headers: Vec<(&str, &str)> = headers.iter().map(|(name, value)| (&**name, &**value)).collect();
                opened.push(client.open(&headers, 0));
            }
            Step::Data(at, bytes, fin) => {
                client.data(choose(at, &opened).unwrap_or(id(1)), bytes, *fin);
            }
            Step::Reset(at) => client.reset(choose(at, &opened).unwrap_or(id(1))),
            Step::Ping(number) => client.control(PING, &number.to_be_bytes()),
        }
    }
    client.output.freeze()
}

/// Joins the pieces of data that follow each other.
fn joined(events: Vec<SessionEvent>) -> Vec<SessionEvent> {
    let mut joined: Vec<SessionEvent> = Vec::new();
    for event in events {
        match (joined.last_mut(), event) {
            (
                Some(SessionEvent::Data { stream, bytes, fin: fin @ false }),
                SessionEvent::Data { stream: next, bytes: more, fin: is_last },
            ) if *stream == next => {
                *bytes = [&bytes[..], &more].concat().into();
                *fin = is_last;
            }
            (_, event) => joined.push(event),
        }
    }
    joined
}

/// Returns the events and output of a session that receives `input` in pieces of these lengths, over and over.
fn outcome(input: &Bytes, lengths: &[usize]) -> (Vec<SessionEvent>, Result<(), SpdyError>, Bytes) {
    let (mut session, mut events, mut rest) = (Session::server(), Vec::new(), input.clone());
    for length in lengths.iter().cycle() {
        if rest.is_empty() {
            break;
        }
        let piece = rest.split_to((*length).clamp(1, rest.len()));
        if let Err(error) = session.receive(piece, &mut events) {
            return (joined(events), Err(error), session.take_output());
        }
    }
    (joined(events), Ok(()), session.take_output())
}

/// Returns the bytes of each stream, by its number, and whether they ended.
fn data_by_stream(events: &[SessionEvent]) -> std::collections::BTreeMap<StreamId, (Vec<u8>, bool)> {
    let mut streams = std::collections::BTreeMap::<StreamId, (Vec<u8>, bool)>::new();
    for event in events {
        if let SessionEvent::Data { stream, bytes, fin } = event {
            let (data, ended) = streams.entry(*stream).or_default();
            data.extend_from_slice(bytes);
            *ended |= fin;
        }
    }
    streams
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn chunks_change_nothing(steps in steps(), lengths in vec(1..40_usize, 1..8)) {
        let input = bytes_of(&steps);
        prop_assert_eq!(outcome(&input, &lengths), outcome(&input, &[usize::MAX]));
    }

    #[test]
    fn chunks_of_damaged_input_change_nothing(
        steps in steps(),
        damage in vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        lengths in vec(1..40_usize, 1..8),
    ) {
        let mut input = bytes_of(&steps).to_vec();
        for (at, byte) in damage {
            if !input.is_empty() {
                let at = at.index(input.len());
                input[at] = byte;
            }
        }
        let input = Bytes::from(input);
        prop_assert_eq!(outcome(&input, &lengths), outcome(&input, &[usize::MAX]));
    }

    #[test]
    fn random_bytes_do_not_panic(pieces: Vec<Vec<u8>>) {
        let (mut session, mut events) = (Session::server(), Vec::new());
        let mut received = 0;
        for piece in pieces {
            received += piece.len();
            let _ = session.receive(piece, &mut events);
        }
        prop_assert!(session.take_output().len() <= 2 * received + 16);
    }

    #[test]
    fn random_payloads_of_control_frames_do_not_panic(frames in vec((0..12_u16, any::<u8>(), any::<Vec<u8>>()), 0..8)) {
        let mut client = Client::new();
        for (kind, flags, payload) in frames {
            write::control_head(&mut client.output, kind, flags, payload.len());
            client.output.extend_from_slice(&payload);
        }
        let _ = Session::server().receive(client.output.freeze(), &mut Vec::new());
    }

    #[test]
    fn header_blocks_round_trip(blocks in vec(prop::collection::btree_map("[^\0A-Z]{1,20}", ".{0,300}", 0..10), 1..6)) {
        let (mut compressor, mut decompressor) = (HeaderCompressor::new().expect("zlib"), HeaderDecompressor::new());
        for headers in blocks {
            let headers: Headers = headers.into_iter().collect();
            let block = compressor.write(&headers).expect("a block").freeze();
            prop_assert_eq!(decompressor.read(&block), Ok(Ok(headers)));
        }
    }

    #[test]
    fn interleaved_streams_keep_their_bytes(pieces in vec((0..20_usize, any::<Vec<u8>>()), 0..200)) {
        let (mut session, mut client) = (Session::server(), Client::new());
        let streams: Vec<StreamId> = (0..20).map(|_| client.open(&[("streamtype", "data")], 0)).collect();
        for (at, bytes) in &pieces {
            client.data(streams[*at], bytes, false);
        }
        streams.iter().for_each(|stream| client.data(*stream, b"", true));
        let events = receive(&mut session, &mut client);
        let sent: Vec<Vec<u8>> = (0..20)
            .map(|at| pieces.iter().filter(|(own, _)| *own == at).flat_map(|(_, bytes)| bytes.clone()).collect())
            .collect();
        let received = data_by_stream(&events);
        for (stream, sent) in streams.iter().zip(&sent) {
            prop_assert_eq!(received.get(stream), Some(&(sent.clone(), true)));
        }
        // And back: the server echoes the pieces as they came.
        for event in &events {
            if let SessionEvent::Data { stream, bytes, fin } = event {
                session.send_data(*stream, bytes, *fin).expect("open");
            }
        }
        prop_assert_eq!(session.open_streams(), 0);
        let echoed = client.read(session.take_output()).into_iter().filter_map(|frame| match frame {
            Frame::Data { stream, bytes, fin } => Some(SessionEvent::Data { stream, bytes, fin }),
            _ => None,
        });
        prop_assert_eq!(data_by_stream(&echoed.collect::<Vec<_>>()), received);
    }
}
