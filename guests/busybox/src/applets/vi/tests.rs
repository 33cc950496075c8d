//! Keys are typed, the text and the screen are compared.

use super::editor::{Editor, Effect, Mode};
use crate::console::frame::Frame;
use crate::console::keys::decode_all;
use crate::console::screen::Screen;

fn editor(text: &str) -> Editor {
    let mut editor = Editor::new(20, 6);
    editor.open(Some("file".into()), Some(text.as_bytes()));
    editor
}

fn type_keys(editor: &mut Editor, keys: &str) -> Effect {
    let mut last = Effect::None;
    for key in decode_all(keys) {
        last = editor.press(key);
        // What is drawn must fit on the screen.
        shown(editor);
    }
    last
}

fn text_of(editor: &Editor) -> String {
    String::from_utf8(editor.text.to_bytes(0, usize::MAX - 1)).expect("UTF-8")
}

fn shown(editor: &Editor) -> (Vec<String>, (usize, usize)) {
    let (rows, cursor) = editor.draw();
    let mut screen = Screen::new(editor.viewport.columns, editor.viewport.height + 1);
    screen.apply(Frame::default().update(rows, cursor).as_bytes());
    assert!(screen.unknown.is_empty(), "{:?}", screen.unknown);
    (screen.lines(), screen.cursor())
}

/// Checks the text after some keys; `|` marks the cursor.
#[track_caller]
fn check(before: &str, keys: &str, after: &str) {
    let mut editor = editor(before);
    type_keys(&mut editor, keys);
    let mut text = editor.text.clone();
    text.insert(editor.cursor, "|");
    let got = String::from_utf8(text.to_bytes(0, usize::MAX - 1)).expect("UTF-8");
    assert_eq!(got.trim_end_matches('\n'), after, "{keys:?}");
}

#[test]
fn motions_move() {
    let text = "one two.three\n\n  four\nfive six";
    for (keys, after) in [
        ("ll", "on|e two.three\n\n  four\nfive six"),
        ("w", "one |two.three\n\n  four\nfive six"),
        ("www", "one two.|three\n\n  four\nfive six"),
        ("WW", "one two.three\n|\n  four\nfive six"),
        ("5w", "one two.three\n\n  |four\nfive six"),
        ("e", "on|e two.three\n\n  four\nfive six"),
        ("ee", "one tw|o.three\n\n  four\nfive six"),
        ("EEE", "one two.three\n\n  fou|r\nfive six"),
        ("$", "one two.thre|e\n\n  four\nfive six"),
        ("$b", "one two.|three\n\n  four\nfive six"),
        ("$B", "one |two.three\n\n  four\nfive six"),
        ("jj^", "one two.three\n\n  |four\nfive six"),
        ("G", "one two.three\n\n  four\n|five six"),
        ("Gbb", "one two.three\n|\n  four\nfive six"),
        ("3G", "one two.three\n\n  |four\nfive six"),
        ("Ggg", "|one two.three\n\n  four\nfive six"),
        ("$jj", "one two.three\n\n  fou|r\nfive six"),
        ("lljj", "one two.three\n\n  |four\nfive six"),
        ("3j", "one two.three\n\n  four\n|five six"),
        ("9j", "|one two.three\n\n  four\nfive six"),
        ("fe;", "one two.thr|ee\n\n  four\nfive six"),
        ("tt", "one| two.three\n\n  four\nfive six"),
        ("$Fo,", "one tw|o.three\n\n  four\nfive six"),
        ("}", "one two.three\n|\n  four\nfive six"),
        ("\x1b[C\x1b[B\x1b[A", "o|ne two.three\n\n  four\nfive six"),
        ("\r\r", "one two.three\n\n  |four\nfive six"),
    ] {
        check(text, keys, after);
    }
    check("f(a[1], {b})", "%", "f(a[1], {b}|)");
    check("f(a[1], {b})", "$%", "f|(a[1], {b})");
}

#[test]
fn text_is_inserted() {
    check("ab", "lixy\x1b", "ax|yb");
    check("ab", "axy\x1b", "ax|yb");
    check("  ab", "$Ix\x1b", "  |xab");
    check("ab", "Ax\x1b", "ab|x");
    check("ab\ncd", "oxy\x1b", "ab\nx|y\ncd");
    check("ab\ncd", "Oxy\x1b", "x|y\nab\ncd");
    check("ab", "ix\ry\x1b", "x\n|yab");
    check("ab", "3ix\x1b", "xx|xab");
    check("ab", "ixyz\x7f\x7fw\x1b", "x|wab");
    check("ab\ncd", "ji\x7f\x1b", "a|bcd");
    check("ab", "A\x1b[D\x1b[Dx\x1b", "|xab");
    check("", "ione two\x17x\x1b", "one |x");
    check("ab", "i\tx\x1b", "\t|xab");
}

#[test]
fn text_is_deleted_and_changed() {
    check("abc", "x", "|bc");
    check("abc", "$2X", "|c");
    check("abcdef", "l2x", "a|def");
    check("one two three", "dw", "|two three");
    check("one two three", "2dw", "|three");
    check("one two three", "d2w", "|three");
    check("one two\nthree", "wdw", "one| \nthree");
    check("one two", "wdb", "|two");
    check("one two", "de", "| two");
    check("one two", "wD", "one| ");
    check("one two", "d$", "|");
    check("one two", "$d0", "|o");
    check("a\nb\nc\nd", "jdd", "a\n|c\nd");
    check("a\nb\nc\nd", "2dd", "|c\nd");
    check("a\nb\nc\nd", "dj", "|c\nd");
    check("a\nb\nc\nd", "GdG", "a\nb\n|c");
    check("a\nb", "dG", "|");
    check("one two", "cwxy\x1b", "x|y two");
    check("a b", "cwxy\x1b", "x|y b");
    check("one two three", "2cwx\x1b", "|x three");
    check("one two", "wCx\x1b", "one |x");
    check("one\ntwo\nthree", "jccx\x1b", "one\n|x\nthree");
    check("one", "ccx\x1b", "|x");
    check("one\ntwo", "2Sx\x1b", "|x");
    check("abc", "sxy\x1b", "x|ybc");
    check("abc", "rx", "|xbc");
    check("abc", "2rx", "x|xc");
    check("abc", "lr\r", "a\n|c");
    check("aBc", "3~", "Ab|C");
    check("a(b)c", "ldf)", "a|c");
    check("a,b,c", "dt,", "|,b,c");
    check("a\n  b\nc", "J", "a| b\nc");
    check("a\nb\nc", "3J", "a b| c");
    check("a\nb", ">>", "\t|a\nb");
    check("\ta\n    b", "<j", "|a\nb");
    check("x\ny", "dk", "|x\ny");
}

#[test]
fn text_is_copied_and_put() {
    check("a\nb", "yyp", "a\n|a\nb");
    check("a\nb", "jyyP", "a\n|b\nb");
    check("a\nb\nc", "2yyGp", "a\nb\nc\n|a\nb");
    check("ab", "xp", "b|a");
    check("ab cd", "ywP", "ab| ab cd");
    check("ab cd", "yw$p", "ab cdab| ");
    check("a\nb", "dd3p", "b\n|a\na\na");
    check("abc", "yl3p", "aaa|abc");
}

#[test]
fn changes_are_undone_and_repeated() {
    check("abc", "xxu", "|bc");
    check("abc", "xxuu", "|abc");
    check("abc", "xxuu\x12", "|bc");
    check("one two three", "dw.", "|three");
    check("one two three", "cwx\x1bw.", "x |x three");
    check("a", "Ab\x1b..", "abb|b");
    check("abcdefg", "2x.", "|efg");
    check("abcdefg", "x3.", "|efg");
    check("a\nb\nc", "dd.", "|c");
    check("a", "ox\x1b.", "a\nx\n|x");
    check("ab", "rxl.", "x|x");
    check("ab", "ix\x1bu", "|ab");
}

#[test]
fn patterns_are_searched() {
    check("one\ntwo one\none", "/one\r", "one\ntwo |one\none");
    check("one\ntwo one\none", "/one\rnn", "|one\ntwo one\none");
    check("one\ntwo one\none", "/one\rN", "|one\ntwo one\none");
    check("one\ntwo one\none", "?one\r", "one\ntwo one\n|one");
    check("one\ntwo one\none", "?one\rn", "one\ntwo |one\none");
    check("ä ö ä", "/ä\r", "ä ö |ä");
    check("one two three", "d/th\r", "|three");
    check("a.c abc", "/a\\.c\r", "|a.c abc");
    let mut editor = editor("a");
    type_keys(&mut editor, "/x\r");
    assert_eq!(editor.message, "Pattern not found");
}

#[test]
fn colon_commands_change_the_text() {
    check("a\nb\nc", ":2\r", "a\n|b\nc");
    check("a\nb\nc", ":$\r", "a\nb\n|c");
    check("a\nb\nc", ":2,3d\r", "|a");
    check("a\nb\nc", ":%d\r", "|");
    check("a\nb\nc", ":1,2y\rGp", "a\nb\nc\n|a\nb");
    check("aa\naa", ":s/a/b/\r", "|ba\naa");
    check("aa\naa", ":s/a/b/g\r", "|bb\naa");
    check("aa\naa", ":%s/a/b/g\r", "bb\n|bb");
    check("a/b", ":s/\\//\\\\/\r", "|a\\b");
    check("key=value", ":s/\\(.*\\)=\\(.*\\)/\\2=\\1/\r", "|value=key");
    check("ab", ":s/b/[&]/\r", "|a[b]");
    check("abc", ":s/x*/-/g\r", "|-a-b-c-");
    check("Ab", ":s/a/x/i\r", "|xb");
    check("a,b", ":s/,/\\n/\r", "a\n|b");
    check("aa", ":%s/a/b/g\ru", "|aa");
    check("a\n\n", ":s/a/b/\r:$\r", "b\n|");
    check("a\nb\na", ":/b/d\r", "a\n|a");
}

#[test]
fn colon_commands_have_effects() {
    let write = |file: &str, bytes: &str, is_whole, quits| Effect::Write {
        file: file.into(),
        bytes: bytes.into(),
        is_whole,
        quits,
    };
    for (keys, effect) in [
        (":w\r", write("file", "a\nb\n", true, false)),
        (":w other\r", write("other", "a\nb\n", true, false)),
        (":2w other\r", write("other", "b\n", false, false)),
        (":wq\r", write("file", "a\nb\n", true, true)),
        (":x\r", Effect::Quit),
        ("ZZ", Effect::Quit),
        ("x:x\r", write("file", "\nb\n", true, true)),
        (":q\r", Effect::Quit),
        ("x:q\r", Effect::None),
        ("x:q!\r", Effect::Quit),
        ("x:e b\r", Effect::None),
        ("x:e! b\r", Effect::Edit { file: "b".into() }),
        (":r b\r", Effect::Read { file: "b".into(), line: 0 }),
    ] {
        assert_eq!(type_keys(&mut editor("a\nb\n"), keys), effect, "{keys:?}");
    }
}

#[test]
fn screen_shows_text_and_status() {
    let mut editor = editor("one\n\ttwo\n漢字");
    assert_eq!(shown(&editor), (strings(&["one", "        two", "漢字", "~", "~", "'file' 2L, 15C"]), (0, 0)));
    type_keys(&mut editor, "j");
    assert_eq!(shown(&editor), (strings(&["one", "        two", "漢字", "~", "~", "- file 2/3 66%"]), (1, 7)));
    type_keys(&mut editor, "j$x");
    assert_eq!(shown(&editor).0[2..], strings(&["漢", "~", "~", "- file [Modified] 3"]));
    type_keys(&mut editor, ":set nu");
    assert_eq!(shown(&editor), (strings(&["one", "        two", "漢", "~", "~", ":set nu"]), (5, 7)));
    type_keys(&mut editor, "\ri");
    assert_eq!(shown(&editor).0[..1], strings(&["      1 one"]));
    assert_eq!(editor.mode, Mode::Insert);
}

#[test]
fn screen_scrolls() {
    let text: String = (1..=40).map(|n| format!("line {n}\n")).collect();
    let mut editor = editor(&text);
    for (keys, first, cursor) in [
        ("\x06", "line 4", 0),
        ("\x06", "line 7", 0),
        ("\x02", "line 4", 3),
        ("gg6j", "line 3", 4),
        ("G", "line 38", 2),
        ("kkk", "line 37", 0),
        ("20G", "line 18", 2),
        ("\x05\x05\x05", "line 21", 0),
        ("\x19", "line 20", 1),
        ("\x04", "line 22", 1),
    ] {
        type_keys(&mut editor, keys);
        let (lines, at) = shown(&editor);
        assert_eq!((lines[0].as_str(), at.0), (first, cursor), "{keys:?}");
    }
    editor.resize(20, 3);
    assert_eq!(shown(&editor).1.0, 1);
}

#[test]
fn long_lines_scroll_sideways() {
    let mut editor = editor("0123456789abcdefghijklmnopqrstuvwxyz");
    assert_eq!(shown(&editor).0[0], "0123456789abcdefghij");
    type_keys(&mut editor, "$");
    assert_eq!((shown(&editor).0[0].as_str(), shown(&editor).1), ("pqrstuvwxyz", (0, 10)));
    type_keys(&mut editor, "0");
    assert_eq!(shown(&editor).0[0], "0123456789abcdefghij");
}

#[test]
fn saving_clears_the_modification() {
    let mut editor = editor("a\n");
    type_keys(&mut editor, "x");
    assert!(editor.file.is_modified);
    editor.saved("other", b"\n", true);
    assert!(editor.file.is_modified);
    editor.saved("file", b"\n", true);
    assert!(!editor.file.is_modified);
    assert_eq!(editor.message, "'file' 1L, 1C");
    assert_eq!(text_of(&editor), "\n");
}

fn strings(lines: &[&str]) -> Vec<String> {
    lines.iter().map(|line| line.to_string()).collect()
}
