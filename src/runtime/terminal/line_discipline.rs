//! The line discipline of a terminal: echo, line editing and control characters, as in POSIX' canonical mode with the
//! default settings of Linux. Pure: bytes go in, bytes and signals come out.

/// Maximum length in bytes of a line that is being edited; Linux' `N_TTY_BUF_SIZE`.
const MAX_LINE: usize = 4096;

const INTERRUPT: u8 = 0x03;
const END_OF_FILE: u8 = 0x04;
const BACKSPACE: u8 = 0x08;
const KILL_LINE: u8 = 0x15;
const ERASE_WORD: u8 = 0x17;
const QUIT: u8 = 0x1c;
const DELETE: u8 = 0x7f;

/// A part of a program's input.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Input {
    /// Bytes to read.
    Bytes(Vec<u8>),
    /// The end of the input, at Ctrl-D: the program's next read returns nothing.
    End,
    /// Ctrl-C.
    Interrupt,
}

/// The effect of typed bytes.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Effect {
    /// Input for the program.
    pub input: Vec<Input>,
    /// Bytes to show.
    pub echo: Vec<u8>,
}

/// The state of a terminal's input.
#[derive(Debug, Default)]
pub struct LineDiscipline {
    /// Whether bytes are passed on as they are typed.
    raw: bool,
    /// The line that is being edited.
    line: Vec<u8>,
}

impl LineDiscipline {
    /// Switches to raw mode or back, and returns what was typed of an unfinished line.
    pub fn set_raw(&mut self, raw: bool) -> Vec<u8> {
        self.raw = raw;
        std::mem::take(&mut self.line)
    }

    /// Processes typed bytes.
    pub fn type_bytes(&mut self, bytes: &[u8]) -> Effect {
        let mut effect = Effect::default();
        if self.raw {
            effect.push_bytes(bytes);
            return effect;
        }
        bytes.iter().for_each(|byte| self.type_byte(*byte, &mut effect));
        effect
    }

    fn type_byte(&mut self, byte: u8, effect: &mut Effect) {
        match byte {
            b'\r' | b'\n' => {
                self.line.push(b'\n');
                effect.echo.extend_from_slice(b"\r\n");
                effect.push_bytes(&std::mem::take(&mut self.line));
            }
            INTERRUPT | QUIT => {
                self.line.clear();
                echo_control(byte, &mut effect.echo);
                effect.input.push(Input::Interrupt);
            }
            END_OF_FILE if self.line.is_empty() => effect.input.push(Input::End),
            END_OF_FILE => effect.push_bytes(&std::mem::take(&mut self.line)),
            DELETE | BACKSPACE => self.erase(1, &mut effect.echo),
            KILL_LINE => self.erase(usize::MAX, &mut effect.echo),
            ERASE_WORD => self.erase(self.word_length(), &mut effect.echo),
            // A full line takes no more until it is finished.
            _ if self.line.len() >= MAX_LINE - 1 => {}
            _ => {
                self.line.push(byte);
                match byte {
                    b'\t' | b' '..=0x7e | 0x80.. => effect.echo.push(byte),
                    _ => echo_control(byte, &mut effect.echo),
                }
            }
        }
    }

    /// Erases up to `count` characters of the line.
    fn erase(&mut self, count: usize, echo: &mut Vec<u8>) {
        for _ in 0..count {
            // The continuation bytes of UTF-8 belong to the character before.
            while self.line.last().is_some_and(|byte| is_continuation(*byte)) {
                self.line.pop();
            }
            let Some(erased) = self.line.pop() else { return };
            let columns = if erased < b' ' && erased != b'\t' { 2 } else { 1 };
            echo.extend_from_slice(&b"\x08 \x08".repeat(columns));
        }
    }

    /// Returns the number of characters of the last word, with the spaces behind it.
    fn word_length(&self) -> usize {
        let characters = self.line.iter().rev().filter(|byte| !is_continuation(**byte));
        let mut in_word = false;
        characters
            .take_while(|byte| {
                let is_space = byte.is_ascii_whitespace();
                in_word |= !is_space;
                !(in_word && is_space)
            })
            .count()
    }
}

impl Effect {
    fn push_bytes(&mut self, bytes: &[u8]) {
        match self.input.last_mut() {
            Some(Input::Bytes(last)) => last.extend_from_slice(bytes),
            _ => self.input.push(Input::Bytes(bytes.to_vec())),
        }
    }
}

fn is_continuation(byte: u8) -> bool {
    byte & 0xc0 == 0x80
}

/// Shows a control character as `^C`.
fn echo_control(byte: u8, echo: &mut Vec<u8>) {
    echo.extend_from_slice(&[b'^', byte ^ 0x40]);
}

/// Returns a program's output as a terminal shows it: lines end with a carriage return and a line feed.
pub fn process_output(bytes: &[u8]) -> Vec<u8> {
    let mut processed = Vec::with_capacity(bytes.len() + bytes.len() / 32);
    for line in bytes.split_inclusive(|byte| *byte == b'\n') {
        match line.split_last() {
            Some((b'\n', text)) => {
                processed.extend_from_slice(text);
                processed.extend_from_slice(b"\r\n");
            }
            _ => processed.extend_from_slice(line),
        }
    }
    processed
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(text: &str) -> Input {
        Input::Bytes(text.as_bytes().to_vec())
    }

    #[test]
    fn typed_bytes_are_edited_and_echoed() {
        for (typed, input, echo) in [
            ("ls\r", vec![bytes("ls\n")], "ls\r\n"),
            ("a\nb\n", vec![bytes("a\nb\n")], "a\r\nb\r\n"),
            ("lx\x7fs\r", vec![bytes("ls\n")], "lx\x08 \x08s\r\n"),
            ("\x7f\x08", vec![], ""),
            ("ü\x7fa\r", vec![bytes("a\n")], "ü\x08 \x08a\r\n"),
            ("ab\x15c\r", vec![bytes("c\n")], "ab\x08 \x08\x08 \x08c\r\n"),
            ("a bc \x17d\r", vec![bytes("a d\n")], "a bc \x08 \x08\x08 \x08\x08 \x08d\r\n"),
            ("\x01\x7f", vec![], "^A\x08 \x08\x08 \x08"),
            ("ab\x03c\r", vec![Input::Interrupt, bytes("c\n")], "ab^Cc\r\n"),
            ("\x04", vec![Input::End], ""),
            ("ab\x04", vec![bytes("ab")], "ab"),
        ] {
            let effect = LineDiscipline::default().type_bytes(typed.as_bytes());
            let echoed = String::from_utf8(effect.echo).expect("text");
            assert_eq!((effect.input, echoed.as_str()), (input, echo), "{typed:?}");
        }
    }

    #[test]
    fn raw_mode_passes_bytes_on_unchanged() {
        let mut discipline = LineDiscipline::default();
        discipline.type_bytes(b"half");
        assert_eq!(discipline.set_raw(true), b"half");
        let effect = discipline.type_bytes(b"\x03\x04\rx");
        assert_eq!(effect, Effect { input: vec![bytes("\x03\x04\rx")], echo: Vec::new() });
    }

    #[test]
    fn long_lines_are_cut_until_enter() {
        let mut discipline = LineDiscipline::default();
        discipline.type_bytes(&[b'x'; 10_000]);
        let effect = discipline.type_bytes(b"\r");
        assert!(matches!(&effect.input[..], [Input::Bytes(line)] if line.len() == MAX_LINE));
    }

    #[test]
    fn output_lines_end_with_carriage_returns() {
        assert_eq!(process_output(b"a\nb\n\nc"), b"a\r\nb\r\n\r\nc");
    }
}
