//! Keys are typed on a model of a terminal; what it shows is compared.

use super::*;
use crate::console::keys::decode_all;
use crate::console::screen::Screen;

/// An editor with its terminal.
struct Session {
    editor: Editor,
    screen: Screen,
    history: History,
    names: Vec<&'static str>,
}

impl Session {
    fn new(columns: usize) -> Session {
        let mut session = Session {
            editor: Editor::new(),
            screen: Screen::new(columns, 8),
            history: History::default(),
            names: Vec::new(),
        };
        session.start("$ ", columns);
        session
    }

    fn start(&mut self, prompt: &str, columns: usize) {
        self.editor.start(prompt, columns);
        self.show();
    }

    fn show(&mut self) {
        let out = self.editor.draw();
        self.screen.apply(out.as_bytes());
    }

    /// Types keys; returns the result of the last one.
    fn type_keys(&mut self, keys: &str) -> Step {
        let mut last = Step::Edit;
        for key in decode_all(keys) {
            last = self.editor.press(key, &self.history);
            if let Step::Complete(target) = &last {
                let names = self.names.iter().filter(|name| name.starts_with(&target.prefix));
                let names: Vec<Candidate> =
                    names.map(|name| Candidate { name: name.to_string(), is_directory: false }).collect();
                let out = self.editor.complete(target, &names);
                self.screen.apply(out.as_bytes());
            }
            self.show();
        }
        assert!(self.screen.unknown.is_empty(), "{:?}", self.screen.unknown);
        last
    }

    #[track_caller]
    fn shows(&self, lines: &[&str], cursor: (usize, usize)) {
        assert_eq!(
            (self.screen.lines(), self.screen.cursor()),
            (lines.iter().map(|l| l.to_string()).collect(), cursor)
        );
    }
}

#[track_caller]
fn check(keys: &str, shown: &str, column: usize) {
    let mut session = Session::new(40);
    session.type_keys(keys);
    session.shows(&[shown], (0, column));
    let text = shown.strip_prefix("$ ").unwrap_or_default();
    assert_eq!(session.type_keys("\r"), Step::Accept(text.to_string()), "{keys:?}");
}

#[test]
fn keys_edit_the_line() {
    check("echo", "$ echo", 6);
    check("ech\x1b[D\x1b[Dx", "$ exch", 4);
    check("bc\x01a", "$ abc", 3);
    check("ab\x01\x05c", "$ abc", 5);
    check("abc\x02\x02\x06x", "$ abxc", 5);
    check("abc\x7f\x7fx", "$ ax", 4);
    check("abc\x01\x1b[3~\x04", "$ c", 2);
    check("one two\x1bbx", "$ one xtwo", 7);
    check("one two\x01\x1bfx", "$ onex two", 6);
    check("one two\x17x", "$ one x", 7);
    check("one two\x01\x1bf\x0b", "$ one", 5);
    check("one two\x15\x19\x19", "$ one twoone two", 16);
    check("one two\x17\x17\x19!", "$ one two!", 10);
    check("one two\x01\x1bd\x1bd\x19!", "$ one two!", 10);
    check("ab\x14", "$ ba", 4);
    check("abc\x01\x06\x14", "$ bac", 4);
    check("abc\x1bOH1\x1b[F2", "$ 1abc2", 7);
    check("a-b\x1b\x7fc", "$ a-c", 5);
}

#[test]
fn wide_characters_take_two_columns() {
    check("漢字\x1b[Dx", "$ 漢x字", 5);
    check("ä漢\x7f", "$ ä", 3);
    let mut session = Session::new(40);
    session.type_keys("e\u{301}x\x1b[D\x1b[Dy");
    session.shows(&["$ yex"], (0, 3));
}

#[test]
fn long_lines_wrap() {
    let mut session = Session::new(10);
    session.type_keys("12345678");
    session.shows(&["$ 12345678"], (1, 0));
    session.type_keys("90");
    session.shows(&["$ 12345678", "90"], (1, 2));
    session.type_keys("\x01x");
    session.shows(&["$ x1234567", "890"], (0, 3));
    session.type_keys("\x05\x7f\x7f\x7f\x7f");
    session.shows(&["$ x123456"], (0, 9));
    session.type_keys("漢");
    session.shows(&["$ x123456", "漢"], (1, 2));
    session.type_keys("\x15");
    session.shows(&["$"], (0, 2));
}

#[test]
fn lines_may_be_longer_than_two_rows() {
    let mut session = Session::new(10);
    session.type_keys("abcdefghijklmnopqrstuvwxyz\x01");
    session.shows(&["$ abcdefgh", "ijklmnopqr", "stuvwxyz"], (0, 2));
    session.type_keys("\x0b");
    session.shows(&["$"], (0, 2));
    session.type_keys("\x19");
    session.shows(&["$ abcdefgh", "ijklmnopqr", "stuvwxyz"], (2, 8));
}

#[test]
fn prompt_may_have_colours() {
    let mut session = Session::new(20);
    session.editor.start("\x1b[32mhost\x1b[m\x01\x1b[1m\x02> ", 20);
    session.screen = Screen::new(20, 4);
    session.type_keys("a\x01b");
    session.shows(&["host> ba"], (0, 7));
}

#[test]
fn typing_at_the_end_writes_only_the_character() {
    let mut session = Session::new(40);
    session.type_keys("ech");
    session.editor.press(Key::Char('o'), &session.history);
    assert_eq!(session.editor.draw(), "o");
    session.editor.press(Key::Left, &session.history);
    assert_eq!(session.editor.draw(), "\x08");
}

#[test]
fn pasted_text_is_inserted_literally() {
    let mut session = Session::new(40);
    session.type_keys("x\x1b[200~a\tb\rc\x1b[201~");
    session.shows(&["$ xa    b", "c"], (1, 1));
    assert_eq!(session.type_keys("\r"), Step::Accept("xa\tb\nc".into()));
}

#[test]
fn history_is_visited_with_up_and_down() {
    let mut session = Session::new(40);
    for line in ["first", "second"] {
        session.history.add(line);
    }
    session.type_keys("new\x1b[A");
    session.shows(&["$ second"], (0, 8));
    session.type_keys("\x1b[A\x1b[A\x10");
    session.shows(&["$ first"], (0, 7));
    session.type_keys("\x1b[B\x1b[B");
    session.shows(&["$ new"], (0, 5));
    session.type_keys("\x1b[B");
    session.shows(&["$ new"], (0, 5));
}

#[test]
fn history_is_searched_while_typing() {
    let mut session = Session::new(40);
    for line in ["make test", "cat make", "ls"] {
        session.history.add(line);
    }
    session.type_keys("draft\x12ma");
    session.shows(&["(reverse-i-search)`ma': cat make"], (0, 28));
    session.type_keys("\x12");
    session.shows(&["(reverse-i-search)`ma': make test"], (0, 24));
    session.type_keys("zz");
    session.shows(&["(failing reverse-i-search)`mazz': make t", "est"], (0, 34));
    session.type_keys("\x07");
    session.shows(&["$ draft"], (0, 7));
    session.type_keys("\x12cat");
    assert_eq!(session.type_keys("\r"), Step::Accept("cat make".into()));
    session.start("$ ", 40);
    session.type_keys("\x12cat\x05!");
    assert_eq!(session.type_keys("\r"), Step::Accept("cat make!".into()));
}

#[test]
fn tab_completes_then_lists() {
    let mut session = Session::new(20);
    session.names = vec!["alpha", "alphabet", "beta"];
    session.type_keys("ls b\t");
    session.shows(&["$ ls beta"], (0, 10));
    session.type_keys("\x15a\t");
    session.shows(&["$ alpha"], (0, 7));
    session.type_keys("\t\t");
    session.shows(&["$ alpha", "alpha     alphabet", "$ alpha"], (2, 7));
    session.type_keys("b\t");
    session.shows(&["$ alpha", "alpha     alphabet", "$ alphabet"], (2, 11));
}

#[test]
fn control_keys_end_the_line() {
    for (keys, step) in [
        ("\x04", Step::End),
        ("ab\x03", Step::Interrupt),
        ("ab\x01\x04\x04\x04", Step::End),
        ("ab\x1b[D\r", Step::Accept("ab".into())),
    ] {
        assert_eq!(Session::new(40).type_keys(keys), step, "{keys:?}");
    }
}

#[test]
fn screen_is_cleared_and_the_line_kept() {
    let mut session = Session::new(20);
    session.screen.apply(b"\n\nold\n");
    session.type_keys("ab\x02\x0c");
    session.shows(&["$ ab"], (0, 3));
}

#[test]
fn line_is_shown_again_at_a_new_width() {
    let mut session = Session::new(10);
    session.type_keys("abcdefghijkl\x1b[D");
    // The terminal moves the characters and the cursor itself.
    session.screen = Screen::new(6, 8);
    session.screen.apply(b"$ abcdefghijkl\x08");
    let out = session.editor.resize(6);
    session.screen.apply(out.as_bytes());
    session.shows(&["$ abcd", "efghij", "kl"], (2, 1));
    session.type_keys("x");
    session.shows(&["$ abcd", "efghij", "kxl"], (2, 2));
}

#[test]
fn leaving_moves_below_the_line() {
    let mut session = Session::new(10);
    session.type_keys("abcdefgh\x01");
    let out = session.editor.leave("");
    session.screen.apply(out.as_bytes());
    session.shows(&["$ abcdefgh"], (1, 0));
}

/// The two changes of size with which a client asks for the line.
#[test]
fn line_is_shown_again_at_the_same_width() {
    let mut session = Session::new(10);
    session.type_keys("ab");
    session.screen = Screen::new(10, 8);
    let out = session.editor.resize(10);
    session.screen.apply(out.as_bytes());
    session.shows(&["$ ab"], (0, 4));
}

/// Random keys must leave the screen as if the line had been drawn at once.
#[test]
fn any_keys_leave_the_screen_consistent() {
    let keys =
        ["a", "漢", "b c", "\x1b[D", "\x1b[C", "\x01", "\x05", "\x7f", "\x17", "\x19", "\x04x", "\x14", "\x0b", "\n"];
    let mut seed: u32 = 7;
    for columns in [3, 5, 8] {
        for _ in 0..60 {
            let mut session = Session::new(columns);
            session.screen = Screen::new(columns, 200);
            session.start("$ ", columns);
            for _ in 0..40 {
                seed = seed.wrapping_mul(1_103_515_245).wrapping_add(12345);
                let key = keys[(seed >> 16) as usize % keys.len()];
                let key = if key == "\n" { "\x1b[200~\n\x1b[201~" } else { key };
                session.type_keys(key);
                let buffer = &session.editor.buffer;
                let mut fresh = Screen::new(columns, 200);
                let content = Content { prompt: "$ ", text: buffer.chars(), cursor: buffer.cursor() };
                fresh.apply(View::new(columns).draw(content).as_bytes());
                assert_eq!(session.screen.lines(), fresh.lines(), "{:?}", buffer.text());
                assert_eq!(session.screen.cursor(), fresh.cursor(), "{:?}", buffer.text());
            }
        }
    }
}
