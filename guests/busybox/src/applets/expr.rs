//! expr: arithmetic, comparison and matching, as POSIX defines them.

use super::pattern::{Extent, NONE, Pattern};
use super::{Outcome, fail};
use crate::proc::Proc;

struct Parser<'a> {
    words: &'a [String],
    at: usize,
}

type Value = Result<String, &'static str>;

fn is_false(text: &str) -> bool {
    text.is_empty() || text.parse::<i64>() == Ok(0)
}

fn parse_integer(text: &str) -> Result<i64, &'static str> {
    text.parse().map_err(|_| "non-numeric argument")
}

impl<'a> Parser<'a> {
    fn peek(&self) -> Option<&'a str> {
        self.words.get(self.at).map(String::as_str)
    }

    fn take(&mut self, words: &[&str]) -> Option<&'a str> {
        let word = self.peek().filter(|w| words.contains(w))?;
        self.at += 1;
        Some(word)
    }

    fn evaluate_or(&mut self) -> Value {
        let mut left = self.evaluate_and()?;
        while self.take(&["|"]).is_some() {
            let right = self.evaluate_and()?;
            if is_false(&left) {
                left = if right.is_empty() { "0".into() } else { right };
            }
        }
        Ok(left)
    }

    fn evaluate_and(&mut self) -> Value {
        let mut left = self.evaluate_comparison()?;
        while self.take(&["&"]).is_some() {
            let right = self.evaluate_comparison()?;
            if is_false(&left) || is_false(&right) {
                left = "0".into();
            }
        }
        Ok(left)
    }

    fn evaluate_comparison(&mut self) -> Value {
        let mut left = self.evaluate_sum()?;
        while let Some(op) = self.take(&["=", "==", "!=", "<", "<=", ">", ">="]) {
            let right = self.evaluate_sum()?;
            let order = match (left.parse::<i64>(), right.parse::<i64>()) {
                (Ok(a), Ok(b)) => a.cmp(&b),
                _ => left.cmp(&right),
            };
            let holds = match op {
                "=" | "==" => order.is_eq(),
                "!=" => order.is_ne(),
                "<" => order.is_lt(),
                "<=" => order.is_le(),
                ">" => order.is_gt(),
                _ => order.is_ge(),
            };
            left = i32::from(holds).to_string();
        }
        Ok(left)
    }

    fn evaluate_sum(&mut self) -> Value {
        let mut left = self.evaluate_product()?;
        while let Some(op) = self.take(&["+", "-"]) {
            let right = parse_integer(&self.evaluate_product()?)?;
            let number = parse_integer(&left)?;
            let sum = if op == "+" { number.wrapping_add(right) } else { number.wrapping_sub(right) };
            left = sum.to_string();
        }
        Ok(left)
    }

    fn evaluate_product(&mut self) -> Value {
        let mut left = self.evaluate_match()?;
        while let Some(op) = self.take(&["*", "/", "%"]) {
            let right = parse_integer(&self.evaluate_match()?)?;
            let number = parse_integer(&left)?;
            let value = match op {
                "*" => number.wrapping_mul(right),
                _ if right == 0 => return Err("division by zero"),
                "/" => number.wrapping_div(right),
                _ => number.wrapping_rem(right),
            };
            left = value.to_string();
        }
        Ok(left)
    }

    fn evaluate_match(&mut self) -> Value {
        let mut left = self.evaluate_primary()?;
        while self.take(&[":"]).is_some() {
            let right = self.evaluate_primary()?;
            left = match_pattern(&left, &right)?;
        }
        Ok(left)
    }

    fn evaluate_primary(&mut self) -> Value {
        let word = self.peek().ok_or("syntax error")?;
        self.at += 1;
        match word {
            "(" => {
                let value = self.evaluate_or()?;
                self.take(&[")"]).ok_or("syntax error")?;
                Ok(value)
            }
            "+" if self.peek().is_some() => {
                self.at += 1;
                Ok(self.words[self.at - 1].clone())
            }
            "length" if self.peek().is_some() => Ok(self.evaluate_primary()?.chars().count().to_string()),
            "match" if self.peek().is_some() => {
                let text = self.evaluate_primary()?;
                match_pattern(&text, &self.evaluate_primary()?)
            }
            "index" if self.peek().is_some() => {
                let text = self.evaluate_primary()?;
                let wanted = self.evaluate_primary()?;
                let at = text.chars().position(|c| wanted.contains(c));
                Ok(at.map_or(0, |at| at + 1).to_string())
            }
            "substr" if self.peek().is_some() => {
                let text = self.evaluate_primary()?;
                let (from, length) = (self.evaluate_primary()?, self.evaluate_primary()?);
                let (Ok(from), Ok(length)) = (from.parse::<i64>(), length.parse::<i64>()) else {
                    return Ok(String::new());
                };
                if from < 1 || length < 1 {
                    return Ok(String::new());
                }
                Ok(text.chars().skip(from as usize - 1).take(length as usize).collect())
            }
            ")" | "|" | "&" | "=" | "<" | ">" if self.words.len() > 1 => Err("syntax error"),
            word => Ok(word.to_string()),
        }
    }
}

/// Returns the text of the first group, or else the length of the match, which is anchored at the beginning.
fn match_pattern(text: &str, pattern: &str) -> Value {
    let anchored = format!("^{}", pattern.strip_prefix('^').unwrap_or(pattern));
    let pattern = Pattern::new(anchored.as_bytes(), false, false, Extent::Any)?;
    let spans = pattern.find(text.as_bytes(), 0);
    Ok(match (spans, pattern.groups()) {
        (None, 0) => "0".into(),
        (None, _) => String::new(),
        (Some(spans), 0) => text.get(..spans[1]).map_or(spans[1], |t| t.chars().count()).to_string(),
        (Some(spans), _) if spans[2] == NONE => String::new(),
        (Some(spans), _) => text.get(spans[2]..spans[3]).unwrap_or_default().to_string(),
    })
}

pub async fn expr(p: Proc) -> Outcome {
    let mut words = p.args.get(1..).unwrap_or_default();
    if words.first().is_some_and(|w| w == "--") {
        words = &words[1..];
    }
    if words.is_empty() {
        return fail(&p, 2, "too few arguments").await;
    }
    let mut parser = Parser { words, at: 0 };
    match parser.evaluate_or() {
        Ok(_) if parser.at < words.len() => fail(&p, 2, "syntax error").await,
        Ok(value) => {
            p.stdout.write_all(format!("{value}\n").as_bytes()).await?;
            Ok(i32::from(is_false(&value)))
        }
        Err(why) => fail(&p, 2, why).await,
    }
}
