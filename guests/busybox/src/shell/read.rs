//! `read`.

use std::time::Duration;

use super::process::Interrupted;
use super::{Outcome, Shell};

/// A character of a line, and whether a backslash quoted it.
type Quoted = (char, bool);

impl Shell {
    /// `read [-rs] [-p prompt] [-t seconds] [-n count] [-u fd] [name...]`.
    pub async fn builtin_read(&mut self, args: &[String]) -> Outcome {
        let mut raw = false;
        let mut silent = false;
        let mut timeout: Option<f64> = None;
        let mut count = None;
        let mut fd = 0;
        let mut rest = args.iter().cloned().peekable();
        while let Some(arg) = rest.next_if(|arg| arg.starts_with('-') && arg.len() > 1) {
            if arg == "--" {
                break;
            }
            let mut letters = arg.chars().skip(1);
            while let Some(letter) = letters.next() {
                if matches!(letter, 'r' | 's') {
                    raw |= letter == 'r';
                    silent |= letter == 's';
                    continue;
                }
                let attached: String = letters.by_ref().collect();
                let value = match attached.is_empty() {
                    true => rest.next().unwrap_or_default(),
                    false => attached,
                };
                match letter {
                    'p' => {
                        let _ = self.descriptors.writer(2).write_all(value.as_bytes()).await;
                    }
                    't' => timeout = value.parse().ok(),
                    'n' => count = value.parse::<usize>().ok(),
                    'u' => fd = value.parse().unwrap_or(0),
                    'd' => {}
                    _ => {
                        self.print_error(&format!("read: illegal option -{letter}")).await;
                        return Ok(2);
                    }
                }
            }
        }
        let names: Vec<String> = rest.collect();
        let process = self.process.clone();
        let work = self.read_line(fd, raw, silent, count, timeout);
        let line = match process.interruptible(work).await {
            Ok(line) => line,
            Err(Interrupted(number)) => return Ok(128 + number),
        };
        let (line, complete) = line;
        if names.is_empty() {
            let text: String = line.iter().map(|(c, _)| *c).collect();
            self.assign("REPLY", &text).await.map_err(|f| f.0)?;
            return Ok(i32::from(!complete));
        }
        let fields = split_fields(&line, &self.ifs(), names.len());
        for (i, name) in names.iter().enumerate() {
            let value = fields.get(i).map(String::as_str).unwrap_or_default();
            self.assign(name, value).await.map_err(|f| f.0)?;
        }
        Ok(i32::from(!complete))
    }

    /// Reads a line without its newline; returns whether it had one.
    async fn read_line(
        &self,
        fd: i32,
        raw: bool,
        silent: bool,
        count: Option<usize>,
        timeout: Option<f64>,
    ) -> (Vec<Quoted>, bool) {
        let reader = self.descriptors.reader(fd);
        let reads_keys = (silent || count.is_some()) && reader.is_terminal() && terminal::size().is_some();
        let read = async {
            let mut line: Vec<Quoted> = Vec::new();
            loop {
                let bytes = match count {
                    _ if reads_keys => self.read_keys(&reader, silent, count).await.into_bytes(),
                    Some(count) => {
                        let mut bytes = vec![0; count];
                        let n = reader.read(&mut bytes).await.unwrap_or(0);
                        bytes.truncate(n);
                        bytes
                    }
                    None => reader.read_line().await.unwrap_or_default(),
                };
                let text = String::from_utf8_lossy(&bytes);
                let ended = text.ends_with('\n') || (count.is_some() && !text.is_empty());
                let mut chars = text.strip_suffix('\n').unwrap_or(&text).chars();
                let mut continued = false;
                while let Some(c) = chars.next() {
                    match c {
                        '\\' if !raw => match chars.next() {
                            Some(next) => line.push((next, true)),
                            None => continued = ended,
                        },
                        '\0' => {}
                        c => line.push((c, false)),
                    }
                }
                if !continued {
                    return (line, ended);
                }
            }
        };
        let Some(seconds) = timeout else {
            return read.await;
        };
        let duration = Duration::try_from_secs_f64(seconds).unwrap_or_default();
        let mut read = Box::pin(read);
        let mut timer = Box::pin(wstd::task::sleep(duration.into()));
        std::future::poll_fn(move |cx| {
            if let std::task::Poll::Ready(line) = read.as_mut().poll(cx) {
                return std::task::Poll::Ready(line);
            }
            timer.as_mut().poll(cx).map(|_| (Vec::new(), false))
        })
        .await
    }
}

/// Splits a line for `count` names; the last one gets the rest.
fn split_fields(line: &[Quoted], ifs: &str, count: usize) -> Vec<String> {
    let separates = |(c, quoted): &Quoted| !quoted && ifs.contains(*c);
    let blank = |q: &Quoted| separates(q) && matches!(q.0, ' ' | '\t' | '\n');
    let text = |part: &[Quoted]| part.iter().map(|(c, _)| *c).collect::<String>();
    let mut out = Vec::new();
    let mut i = line.iter().take_while(|q| blank(q)).count();
    while i < line.len() {
        if out.len() + 1 == count {
            out.push(text(rest_of_line(line.get(i..).unwrap_or_default(), &separates, &blank)));
            break;
        }
        let rest = line.get(i..).unwrap_or_default();
        let length = rest.iter().position(&separates).unwrap_or(rest.len());
        out.push(text(rest.get(..length).unwrap_or_default()));
        i += length;
        let mut other = false;
        while let Some(q) = line.get(i) {
            if !blank(q) && (other || !separates(q)) {
                break;
            }
            other |= !blank(q);
            i += 1;
        }
    }
    out
}

/// Returns the value of the last name: the rest of the line, without blanks at the end and without a single separator
/// that only ends it.
fn rest_of_line<'a>(
    rest: &'a [Quoted],
    separates: &impl Fn(&Quoted) -> bool,
    blank: &impl Fn(&Quoted) -> bool,
) -> &'a [Quoted] {
    let trim = |part: &'a [Quoted]| -> &'a [Quoted] {
        let end = part.iter().rposition(|q| !blank(q)).map_or(0, |at| at + 1);
        part.get(..end).unwrap_or_default()
    };
    let part = trim(rest);
    match part.split_last() {
        Some((end, before)) if separates(end) && !before.iter().any(separates) => trim(before),
        _ => part,
    }
}
