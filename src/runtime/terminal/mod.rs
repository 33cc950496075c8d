//! Terminals of instances: a line discipline between a client and a program, and the terminal's size.
//!
//! `host_functions` offers the same to programs as `wasmpod:terminal` (`wit/terminal`).

mod host_functions;
mod line_discipline;

use std::collections::VecDeque;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use parking_lot::Mutex;

use super::console::Viewers;
use super::instance::{KillSwitch, StopReason};
use crate::logs::LogStreamType;
use crate::network::Sender;
use line_discipline::{Effect, Input, LineDiscipline, process_output};

pub(super) use host_functions::add_to_linker;

/// Maximum number of typed bytes that wait for the program; more are dropped, as on Linux.
const MAX_QUEUED_INPUT: usize = 64 * 1024;

/// The size of a terminal in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TerminalSize {
    /// Width.
    pub columns: u16,
    /// Height.
    pub rows: u16,
}

impl Default for TerminalSize {
    fn default() -> TerminalSize {
        TerminalSize { columns: 80, rows: 24 }
    }
}

/// The destination of a terminal's output.
pub(super) enum Screen {
    /// One client, with which the output ends.
    Client(Sender),
    /// The clients that are attached to a container, which come and go.
    Viewers(Arc<Viewers>),
}

impl Screen {
    /// Returns how many bytes may be shown now; `None` if the client is gone.
    fn capacity(&self) -> Option<usize> {
        match self {
            Screen::Client(sender) => sender.capacity(),
            Screen::Viewers(viewers) => Some(viewers.capacity(LogStreamType::Stdout)),
        }
    }

    fn poll_writable(&self, cx: &Context<'_>) -> Poll<()> {
        match self {
            Screen::Client(sender) => sender.poll_writable(cx),
            Screen::Viewers(viewers) => viewers.poll_writable(LogStreamType::Stdout, cx),
        }
    }

    /// Shows `bytes`. Returns whether the client is there.
    fn show(&self, bytes: Bytes) -> bool {
        match self {
            Screen::Client(sender) => sender.send(bytes),
            Screen::Viewers(viewers) => {
                viewers.send(LogStreamType::Stdout, &bytes);
                true
            }
        }
    }

    fn finish(&self) {
        match self {
            Screen::Client(sender) => sender.finish(),
            Screen::Viewers(viewers) => viewers.finish(),
        }
    }
}

/// A terminal: the client types into it and sees its output, the program reads and writes it.
pub struct Terminal {
    screen: Screen,
    /// Protects the input, the size and the interrupts.
    state: Mutex<TerminalState>,
}

#[derive(Default)]
struct TerminalState {
    discipline: LineDiscipline,
    queue: VecDeque<QueuedInput>,
    queued_bytes: usize,
    hung_up: bool,
    size: TerminalSize,
    /// Whether the size changed since the program last asked for it.
    resized: bool,
    /// Whether the program handles Ctrl-C itself.
    handles_interrupts: bool,
    interrupted: bool,
    /// The program, which Ctrl-C ends.
    foreground: Option<Arc<KillSwitch>>,
    /// The tasks that wait for any change.
    waiting: Vec<Waker>,
}

enum QueuedInput {
    Bytes(Bytes),
    End,
}

impl Terminal {
    /// Creates a terminal that shows its output on `screen`.
    pub(super) fn new(screen: Screen) -> Arc<Terminal> {
        Arc::new(Terminal { screen, state: Mutex::default() })
    }

    /// Sets the program that Ctrl-C ends.
    pub(super) fn set_foreground(&self, kill_switch: &Arc<KillSwitch>) {
        self.state.lock().foreground = Some(kill_switch.clone());
    }

    /// Processes bytes that the client typed.
    pub fn type_bytes(&self, bytes: &[u8]) {
        let mut state = self.state.lock();
        let Effect { input, echo } = state.discipline.type_bytes(bytes);
        // Before the program can answer. A client that does not read misses the echo of what it types.
        if !echo.is_empty() && self.screen.capacity() > Some(echo.len()) {
            self.screen.show(echo.into());
        }
        input.into_iter().for_each(|input| state.receive(input));
        let waiting = std::mem::take(&mut state.waiting);
        drop(state);
        waiting.into_iter().for_each(Waker::wake);
    }

    /// Sets the size.
    pub fn resize(&self, size: TerminalSize) {
        self.change(|state| {
            state.resized |= state.size != size;
            state.size = size;
        });
    }

    /// Switches to raw mode or back. An unfinished line is passed on as it is.
    fn set_raw(&self, raw: bool) {
        self.change(|state| {
            let typed = state.discipline.set_raw(raw);
            if !typed.is_empty() {
                state.receive(Input::Bytes(typed));
            }
        });
    }

    /// Ends the input: the client is gone.
    pub fn hang_up(&self) {
        self.change(|state| state.hung_up = true);
    }

    fn change(&self, change: impl FnOnce(&mut TerminalState)) {
        let mut state = self.state.lock();
        change(&mut state);
        let waiting = std::mem::take(&mut state.waiting);
        drop(state);
        waiting.into_iter().for_each(Waker::wake);
    }

    /// Returns ready if `is_ready` holds; otherwise the task is woken at the next change.
    fn poll_state(&self, cx: &Context<'_>, is_ready: impl FnOnce(&TerminalState) -> bool) -> Poll<()> {
        let mut state = self.state.lock();
        if is_ready(&state) {
            return Poll::Ready(());
        }
        if !state.waiting.iter().any(|waker| waker.will_wake(cx.waker())) {
            state.waiting.push(cx.waker().clone());
        }
        Poll::Pending
    }

    /// Returns ready if [`Terminal::read`] has input or the end.
    pub(super) fn poll_readable(&self, cx: &Context<'_>) -> Poll<()> {
        self.poll_state(cx, |state| !state.queue.is_empty() || state.hung_up)
    }

    /// Reads up to `max` typed bytes: empty if nothing was typed, `None` at the end. Ctrl-D ends the input once.
    pub(super) fn read(&self, max: usize) -> Option<Bytes> {
        let mut state = self.state.lock();
        let hung_up = state.hung_up;
        let bytes = match state.queue.front_mut() {
            None if hung_up => return None,
            None => return Some(Bytes::new()),
            Some(QueuedInput::Bytes(first)) if first.len() > max => first.split_to(max),
            Some(_) => match state.queue.pop_front() {
                Some(QueuedInput::Bytes(first)) => first,
                Some(QueuedInput::End) | None => return None,
            },
        };
        state.queued_bytes -= bytes.len();
        Some(bytes)
    }

    /// Returns ready if [`Terminal::capacity`] is not zero, or if the client is gone.
    pub(super) fn poll_writable(&self, cx: &Context<'_>) -> Poll<()> {
        self.screen.poll_writable(cx)
    }

    /// Returns how many bytes the program may write now; `None` if the client is gone.
    pub(super) fn capacity(&self) -> Option<usize> {
        // Each line feed may become two bytes; the pipe takes a little more than its capacity.
        self.screen.capacity()
    }

    /// Shows a program's output. Returns whether the client is there.
    pub(super) fn write(&self, bytes: &[u8]) -> bool {
        self.screen.show(process_output(bytes).into())
    }

    /// Ends the output.
    pub(super) fn finish(&self) {
        self.screen.finish();
    }
}

impl TerminalState {
    fn receive(&mut self, input: Input) {
        match input {
            Input::Bytes(bytes) if self.queued_bytes + bytes.len() > MAX_QUEUED_INPUT => {}
            Input::Bytes(bytes) => {
                self.queued_bytes += bytes.len();
                self.queue.push_back(QueuedInput::Bytes(bytes.into()));
            }
            Input::End => self.queue.push_back(QueuedInput::End),
            Input::Interrupt => {
                self.queue.clear();
                self.queued_bytes = 0;
                match &self.foreground {
                    Some(program) if !self.handles_interrupts => program.trigger(StopReason::Interrupt),
                    Some(_) | None => self.interrupted = true,
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::pipe;

    #[test]
    fn end_of_input_is_seen_once_and_hang_up_for_good() {
        let (sender, _screen) = pipe();
        let terminal = Terminal::new(Screen::Client(sender));
        assert_eq!(terminal.read(9), Some(Bytes::new()));
        terminal.type_bytes(b"ab\r\x04");
        assert_eq!(terminal.read(2), Some(Bytes::from_static(b"ab")));
        assert_eq!(terminal.read(9), Some(Bytes::from_static(b"\n")));
        assert_eq!((terminal.read(9), terminal.read(9)), (None, Some(Bytes::new())));
        terminal.hang_up();
        assert_eq!((terminal.read(9), terminal.read(9)), (None, None));
    }

    #[test]
    fn interrupt_discards_input_and_ends_the_program() {
        let (sender, screen) = pipe();
        let terminal = Terminal::new(Screen::Client(sender));
        let program = Arc::new(KillSwitch::default());
        terminal.set_foreground(&program);
        terminal.type_bytes(b"typed\r\x03");
        assert_eq!(terminal.read(9), Some(Bytes::new()));
        assert!(program.reason() == Some(StopReason::Interrupt));
        assert_eq!(screen.read(64), Some(Bytes::from_static(b"typed\r\n^C")));
    }
}
