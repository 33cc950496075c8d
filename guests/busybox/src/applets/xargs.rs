//! xargs.

use super::{EarlyExit, Lines, Options, Outcome, Output, fail, run};
use crate::proc::{Proc, Reader};

/// The most bytes of arguments for one command.
const MAX_BYTES: usize = 128 * 1024;

struct Commands {
    p: Proc,
    command: Vec<String>,
    /// `-I`: the text that each item replaces.
    replace: Option<String>,
    /// `-t`: prints each command.
    trace: bool,
    /// Arguments of the next command, and their bytes.
    batch: Vec<String>,
    bytes: usize,
    ran: bool,
    code: i32,
}

pub async fn xargs(p: Proc) -> Outcome {
    let o = Options::parse(&p, "+0rtxn:L:I:s:P:E:e::p").await?;
    let max_args = o.number(&p, 'n').await?.unwrap_or(u64::MAX);
    let max_lines = o.number(&p, 'L').await?;
    if max_args == 0 {
        return fail(&p, 1, "invalid number '0'").await;
    }
    let replace = o.get('I').map(|s| if s.is_empty() { "{}" } else { s }.to_string());
    let max_args = if replace.is_some() { 1 } else { max_args };
    let command = if o.operands.is_empty() { vec!["echo".into()] } else { o.operands.clone() };
    let child = Proc { stdin: Reader::empty(), ..p.clone() };
    let mut commands =
        Commands { p: child, command, replace, trace: o.has('t'), batch: vec![], bytes: 0, ran: false, code: 0 };
    let mut out = Output::new(&p);
    let separator = if o.has('0') { 0 } else { b'\n' };
    let mut lines = Lines::split_by(p.stdin.clone(), separator);
    let mut lines_in = 0;
    let mut carried = String::new();
    while let Some(line) = lines.bare(&mut out).await? {
        let line = std::mem::take(&mut carried) + &String::from_utf8_lossy(line);
        let items = if o.has('0') {
            vec![line]
        } else if commands.replace.is_some() {
            let trimmed = line.trim_start();
            if trimmed.is_empty() { vec![] } else { vec![trimmed.to_string()] }
        } else if let Some(words) = split_words(&line) {
            words
        } else {
            // An open quote or a backslash before the newline: the next line belongs to it.
            carried = line + "\n";
            continue;
        };
        if items.is_empty() {
            continue;
        }
        lines_in += 1;
        for item in items {
            if commands.batch.len() as u64 >= max_args || commands.bytes + item.len() > MAX_BYTES {
                commands.run().await?;
            }
            commands.bytes += item.len() + 1;
            commands.batch.push(item);
        }
        if max_lines.is_some_and(|n| lines_in >= n) {
            commands.run().await?;
            lines_in = 0;
        }
    }
    if !carried.is_empty() {
        return fail(&p, 1, "unmatched quote").await;
    }
    if !commands.batch.is_empty() || (!commands.ran && !o.has('r') && commands.replace.is_none()) {
        commands.run().await?;
    }
    Ok(commands.code)
}

impl Commands {
    /// Runs the command with the arguments of the batch.
    async fn run(&mut self) -> Result<(), EarlyExit> {
        let batch = std::mem::take(&mut self.batch);
        self.bytes = 0;
        self.ran = true;
        let mut args = self.command.clone();
        match &self.replace {
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
            code @ (126 | 127) => return Err(EarlyExit::Code(code)),
            255 => return Err(EarlyExit::Code(124)),
            _ => self.code = 123,
        }
        Ok(())
    }
}

/// Splits a line at blanks that no quote or backslash protects. `None` if a quote stays open.
fn split_words(line: &str) -> Option<Vec<String>> {
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
