//! Negotiation, and messages in both directions.

use proptest::prelude::*;

use super::*;

fn decode(protocol: ChannelProtocol, message: &'static [u8]) -> Result<Option<ClientFrame>, FrameError> {
    ChannelDecoder::new(protocol).decode(Bytes::from_static(message))
}

#[track_caller]
fn check_frame(protocol: ChannelProtocol, message: &'static [u8], expected: Option<ClientFrame>) {
    assert_eq!(decode(protocol, message).expect("a frame"), expected, "{protocol:?} {message:?}");
}

#[track_caller]
fn check_error(protocol: ChannelProtocol, message: &'static [u8], expected: &str) {
    let error = decode(protocol, message).expect_err("not a frame");
    assert_eq!(error.to_string(), expected, "{protocol:?} {message:?}");
}

#[test]
fn first_supported_offer_of_the_client_is_chosen() {
    for (offered, expected) in [
        (&[][..], Some(ChannelProtocol::Unnamed)),
        (&[""], Some(ChannelProtocol::Unnamed)),
        (&["v5.channel.k8s.io"], Some(ChannelProtocol::V5)),
        (&["v4.channel.k8s.io", "v5.channel.k8s.io"], Some(ChannelProtocol::V4)),
        (&["v6.channel.k8s.io", "base64.channel.k8s.io"], Some(ChannelProtocol::Base64Channel)),
        (&["v5.base64.channel.k8s.io"], None),
        (&["SPDY/3.1+portforward.k8s.io"], None),
    ] {
        assert_eq!(ChannelProtocol::negotiate(offered).ok(), expected, "{offered:?}");
    }
    let error = ChannelProtocol::negotiate(&["v6.channel.k8s.io"]).expect_err("not supported").to_string();
    assert!(error.starts_with("requested protocol(s) are not supported: [\"v6.channel.k8s.io\"]; supports [\"v5."));
}

#[test]
fn protocols_have_names_and_features() {
    for (name, has_status, has_close, encoding) in [
        ("v5.channel.k8s.io", true, true, MessageEncoding::Binary),
        ("v4.channel.k8s.io", true, false, MessageEncoding::Binary),
        ("v4.base64.channel.k8s.io", true, false, MessageEncoding::Base64),
        ("channel.k8s.io", false, false, MessageEncoding::Binary),
        ("base64.channel.k8s.io", false, false, MessageEncoding::Base64),
        ("", false, false, MessageEncoding::Binary),
    ] {
        let protocol = ChannelProtocol::parse(name).expect("a protocol");
        assert_eq!(protocol.name(), name);
        assert_eq!((protocol.has_json_status(), protocol.has_close_frames()), (has_status, has_close), "{name}");
        assert_eq!(protocol.encoding(), encoding, "{name}");
    }
}

#[test]
fn client_messages_are_decoded() {
    use ChannelProtocol::{Base64Channel, V4, V4Base64, V5};
    let size = Some(ClientFrame::Resize(TerminalSize { width: 80, height: 24 }));
    check_frame(V4, b"\x00ls\n", Some(ClientFrame::Stdin(Bytes::from_static(b"ls\n"))));
    check_frame(V4, b"\x00", Some(ClientFrame::Stdin(Bytes::new())));
    check_frame(V4, b"", None);
    check_frame(V5, b"\x04{\"Width\":80,\"Height\":24}\n", size.clone());
    check_frame(V5, b"\x04{\"Width\":80,", None);
    check_frame(V5, b"\xff\x00", Some(ClientFrame::Close(Channel::Stdin)));
    check_frame(V5, b"\xff\x04", Some(ClientFrame::Close(Channel::Resize)));
    check_frame(Base64Channel, b"0Zm9vCg==", Some(ClientFrame::Stdin(Bytes::from_static(b"foo\n"))));
    check_frame(V4Base64, b"4eyJXaWR0aCI6ODAsIkhlaWdodCI6MjR9", size);
}

#[test]
fn errors_name_the_channel() {
    use ChannelProtocol::{V4, V4Base64, V5};
    check_error(V4, b"\x05x", "channel 5 does not exist");
    check_error(V4, b"\xff\x00", "channel 255 does not exist");
    check_error(V5, b"\xff\x05", "channel 5 does not exist");
    check_error(V5, b"\xff", "a close frame names 0 channels, not 1");
    check_error(V5, b"\xff\x00\x01", "a close frame names 2 channels, not 1");
    check_error(V4, b"\x01x", "channel 1 (stdout) carries no data from the client");
    check_error(V4, b"\x03", "channel 3 (error) carries no data from the client");
    check_error(V4, b"\x0480x24", "channel 4 (resize): cannot read the terminal size");
    check_error(V4Base64, b"0?", "data of channel 0 are not valid base64");
    check_error(V4Base64, b"\x00", "channel 208 does not exist");
}

#[test]
fn input_is_not_copied() {
    let message = Bytes::from_static(b"\x00input");
    let frame = ChannelDecoder::new(ChannelProtocol::V5).decode(message.clone()).expect("a frame");
    let Some(ClientFrame::Stdin(input)) = frame else { panic!("{frame:?} is not input") };
    assert_eq!(input.as_ptr(), message[1..].as_ptr());
}

#[test]
fn output_is_prefixed_with_its_channel() {
    for (protocol, channel, expected) in [
        (ChannelProtocol::V5, Channel::Stdout, ChannelMessage::Binary(Bytes::from_static(b"\x01a\n"))),
        (ChannelProtocol::Unnamed, Channel::Stderr, ChannelMessage::Binary(Bytes::from_static(b"\x02a\n"))),
        (ChannelProtocol::V4Base64, Channel::Error, ChannelMessage::Text("3YQo=".into())),
    ] {
        assert_eq!(protocol.encode(channel, b"a\n"), expected);
        let mut message = BytesMut::new();
        protocol.start_message(channel, &mut message);
        message.extend_from_slice(b"a\n");
        assert_eq!(protocol.finish_message(message), expected);
    }
    assert_eq!(ChannelProtocol::Base64Channel.finish_message(BytesMut::new()), ChannelMessage::Text(String::new()));
}

proptest! {
    #[test]
    fn input_survives_the_way_to_the_server(data: Vec<u8>, protocol in prop::sample::select(&ChannelProtocol::ALL)) {
        // Both directions have the same encoding.
        let message = match protocol.encode(Channel::Stdin, &data) {
            ChannelMessage::Binary(bytes) => bytes,
            ChannelMessage::Text(text) => text.into(),
        };
        let frame = ChannelDecoder::new(protocol).decode(message).expect("a frame");
        prop_assert_eq!(frame, Some(ClientFrame::Stdin(data.into())));
    }

    #[test]
    fn no_message_panics(
        messages: Vec<Vec<u8>>,
        protocol in prop::sample::select(&ChannelProtocol::ALL),
    ) {
        let mut decoder = ChannelDecoder::new(protocol);
        for message in messages {
            let _ = decoder.decode(message.into());
        }
    }
}
