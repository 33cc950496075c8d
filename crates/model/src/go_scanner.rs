//! The syntax of JSON as Go's `encoding/json` checks it, for the messages about texts that are not valid.

use super::go;

/// Upper bound of the depth of objects and lists.
const MAX_DEPTH: usize = 10_000;

/// What encloses the next token.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Frame {
    Object,
    List,
}

/// Returns why `json` is not valid JSON, in the words of Go; `None` if it is valid.
pub fn syntax_error(json: &[u8]) -> Option<String> {
    Scanner { json, position: 0 }.scan().err()
}

struct Scanner<'j> {
    json: &'j [u8],
    position: usize,
}

type Scanned<T = ()> = Result<T, String>;

impl Scanner<'_> {
    fn scan(&mut self) -> Scanned {
        let mut frames = Vec::new();
        let mut needs_value = true;
        loop {
            if needs_value {
                needs_value = self.begin_value(&mut frames)?;
                continue;
            }
            let Some(frame) = frames.last().copied() else { return self.end() };
            match (frame, self.next_token()?) {
                (Frame::Object, b',') => {
                    let quote = self.next_token()?;
                    self.object_key(quote)?;
                    needs_value = true;
                }
                (Frame::List, b',') => needs_value = true,
                (Frame::Object, b'}') | (Frame::List, b']') => drop(frames.pop()),
                (Frame::Object, c) => return Err(invalid(c, "after object key:value pair")),
                (Frame::List, c) => return Err(invalid(c, "after array element")),
            }
        }
    }

    /// Reads a value, or the beginning of an object or list. Returns whether another value must follow.
    fn begin_value(&mut self, frames: &mut Vec<Frame>) -> Scanned<bool> {
        let c = self.next_token()?;
        match c {
            b'{' | b'[' if frames.len() == MAX_DEPTH => Err("exceeded max depth".into()),
            b'{' => {
                let next = self.next_token()?;
                if next == b'}' {
                    return Ok(false);
                }
                frames.push(Frame::Object);
                self.object_key(next)?;
                Ok(true)
            }
            b'[' => {
                frames.push(Frame::List);
                if self.next_token()? == b']' {
                    frames.pop();
                    return Ok(false);
                }
                self.position -= 1;
                Ok(true)
            }
            b'"' => self.string().map(|()| false),
            b'-' | b'0'..=b'9' => self.number(c).map(|()| false),
            b't' => self.literal("true").map(|()| false),
            b'f' => self.literal("false").map(|()| false),
            b'n' => self.literal("null").map(|()| false),
            c => Err(invalid(c, "looking for beginning of value")),
        }
    }

    /// Reads a key and its colon; `quote` is the key's first character.
    fn object_key(&mut self, quote: u8) -> Scanned {
        if quote != b'"' {
            return Err(invalid(quote, "looking for beginning of object key string"));
        }
        self.string()?;
        match self.next_token()? {
            b':' => Ok(()),
            c => Err(invalid(c, "after object key")),
        }
    }

    fn string(&mut self) -> Scanned {
        loop {
            match self.next()? {
                b'"' => return Ok(()),
                b'\\' => self.escape()?,
                c @ ..0x20 => return Err(invalid(c, "in string literal")),
                _ => {}
            }
        }
    }

    fn escape(&mut self) -> Scanned {
        match self.next()? {
            b'b' | b'f' | b'n' | b'r' | b't' | b'\\' | b'/' | b'"' => Ok(()),
            b'u' => (0..4).try_for_each(|_| match self.next()? {
                c if c.is_ascii_hexdigit() => Ok(()),
                c => Err(invalid(c, "in \\u hexadecimal character escape")),
            }),
            c => Err(invalid(c, "in string escape code")),
        }
    }

    fn number(&mut self, first: u8) -> Scanned {
        let first = if first == b'-' { self.digit("in numeric literal")? } else { first };
        if first != b'0' {
            self.skip_digits();
        }
        if self.skip_one_of(b".") {
            self.digit("after decimal point in numeric literal")?;
            self.skip_digits();
        }
        if self.skip_one_of(b"eE") {
            self.skip_one_of(b"+-");
            self.digit("in exponent of numeric literal")?;
            self.skip_digits();
        }
        Ok(())
    }

    fn digit(&mut self, place: &str) -> Scanned<u8> {
        match self.next()? {
            c @ b'0'..=b'9' => Ok(c),
            c => Err(invalid(c, place)),
        }
    }

    fn skip_digits(&mut self) {
        while self.skip_one_of(b"0123456789") {}
    }

    fn skip_one_of(&mut self, characters: &[u8]) -> bool {
        let found = self.json.get(self.position).is_some_and(|c| characters.contains(c));
        self.position += usize::from(found);
        found
    }

    fn literal(&mut self, word: &str) -> Scanned {
        for expected in word.bytes().skip(1) {
            let c = self.next()?;
            if c != expected {
                return Err(invalid(c, &format!("in literal {word} (expecting '{}')", char::from(expected))));
            }
        }
        Ok(())
    }

    fn end(&mut self) -> Scanned {
        match self.next_token() {
            Ok(c) => Err(invalid(c, "after top-level value")),
            Err(_) => Ok(()),
        }
    }

    /// Returns the next character that is not white space.
    fn next_token(&mut self) -> Scanned<u8> {
        while self.skip_one_of(b" \t\r\n") {}
        self.next()
    }

    fn next(&mut self) -> Scanned<u8> {
        let c = self.json.get(self.position).copied().ok_or("unexpected end of JSON input")?;
        self.position += 1;
        Ok(c)
    }
}

fn invalid(c: u8, place: &str) -> String {
    let quoted = match c {
        b'\'' => "\\'".into(),
        b'"' => "\"".into(),
        c => go::quote(&char::from(c).to_string()).trim_matches('"').to_string(),
    };
    format!("invalid character '{quoted}' {place}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn syntax_errors_have_the_words_of_go() {
        for (json, want) in [
            ("", "unexpected end of JSON input"),
            ("{", "unexpected end of JSON input"),
            ("hunter2", "invalid character 'h' looking for beginning of value"),
            ("nope", "invalid character 'o' in literal null (expecting 'u')"),
            ("{a: 1}", "invalid character 'a' looking for beginning of object key string"),
            ("{\"a\" 1}", "invalid character '1' after object key"),
            ("{\"a\": 1 \"b\"}", "invalid character '\"' after object key:value pair"),
            ("{\"a\": 1,}", "invalid character '}' looking for beginning of object key string"),
            ("[1 2]", "invalid character '2' after array element"),
            ("[1,]", "invalid character ']' looking for beginning of value"),
            ("{}x", "invalid character 'x' after top-level value"),
            ("-a", "invalid character 'a' in numeric literal"),
            ("1.a", "invalid character 'a' after decimal point in numeric literal"),
            ("1ea", "invalid character 'a' in exponent of numeric literal"),
            ("\"\\x\"", "invalid character 'x' in string escape code"),
            ("\"\n\"", "invalid character '\\n' in string literal"),
        ] {
            assert_eq!(syntax_error(json.as_bytes()).as_deref(), Some(want), "{json}");
        }
        for json in ["null", " {} ", "[]", "{\"a\": [1, -0.5e+3, true, {\"b\": \"\\u00e4\\\\\"}], \"c\": {}}", "0"] {
            assert_eq!(syntax_error(json.as_bytes()), None, "{json}");
        }
        let deep = "[".repeat(MAX_DEPTH + 1);
        assert_eq!(syntax_error(deep.as_bytes()).as_deref(), Some("exceeded max depth"));
    }
}
