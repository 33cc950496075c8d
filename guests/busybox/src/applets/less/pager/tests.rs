//! Keys are typed on a model of a terminal; what it shows is compared.

use super::*;
use crate::console::frame::Frame;
use crate::console::keys::decode_all;
use crate::console::screen::Screen;

fn pager(text: &str, style: Style) -> Pager {
    let mut pager = Pager::new("file", style, 20, 5);
    pager.add(text.as_bytes());
    pager.finish();
    pager
}

fn numbers(last: usize) -> String {
    (1..=last).map(|n| format!("line {n}\n")).collect()
}

fn shown(pager: &Pager) -> Vec<String> {
    let mut screen = Screen::new(20, 5);
    screen.apply(Frame::default().update(pager.draw(), (4, 0)).as_bytes());
    assert!(screen.unknown.is_empty(), "{:?}", screen.unknown);
    screen.lines()
}

#[track_caller]
fn check(keys: &str, expected: &[&str]) {
    let mut pager = pager(&numbers(20), Style::default());
    for key in decode_all(keys) {
        assert_eq!(pager.press(key), Step::Continue);
    }
    assert_eq!(shown(&pager), expected, "{keys:?}");
}

#[test]
fn keys_scroll() {
    check("", &["line 1", "line 2", "line 3", "line 4", "file"]);
    check(" ", &["line 5", "line 6", "line 7", "line 8", ":"]);
    check("  b", &["line 5", "line 6", "line 7", "line 8", ":"]);
    check("jj\x1b[B\r", &["line 5", "line 6", "line 7", "line 8", ":"]);
    check(" kk\x1b[A", &["line 2", "line 3", "line 4", "line 5", ":"]);
    check("k", &["line 1", "line 2", "line 3", "line 4", ":"]);
    check("G", &["line 17", "line 18", "line 19", "line 20", "(END)"]);
    check("G  k", &["line 16", "line 17", "line 18", "line 19", ":"]);
    check("Gg", &["line 1", "line 2", "line 3", "line 4", ":"]);
    check("0g", &["line 1", "line 2", "line 3", "line 4", ":"]);
    check("5g", &["line 5", "line 6", "line 7", "line 8", ":"]);
    check("3j", &["line 4", "line 5", "line 6", "line 7", ":"]);
    check("3", &["line 1", "line 2", "line 3", "line 4", ":3"]);
    check("du\x04", &["line 3", "line 4", "line 5", "line 6", ":"]);
    check("=", &["line 1", "line 2", "line 3", "line 4", "file lines 1-4/20"]);
}

#[test]
fn patterns_are_searched() {
    check("/ 1[05]", &["line 1", "line 2", "line 3", "line 4", "/ 1[05]"]);
    check("/ 1[05]\r", &["line 10", "line 11", "line 12", "line 13", ":"]);
    check("/ 1[05]\rn", &["line 15", "line 16", "line 17", "line 18", ":"]);
    check("/ 1[05]\rnN", &["line 10", "line 11", "line 12", "line 13", ":"]);
    check("/ 1[05]\r?\r", &["line 10", "line 11", "line 12", "line 13", "Pattern not found"]);
    check("/x\r", &["line 1", "line 2", "line 3", "line 4", "Pattern not found"]);
    check("/x\x7f\x7f", &["line 1", "line 2", "line 3", "line 4", ":"]);
    check("G?line 3\r", &["line 3", "line 4", "line 5", "line 6", ":"]);
    check("n", &["line 1", "line 2", "line 3", "line 4", "No previous search"]);
}

#[test]
fn long_lines_wrap_or_are_cut() {
    let text = "abcdefghijklmnopqrstuvwxyz\n漢漢漢漢漢漢漢漢漢漢漢\n\tx\n";
    let wrapped = pager(text, Style::default());
    assert_eq!(shown(&wrapped), ["abcdefghijklmnopqrst", "uvwxyz", "漢漢漢漢漢漢漢漢漢漢", "漢", "file"]);
    let cut = pager(text, Style { chops: true, ..Style::default() });
    assert_eq!(shown(&cut), ["abcdefghijklmnopqrst", "漢漢漢漢漢漢漢漢漢漢", "        x", "~", "file (END)"]);
    let numbered = pager("a\nb\n", Style { numbers: true, ..Style::default() });
    assert_eq!(shown(&numbered), ["      1 a", "      2 b", "~", "~", "file (END)"]);
}

#[test]
fn colours_pass_only_if_wanted() {
    let text = "\x1b[31mred\x1b[m\n";
    assert_eq!(shown(&pager(text, Style::default()))[0], "^[[31mred^[[m");
    let coloured = pager(text, Style { colours: true, ..Style::default() });
    assert_eq!(shown(&coloured)[0], "red");
    assert!(coloured.draw()[0].contains("\x1b[31mred\x1b[m"));
}

#[test]
fn matches_are_marked() {
    let mut pager = pager("one two\n", Style::default());
    decode_all("/two|one\r").into_iter().for_each(|key| _ = pager.press(key));
    assert!(pager.draw()[0].contains("\x1b[7mone\x1b[m \x1b[7mtwo\x1b[m"), "{:?}", pager.draw());
}

#[test]
fn text_is_read_as_far_as_it_is_needed() {
    let mut pager = Pager::new("", Style::default(), 20, 5);
    assert!(pager.wants_text());
    pager.add(numbers(9).as_bytes());
    assert!(!pager.wants_text());
    pager.press(Key::Char(' '));
    assert!(pager.wants_text());
    pager.press(Key::Char('G'));
    assert_eq!(shown(&pager)[3..], ["line 9", "Reading..."]);
    pager.add(b"line 10\nline 11");
    assert_eq!(shown(&pager)[3..], ["line 10", "Reading..."]);
    pager.finish();
    assert_eq!(shown(&pager)[3..], ["line 11", "(END)"]);
}

#[test]
fn search_waits_for_text() {
    let mut pager = Pager::new("", Style::default(), 20, 5);
    pager.add(numbers(9).as_bytes());
    decode_all("/needle\r").into_iter().for_each(|key| _ = pager.press(key));
    assert!(pager.wants_text());
    pager.add(b"x\na needle\n");
    assert!(pager.wants_text());
    pager.add(numbers(20).as_bytes());
    assert_eq!(shown(&pager)[0], "a needle");
    decode_all("n").into_iter().for_each(|key| _ = pager.press(key));
    assert!(pager.wants_text());
    assert_eq!(pager.press(Key::Ctrl('C')), Step::Continue);
    assert!(!pager.wants_text());
}

#[test]
fn size_may_change() {
    let mut pager = pager(&numbers(20), Style::default());
    decode_all("7g").into_iter().for_each(|key| _ = pager.press(key));
    pager.resize(4, 4);
    let mut screen = Screen::new(4, 4);
    screen.apply(Frame::default().update(pager.draw(), (3, 0)).as_bytes());
    assert_eq!(screen.lines(), ["line", " 7", "line", ":"]);
}

#[test]
fn keys_quit() {
    for (keys, step) in [("q", Step::Quit), ("ZZ", Step::Quit), (":q", Step::Quit), (":n", Step::NextFile)] {
        let mut pager = pager("", Style::default());
        let last = decode_all(keys).into_iter().map(|key| pager.press(key)).last();
        assert_eq!(last, Some(step), "{keys:?}");
    }
}
