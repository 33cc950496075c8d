//! xargs: commands from lists.

use super::{Lines, Options, Out, Outcome, Stop, fail, run};
use crate::proc::{Proc, Reader};

/// As many bytes of arguments as one command gets.
const MOST_BYTES: usize = 128 * 1024;

struct Runs {
    p: Proc,
    command: Vec<String>,
    trace: bool,
    code: i32,
}

pub async fn xargs(p: Proc) -> Outcome {
    let o = Options::of(&p, "+0rtxn:L:I:s:P:E:e::p").await?;
    let mut most = o.number(&p, 'n').await?.unwrap_or(u64::MAX);
    let lines_each = o.number(&p, 'L').await?;
    let replace = o.get('I').map(|s| if s.is_empty() { "{}" } else { s });
    if most == 0 {
        return fail(&p, 1, "invalid number '0'").await;
    }
    let mut command = o.rest.clone();
    if command.is_empty() {
        command.push("echo".into());
    }
    let child = Proc { stdin: Reader::empty(), ..p.clone() };
    let mut runs = Runs { p: child, command, trace: o.has('t'), code: 0 };
    let mut out = Out::new(&p);
    let separator = if o.has('0') { 0 } else { b'\n' };
    let mut lines = Lines::split_by(p.stdin.clone(), separator);
    let (mut batch, mut bytes, mut lines_in) = (Vec::new(), 0, 0);
    let mut ran = false;
    let mut carried = String::new();
    if replace.is_some() {
        most = 1;
    }
    while let Some(line) = lines.bare(&mut out).await? {
        let line = carried.clone() + &String::from_utf8_lossy(line);
        carried.clear();
        let words = if o.has('0') {
            vec![line]
        } else if replace.is_some() {
            let trimmed = line.trim_start();
            if trimmed.is_empty() { vec![] } else { vec![trimmed.to_string()] }
        } else {
            match words(&line) {
                Some(words) => words,
                None => {
                    // An open quote or a backslash before the newline: the next line belongs to it.
                    carried = line + "\n";
                    continue;
                }
            }
        };
        if words.is_empty() {
            continue;
        }
        lines_in += 1;
        for word in words {
            if batch.len() as u64 >= most || bytes + word.len() > MOST_BYTES {
                ran = true;
                runs.one(std::mem::take(&mut batch), replace).await?;
                bytes = 0;
            }
            bytes += word.len() + 1;
            batch.push(word);
        }
        if lines_each.is_some_and(|n| lines_in >= n) {
            ran = true;
            runs.one(std::mem::take(&mut batch), replace).await?;
            (bytes, lines_in) = (0, 0);
        }
    }
    if !carried.is_empty() {
        return fail(&p, 1, "unmatched quote").await;
    }
    if !batch.is_empty() || (!ran && !o.has('r') && replace.is_none()) {
        runs.one(batch, replace).await?;
    }
    Ok(runs.code)
}

impl Runs {
    async fn one(&mut self, batch: Vec<String>, replace: Option<&str>) -> Result<(), Stop> {
        let mut args = self.command.clone();
        match replace {
            Some(mark) => {
                let item = batch.first().map_or("", String::as_str);
                args = args.iter().map(|a| a.replace(mark, item)).collect();
            }
            None => args.extend(batch),
        }
        if self.trace {
            let _ = self.p.stderr.write_all((args.join(" ") + "\n").as_bytes()).await;
        }
        match run(Proc { args, ..self.p.clone() }).await {
            0 => {}
            code @ (126 | 127) => return Err(Stop::Code(code)),
            255 => return Err(Stop::Code(124)),
            _ => self.code = 123,
        }
        Ok(())
    }
}

/// Splits at blanks; quotes and backslashes protect. `None` when a quote stays open.
fn words(line: &str) -> Option<Vec<String>> {
    let mut out = Vec::new();
    let mut word: Option<String> = None;
    let mut chars = line.chars();
    while let Some(c) = chars.next() {
        match c {
            ' ' | '\t' | '\n' => out.extend(word.take()),
            '\'' | '"' => {
                let word = word.get_or_insert_default();
                loop {
                    match chars.next()? {
                        end if end == c => break,
                        inner => word.push(inner),
                    }
                }
            }
            '\\' => word.get_or_insert_default().push(chars.next()?),
            c => word.get_or_insert_default().push(c),
        }
    }
    out.extend(word);
    Some(out)
}
