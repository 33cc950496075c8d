//! Framing of the streaming protocols behind exec, attach and port-forward: WebSocket channels and SPDY/3.1.
//!
//! Pure: bytes go in and frames come out, and the reverse. Performs no IO, reads no clock and knows no HTTP; `apiserver`
//! moves the bytes. Every buffer is bounded, and no input panics. The fuzzer compiles this module alone, so that it
//! imports nothing from other modules.

pub mod channel;
pub mod message;
pub mod port;
pub mod port_forward;
pub mod portforward_channels;
pub mod spdy;
pub mod terminal_size;
