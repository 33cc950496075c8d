//! `read -s` and `read -n` on a terminal: reads keys in raw mode, since cooked mode echoes and waits for Enter.

use crate::console::keyboard::{Event, Keyboard};
use crate::console::keys::Key;
use crate::proc::{Reader, Writer, yield_now};

use super::{Shell, signal};

impl Shell {
    /// Reads until Enter or `count` characters; returns what was typed, with the newline of Enter.
    pub async fn read_keys(&self, reader: &Reader, is_silent: bool, count: Option<usize>) -> String {
        let _raw = terminal::RawMode::enter();
        let mut keyboard = Keyboard::new(reader.clone());
        let screen = if is_silent { Writer::null() } else { Writer::host_stdout() };
        let mut text = String::new();
        while count.is_none_or(|count| text.chars().count() < count) {
            let echo = match keyboard.next().await {
                Event::Key(Key::Enter) => {
                    let _ = screen.write_all(b"\n").await;
                    return text + "\n";
                }
                Event::Key(Key::Ctrl('C')) => {
                    self.process.signal(signal::INT);
                    // The signal ends this read, unless it is ignored.
                    yield_now().await;
                    continue;
                }
                Event::Key(Key::Ctrl('D')) | Event::End => break,
                Event::Key(Key::Backspace) if text.pop().is_some() => "\x08 \x08".to_string(),
                Event::Key(Key::Char(c)) => c.to_string(),
                Event::Key(Key::Tab) => "\t".to_string(),
                Event::Key(Key::Paste(pasted)) => pasted,
                Event::Key(_) => continue,
                Event::Resized => {
                    terminal::size();
                    continue;
                }
            };
            if !echo.starts_with('\x08') {
                text.push_str(&echo);
            }
            let _ = screen.write_all(echo.as_bytes()).await;
        }
        text
    }
}
