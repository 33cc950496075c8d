//! The current record and its fields, which are split and joined only when the program looks at them.

use super::error::Problem;
use super::regex::Regexes;
use super::value::{Bytes, Value};

/// The most fields, so that `$1e9 = 1` does not exhaust the guest's memory.
const MAX_FIELDS: usize = 1 << 20;

/// A way to split text.
pub struct Separator {
    pub text: Bytes,
    pub ignore_case: bool,
    /// Whether a line end separates fields, too: in paragraph mode.
    pub lines: bool,
}

#[derive(Default)]
pub struct Record {
    whole: Value,
    fields: Vec<Value>,
    /// Whether `fields` are those of `whole`.
    split: bool,
    /// Whether `whole` consists of `fields`.
    joined: bool,
}

impl Record {
    pub fn set(&mut self, whole: Value) {
        self.whole = whole;
        self.split = false;
        self.joined = true;
    }

    pub fn is_split(&self) -> bool {
        self.split
    }

    /// Splits the record into fields.
    pub fn set_fields(&mut self, fields: Vec<Value>) {
        self.fields = fields;
        self.split = true;
    }

    pub fn whole(&mut self, ofs: &[u8], convfmt: &[u8]) -> Value {
        if !self.joined {
            let parts: Vec<Bytes> = self.fields.iter().map(|field| field.bytes(convfmt)).collect();
            self.whole = Value::from_input(parts.join(ofs));
            self.joined = true;
        }
        self.whole.clone()
    }

    pub fn field(&self, number: usize) -> Value {
        self.fields.get(number - 1).cloned().unwrap_or_default()
    }

    pub fn count(&self) -> usize {
        self.fields.len()
    }

    /// Sets a field of the split record.
    ///
    /// # Errors
    /// `NegativeField` for a number that is too large.
    pub fn set_field(&mut self, number: usize, value: Value) -> Result<(), Problem> {
        if number > self.fields.len() {
            self.set_count(number)?;
        }
        self.fields[number - 1] = value;
        self.joined = false;
        Ok(())
    }

    /// Sets NF of the split record.
    ///
    /// # Errors
    /// `NegativeField` for a number that is too large.
    pub fn set_count(&mut self, count: usize) -> Result<(), Problem> {
        if count > MAX_FIELDS {
            return Err(Problem::NegativeField);
        }
        self.fields.resize(count, Value::text(""));
        self.joined = false;
        Ok(())
    }
}

/// Splits text by FS or the separator of `split`.
///
/// # Errors
/// `BadRegex`.
pub fn split(text: &[u8], separator: &Separator, regexes: &mut Regexes) -> Result<Vec<Value>, Problem> {
    let mut out = Vec::new();
    let literal = match &*separator.text {
        b" " => {
            let words = text.split(|b| matches!(b, b' ' | b'\t' | b'\n'));
            return Ok(words.filter(|word| !word.is_empty()).map(Value::from_input).collect());
        }
        [] => return Ok(text.iter().map(|byte| Value::from_input([*byte])).collect()),
        [byte] if *byte != b'\\' && !(separator.ignore_case && byte.is_ascii_alphabetic()) => Some(*byte),
        _ => None,
    };
    if text.is_empty() {
        return Ok(out);
    }
    if let Some(byte) = literal {
        let ends = |b: &u8| *b == byte || (separator.lines && *b == b'\n');
        return Ok(text.split(ends).map(Value::from_input).collect());
    }
    let pattern = match (&*separator.text, separator.lines) {
        (b"\\", _) => regexes.get(&Bytes::from(&b"\\\\"[..]), false)?,
        (text, true) => regexes.get(&Bytes::from([b"(", text, b")|\n"].concat()), separator.ignore_case)?,
        (_, false) => regexes.get(&separator.text, separator.ignore_case)?,
    };
    let (mut start, mut from) = (0, 0);
    while let Some(spans) = pattern.find(text, from) {
        if spans[1] == spans[0] {
            // A separator has at least one byte.
            from = spans[0] + 1;
            if from > text.len() {
                break;
            }
            continue;
        }
        out.push(Value::from_input(text.get(start..spans[0]).unwrap_or_default()));
        (start, from) = (spans[1], spans[1]);
    }
    out.push(Value::from_input(text.get(start..).unwrap_or_default()));
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, separator: &str, expected: &[&str]) {
        let by = Separator { text: Bytes::from(separator.as_bytes()), ignore_case: false, lines: false };
        let fields = split(text.as_bytes(), &by, &mut Regexes::default()).expect("a valid separator");
        let fields: Vec<String> =
            fields.iter().map(|field| String::from_utf8_lossy(&field.bytes(b"%.6g")).into_owned()).collect();
        assert_eq!(fields, expected, "{text:?} by {separator:?}");
    }

    #[test]
    fn separators_are_blanks_bytes_or_expressions() {
        check("  a \t b\n", " ", &["a", "b"]);
        check("a::b:", ":", &["a", "", "b", ""]);
        check("a|b.c", "|", &["a", "b.c"]);
        check("a1b22c", "[0-9]+", &["a", "b", "c"]);
        check("a, b,c", ", *", &["a", "b", "c"]);
        check("abc", "", &["a", "b", "c"]);
        check("", ":", &[]);
        check("", " ", &[]);
        check("a\\b", "\\", &["a", "b"]);
        check("abc", "x*", &["abc"]);
    }

    #[test]
    fn changed_fields_are_joined_again() {
        let mut record = Record::default();
        record.set(Value::from_input("a b c"));
        record.set_fields(["a", "b", "c"].map(Value::from_input).to_vec());
        let whole = |record: &mut Record| String::from_utf8_lossy(&record.whole(b"-", b"").bytes(b"")).into_owned();
        assert_eq!(whole(&mut record), "a b c");
        record.set_field(5, Value::text("e")).expect("a field");
        assert_eq!(whole(&mut record), "a-b-c--e");
        record.set_count(2).expect("a count");
        assert_eq!(whole(&mut record), "a-b");
        assert!(record.set_count(1 << 30).is_err());
    }
}
