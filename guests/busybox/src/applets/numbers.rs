//! Formats of numbers: C's conversions, sizes with units, and seq.

use super::{Options, Outcome, Output, fail, usage};
use crate::proc::Proc;

/// A conversion's flags, width and precision, as `%-08.3f` gives them.
#[derive(Default, Clone)]
pub struct FormatSpec {
    pub left: bool,
    pub zero: bool,
    pub plus: bool,
    pub space: bool,
    pub alternate: bool,
    pub width: usize,
    pub precision: Option<usize>,
}

impl FormatSpec {
    /// Reads the flags at the beginning of a conversion. Returns how many there are.
    pub fn read_flags(&mut self, format: &[u8]) -> usize {
        for (count, flag) in format.iter().enumerate() {
            match flag {
                b'-' => self.left = true,
                b'0' => self.zero = true,
                b'+' => self.plus = true,
                b' ' => self.space = true,
                b'#' => self.alternate = true,
                _ => return count,
            }
        }
        format.len()
    }

    /// Pads text to the width; `digits` may be padded with zeros after their sign.
    pub fn pad(&self, text: &[u8], digits: bool, out: &mut Vec<u8>) {
        let missing = self.width.saturating_sub(text.len());
        let blanks = |n: usize, out: &mut Vec<u8>| out.resize(out.len() + n, b' ');
        if self.left {
            out.extend_from_slice(text);
            blanks(missing, out);
        } else if self.zero && digits {
            let sign = usize::from(matches!(text.first(), Some(b'-' | b'+' | b' ')));
            let (sign, rest) = text.split_at(sign);
            out.extend_from_slice(sign);
            out.resize(out.len() + missing, b'0');
            out.extend_from_slice(rest);
        } else {
            blanks(missing, out);
            out.extend_from_slice(text);
        }
    }

    pub fn integer(&self, value: i128, conversion: char, out: &mut Vec<u8>) {
        let mut digits = match conversion {
            'o' => format!("{:o}", value as u64),
            'x' => format!("{:x}", value as u64),
            'X' => format!("{:X}", value as u64),
            'u' => (value as u64).to_string(),
            _ => value.unsigned_abs().to_string(),
        };
        if let Some(precision) = self.precision {
            digits.insert_str(0, &"0".repeat(precision.saturating_sub(digits.len())));
        }
        if self.alternate && value != 0 {
            let mark = match conversion {
                'o' => "0",
                'x' => "0x",
                'X' => "0X",
                _ => "",
            };
            digits.insert_str(0, mark);
        }
        let signed = matches!(conversion, 'd' | 'i');
        let text = format!("{}{digits}", self.sign(signed && value < 0, signed));
        let zeros = self.precision.is_none();
        self.pad(text.as_bytes(), zeros, out);
    }

    fn sign(&self, negative: bool, signed: bool) -> &'static str {
        match (negative, signed) {
            (true, _) => "-",
            (_, true) if self.plus => "+",
            (_, true) if self.space => " ",
            _ => "",
        }
    }

    pub fn float(&self, value: f64, conversion: char, out: &mut Vec<u8>) {
        let precision = self.precision.unwrap_or(6);
        let magnitude = value.abs();
        let mut text = if !magnitude.is_finite() {
            if value.is_nan() { "nan".to_string() } else { "inf".to_string() }
        } else {
            match conversion.to_ascii_lowercase() {
                'e' => scientific(magnitude, precision),
                'g' => general(magnitude, precision.max(1), self.alternate),
                _ => format!("{magnitude:.precision$}"),
            }
        };
        text.insert_str(0, self.sign(value.is_sign_negative() && !value.is_nan(), true));
        if conversion.is_ascii_uppercase() {
            text.make_ascii_uppercase();
        }
        self.pad(text.as_bytes(), magnitude.is_finite(), out);
    }
}

/// Formats `1.5e+03`, with an exponent of at least two digits as in C.
fn scientific(value: f64, precision: usize) -> String {
    let text = format!("{value:.precision$e}");
    let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{mantissa}e{sign}{:02}", exponent.abs())
}

fn general(value: f64, precision: usize, keep: bool) -> String {
    let rounded = format!("{value:.*e}", precision - 1);
    let exponent: i32 = rounded.rsplit('e').next().and_then(|e| e.parse().ok()).unwrap_or(0);
    let (text, tail) = if exponent < -4 || exponent >= precision as i32 {
        let text = scientific(value, precision - 1);
        let at = text.find('e').unwrap_or(text.len());
        (text[..at].to_string(), text[at..].to_string())
    } else {
        let decimals = (precision as i32 - 1 - exponent).max(0) as usize;
        (format!("{value:.decimals$}"), String::new())
    };
    if keep || !text.contains('.') {
        return text + &tail;
    }
    text.trim_end_matches('0').trim_end_matches('.').to_string() + &tail
}

/// Formats a size as `ls -h` and `du -h` do: `1.5K`.
pub fn format_size(bytes: u64) -> String {
    if bytes < 1024 {
        return bytes.to_string();
    }
    let mut value = bytes as f64;
    let mut units = "KMGTPE".chars();
    let mut unit = ' ';
    while value >= 1024.0 {
        value /= 1024.0;
        unit = units.next().unwrap_or('E');
    }
    format!("{value:.1}{unit}")
}

pub async fn seq(p: Proc) -> Outcome {
    // Negative operands look like options: options end at the first number.
    let args = p.args.get(1..).unwrap_or_default();
    let at = args.iter().position(|a| a.parse::<f64>().is_ok()).unwrap_or(args.len());
    let mut protected = args.to_vec();
    if args.get(at).is_some_and(|a| a.starts_with('-')) {
        protected.insert(at, "--".into());
    }
    let o = Options::parse_args(&p, &protected, "+ws:").await?;
    let (first, step, last) = match o.operands.as_slice() {
        [last] => ("1", "1", last.as_str()),
        [first, last] => (first.as_str(), "1", last.as_str()),
        [first, step, last] => (first.as_str(), step.as_str(), last.as_str()),
        _ => return usage(&p).await,
    };
    let mut values = [0.0; 3];
    for (value, text) in values.iter_mut().zip([first, step, last]) {
        match text.parse::<f64>() {
            Ok(v) if v.is_finite() => *value = v,
            _ => return fail(&p, 1, &format!("invalid number '{text}'")).await,
        }
    }
    let [start, by, end] = values;
    let decimals = |t: &str| t.split_once('.').map_or(0, |(_, d)| d.len());
    let precision = decimals(first).max(decimals(step));
    let width = if o.has('w') {
        let wide = |v: f64| format!("{v:.precision$}").len();
        wide(start).max(wide(end))
    } else {
        0
    };
    if by == 0.0 {
        return fail(&p, 1, "increment must not be zero").await;
    }
    let separator = o.get('s').unwrap_or("\n");
    let mut out = Output::new(&p);
    let slack = by.abs() * 1e-9;
    for i in 0u64.. {
        let value = start + by * i as f64;
        if (by > 0.0 && value > end + slack) || (by < 0.0 && value < end - slack) {
            if i > 0 {
                out.add("\n");
            }
            break;
        }
        if i > 0 {
            out.put(separator).await?;
        }
        out.add(format!("{value:0width$.precision$}"));
    }
    out.end(0).await
}
