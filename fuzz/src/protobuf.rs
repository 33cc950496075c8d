//! Fuzzes the reader of protobuf bodies, and the writer with what was read: `make fuzz`. The first byte of an input chooses the kind that the rest is.
#![no_main]

use libfuzzer_sys::fuzz_target;
use wasmpod_model::properties;

/// Kinds that consist of the most messages, as the beginnings of bodies up to the length of the object's message.
const ENVELOPES: &[&[u8]] = &[
    b"k8s\0\x0a\x09\x0a\x02v1\x12\x03Pod\x12",
    b"k8s\0\x0a\x0a\x0a\x02v1\x12\x04Node\x12",
    b"k8s\0\x0a\x0b\x0a\x02v1\x12\x05Event\x12",
    b"k8s\0\x0a\x0c\x0a\x02v1\x12\x06Secret\x12",
    b"k8s\0\x0a\x0f\x0a\x08batch/v1\x12\x03Job\x12",
    b"k8s\0\x0a\x0d\x0a\x02v1\x12\x07PodList\x12",
    b"k8s\0\x0a\x1d\x0a\x07apps/v1\x12\x12ControllerRevision\x12",
];

fuzz_target!(|bytes: &[u8]| {
    let Some((mode, message)) = bytes.split_first() else { return };
    let Some(envelope) = ENVELOPES.get(usize::from(*mode)) else { return properties::check_protobuf(bytes) };
    let mut body = envelope.to_vec();
    let mut length = message.len();
    while length >= 0x80 {
        body.push((length & 0x7f) as u8 | 0x80);
        length >>= 7;
    }
    body.push(length as u8);
    body.extend_from_slice(message);
    properties::check_protobuf(&body);
});
