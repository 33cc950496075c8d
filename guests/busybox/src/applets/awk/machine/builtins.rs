//! awk's own functions, except those that replace text.

use calendar::days_from_civil;

use super::super::error::Problem;
use super::super::format::format_values;
use super::super::program::CONVFMT;
use super::super::syntax::Builtin;
use super::super::value::{Bytes, Value};
use super::{Machine, Pending, Request};
use crate::applets::date::format_time;
use crate::applets::pattern::find_bytes;

/// `rand` and `srand`: xorshift, which is the same in each run until it is seeded.
pub struct Random {
    seed: f64,
    state: u64,
}

impl Default for Random {
    fn default() -> Random {
        Random { seed: 0.0, state: 0x2545_f491_4f6c_dd1d }
    }
}

impl Random {
    /// Returns the seed before.
    pub fn seed(&mut self, seed: f64) -> f64 {
        // Spreads seeds that differ in few bits; zero would stay zero.
        self.state = (seed.to_bits() ^ 0x2545_f491_4f6c_dd1d).wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        (0..8).for_each(|_| {
            self.next();
        });
        std::mem::replace(&mut self.seed, seed)
    }

    /// Returns a number from 0 to 1, without 1.
    fn next(&mut self) -> f64 {
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        (self.state >> 11) as f64 / (1u64 << 53) as f64
    }
}

impl Machine {
    /// Calls a function with its arguments on the stack.
    pub(super) fn call_builtin(&mut self, builtin: Builtin, count: usize) -> Result<Option<Request>, Problem> {
        match builtin {
            Builtin::Atan2 => {
                let x = self.pop_number();
                let y = self.pop_number();
                self.push_number(y.atan2(x));
            }
            Builtin::Cos => self.map_number(f64::cos),
            Builtin::Exp => self.map_number(f64::exp),
            Builtin::Int => self.map_number(f64::trunc),
            Builtin::Log => self.map_number(f64::ln),
            Builtin::Sin => self.map_number(f64::sin),
            Builtin::Sqrt => self.map_number(f64::sqrt),
            Builtin::And => self.combine_bits(|a, b| a & b),
            Builtin::Or => self.combine_bits(|a, b| a | b),
            Builtin::Xor => self.combine_bits(|a, b| a ^ b),
            Builtin::Lshift => self.combine_bits(|a, b| a.wrapping_shl(b as u32)),
            Builtin::Rshift => self.combine_bits(|a, b| a.wrapping_shr(b as u32)),
            Builtin::Compl => {
                // As many bits as a number has exactly.
                const BITS: u64 = (1 << 53) - 1;
                let number = self.pop_number() as u64;
                self.push_number((!number & BITS) as f64);
            }
            Builtin::Rand => {
                let number = self.random.next();
                self.push_number(number);
            }
            Builtin::Srand if count == 0 => {
                self.pending = Pending::Seed;
                return Ok(Some(Request::Time));
            }
            Builtin::Srand => {
                let seed = self.pop_number();
                let before = self.random.seed(seed);
                self.push_number(before);
            }
            Builtin::Length => {
                let length = self.pop_bytes().len();
                self.push_number(length as f64);
            }
            Builtin::Index => {
                let wanted = self.pop_bytes();
                let text = self.pop_bytes();
                self.push_number(find_bytes(&text, &wanted).map_or(0.0, |at| at as f64 + 1.0));
            }
            Builtin::Substr => self.substr(count),
            Builtin::Tolower => self.map_text(<[u8]>::to_ascii_lowercase),
            Builtin::Toupper => self.map_text(<[u8]>::to_ascii_uppercase),
            Builtin::Sprintf => {
                let values = self.pop_many(count);
                let (template, values) = values.split_first().ok_or(Problem::TooFewArguments)?;
                let text = format_values(&self.text(template), values, &self.global_text(CONVFMT))?;
                self.push(Value::Text(Bytes::from(text)));
            }
            Builtin::Match => self.match_text()?,
            Builtin::Gensub => self.gensub(count)?,
            Builtin::Strftime => self.strftime(count),
            Builtin::Mktime => {
                let date = self.pop_bytes();
                self.push_number(seconds_of(&date).unwrap_or(-1.0));
            }
            Builtin::Systime => return Ok(self.ask(Request::Time)),
            Builtin::System => {
                let command = self.pop_bytes();
                return Ok(self.ask(Request::System(command)));
            }
            Builtin::Close => {
                // The second argument is gawk's, for two-way pipes.
                let name = self.pop_many(count).first().map(|name| self.text(name)).unwrap_or_default();
                return Ok(self.ask(Request::Close(name)));
            }
            Builtin::Fflush => {
                let name = (count > 0).then(|| self.pop_bytes());
                return Ok(self.ask(Request::Flush(name)));
            }
            Builtin::Split | Builtin::Sub | Builtin::Gsub => unreachable!("these have operations of their own"),
        }
        Ok(None)
    }

    fn map_number(&mut self, function: fn(f64) -> f64) {
        let number = self.pop_number();
        self.push_number(function(number));
    }

    fn map_text(&mut self, function: fn(&[u8]) -> Vec<u8>) {
        let text = self.pop_bytes();
        self.push(Value::Text(Bytes::from(function(&text))));
    }

    fn combine_bits(&mut self, function: fn(u64, u64) -> u64) {
        let right = self.pop_number() as u64;
        let left = self.pop_number() as u64;
        self.push_number(function(left, right) as f64);
    }

    /// Takes the characters whose numbers are in the range; both ends may lie outside of the text.
    fn substr(&mut self, count: usize) {
        let length = if count > 2 { self.pop_number() } else { f64::INFINITY };
        let start = self.pop_number().round_ties_even();
        let text = self.pop_bytes();
        let end = (start + length.round_ties_even()).min(text.len() as f64 + 1.0);
        let start = start.max(1.0);
        // Not a number compares as false.
        let range = if end > start { start as usize - 1..end as usize - 1 } else { 0..0 };
        self.push(Value::text(text.get(range).unwrap_or_default()));
    }

    fn strftime(&mut self, count: usize) {
        let arguments = self.pop_many(count);
        let format = arguments.first().map(|format| self.text(format)).unwrap_or_default();
        let time = arguments.get(1).map_or(0.0, Value::number);
        let text = format_time(&String::from_utf8_lossy(&format), time as i64, 0);
        self.push(Value::text(text));
    }
}

/// Returns the seconds of `YYYY MM DD HH MM SS`, in UTC.
fn seconds_of(date: &[u8]) -> Option<f64> {
    let text = std::str::from_utf8(date).ok()?;
    let numbers: Vec<i64> = text.split_whitespace().map_while(|word| word.parse().ok()).collect();
    let [year, month, day, hour, minute, second, ..] = numbers[..] else { return None };
    let (month, day) = (u32::try_from(month).ok()?, u32::try_from(day).ok()?);
    if !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    Some((days_from_civil(year, month, day) * 86_400 + hour * 3600 + minute * 60 + second) as f64)
}
