//! watch: runs a command again and again and shows its output from the top of the screen.

use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;
use std::time::SystemTime;

use super::date::{format_time, unix_seconds};
use super::sleep::{parse_duration, wait};
use super::{Options, Outcome, fail, run, usage};
use crate::console::{CLEAR_BELOW, CLEAR_LINE, move_to, width};
use crate::proc::{Proc, Reader, pipe};

/// The most output that is kept of one run; the command is then ended, as it would be by a pager.
const MAX_OUTPUT: usize = 256 * 1024;

pub async fn watch(p: Proc) -> Outcome {
    let o = Options::parse(&p, "+n:(interval)t(no-title)").await?;
    if o.operands.is_empty() {
        return usage(&p).await;
    }
    let text = o.get('n').unwrap_or("2");
    let Some(interval) = parse_duration(text).filter(|seconds| *seconds >= 0.1) else {
        return fail(&p, 1, &format!("invalid number '{text}'")).await;
    };
    let command = o.operands.join(" ");
    p.stdout.write_all([&move_to(0, 0), CLEAR_BELOW].concat().as_bytes()).await?;
    loop {
        let output = output_of(&p, &command).await;
        loop {
            let (columns, rows) = terminal::size().map_or((80, 24), |size| (size.columns.max(1), size.rows.max(1)));
            let title = match o.has('t') {
                true => None,
                false => Some(title(interval, &command, columns.into())),
            };
            let screen = draw(title.as_deref(), &output, columns.into(), rows.into());
            p.stdout.write_all(screen.as_bytes()).await?;
            if !resized_within(interval).await {
                break;
            }
        }
    }
}

/// Runs a command and returns what it writes.
async fn output_of(p: &Proc, command: &str) -> Vec<u8> {
    let (reader, writer) = pipe();
    let mut child = run(Proc {
        args: ["sh", "-c", command].map(String::from).to_vec(),
        stdin: Reader::empty(),
        stdout: writer.clone(),
        stderr: writer,
        ..p.clone()
    });
    let mut output = Vec::new();
    let mut buf = vec![0; 16 * 1024];
    let mut is_running = true;
    loop {
        let read = {
            let mut read = pin!(reader.read(&mut buf));
            poll_fn(|cx| {
                if is_running && child.as_mut().poll(cx).is_ready() {
                    is_running = false;
                    // Drops its writers, so that the pipe ends.
                    child = Box::pin(std::future::pending());
                }
                read.as_mut().poll(cx)
            })
            .await
        };
        match read {
            Ok(n) if n > 0 && output.len() < MAX_OUTPUT => output.extend_from_slice(buf.get(..n).unwrap_or_default()),
            _ => return output,
        }
    }
}

/// Waits; returns whether the size of the terminal changed before the end.
async fn resized_within(seconds: f64) -> bool {
    let mut clock = pin!(wait(seconds));
    let mut resized = pin!(terminal::resized());
    poll_fn(|cx| {
        if clock.as_mut().poll(cx).is_ready() {
            return Poll::Ready(false);
        }
        resized.as_mut().poll(cx).map(|()| true)
    })
    .await
}

/// Returns the first line: interval and command, and the time at its right end.
fn title(interval: f64, command: &str, columns: usize) -> String {
    let time = format_time("%Y-%m-%d %H:%M:%S", unix_seconds(SystemTime::now()), 0);
    let left = format!("Every {interval:.1}s: {}", command.replace('\n', " "));
    let free = columns.saturating_sub(time.len() + 1);
    let left = clip(&left, free);
    let blanks = (free + 1).saturating_sub(width::of_str(&left));
    [&left, " ".repeat(blanks).as_str(), &time].concat()
}

/// Returns the bytes that show the output from the top of the screen, as much as fits.
fn draw(title: Option<&str>, output: &[u8], columns: usize, rows: usize) -> String {
    let output = String::from_utf8_lossy(output);
    let head = title.into_iter().flat_map(|title| [title, ""]);
    let lines = head.chain(output.lines()).take(rows);
    let mut out = String::new();
    for (row, line) in lines.enumerate() {
        out.push_str(&move_to(row, 0));
        out.push_str(CLEAR_LINE);
        out.push_str(&clip(line, columns));
    }
    let below = title.map_or(0, |_| 2) + output.lines().count();
    if below < rows {
        out.push_str(&move_to(below, 0));
        out.push_str(CLEAR_BELOW);
    }
    out
}

/// Returns as much of a line as fits; without colours.
fn clip(line: &str, columns: usize) -> String {
    let mut out = String::new();
    let mut column = 0;
    for c in line.chars() {
        let mut visible = String::new();
        column += width::push_visible(c, column, &mut visible);
        if column > columns {
            break;
        }
        out.push_str(&visible);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::console::screen::Screen;

    #[test]
    fn output_is_shown_as_far_as_it_fits() {
        let mut screen = Screen::new(10, 4);
        screen.apply(draw(Some("title"), b"one\na line that is long\nthree\n", 10, 4).as_bytes());
        assert_eq!(screen.lines(), ["title", "", "one", "a line tha"]);
        screen.apply(draw(Some("title"), b"1\n", 10, 4).as_bytes());
        assert_eq!(screen.lines(), ["title", "", "1"]);
        screen.apply(draw(None, b"", 10, 4).as_bytes());
        assert!(screen.lines().is_empty());
    }

    #[test]
    fn title_fills_the_row() {
        let title = title(2.0, "ls -l", 50);
        assert!(title.starts_with("Every 2.0s: ls -l  "), "{title}");
        assert_eq!(title.len(), 50);
        assert_eq!(super::title(2.0, "a command that is longer than the row", 30).len(), 30);
    }
}
