//! top: redraws the processes by their use of the processor, until it is interrupted.

use std::time::{Duration, SystemTime};

use processes::Process;

use super::super::date::{format_time as format_date, unix_seconds};
use super::super::sleep::{parse_duration, wait};
use super::super::{Options, Outcome, fail};
use super::columns::{format_memory, format_time};
use crate::proc::Proc;

/// Seconds between two tables.
const INTERVAL: f64 = 5.0;

/// Moves the cursor to the corner and clears the screen.
const CLEAR: &str = "\x1b[H\x1b[J";

pub async fn top(p: Proc) -> Outcome {
    let o = Options::parse(&p, "bn:d:").await?;
    let interval = match o.get('d').map(parse_duration) {
        None => INTERVAL,
        Some(Some(seconds)) => seconds,
        Some(None) => return fail(&p, 1, &format!("invalid number '{}'", o.get('d').unwrap_or_default())).await,
    };
    let rounds = o.number(&p, 'n').await?.unwrap_or(u64::MAX);
    let on_terminal = !o.has('b') && wasip2::cli::terminal_stdout::get_terminal_stdout().is_some();
    let mut before: Vec<Process> = Vec::new();
    for round in 0..rounds {
        if round > 0 {
            wait(interval).await;
        }
        let now = processes::list();
        let time = format_date("%H:%M:%S", unix_seconds(SystemTime::now()), 0);
        let table = format(&now, &before, &time);
        let text = match (on_terminal, round) {
            (true, _) => format!("{CLEAR}{table}"),
            (false, 0) => table,
            (false, _) => format!("\n{table}"),
        };
        p.stdout.write_all(text.as_bytes()).await?;
        before = now;
    }
    Ok(0)
}

/// Returns the share of one processor that a process has used since `before`, or since its start, in percent.
fn share(process: &Process, before: &[Process]) -> f64 {
    let same = |other: &&Process| {
        other.id == process.id && other.container == process.container && other.attempt == process.attempt
    };
    let (time, age) = before.iter().find(same).map_or((0, 0), |other| (other.processor_time, other.age));
    let used = process.processor_time.saturating_sub(time);
    let passed = process.age.saturating_sub(age);
    if passed == 0 { 0.0 } else { used as f64 / passed as f64 * 100.0 }
}

fn format(now: &[Process], before: &[Process], time: &str) -> String {
    let mut rows: Vec<(f64, &Process)> = now.iter().map(|process| (share(process, before), process)).collect();
    rows.sort_by(|a, b| b.0.total_cmp(&a.0));
    let memory: u64 = now.iter().map(|process| process.memory).sum();
    let total: f64 = rows.iter().map(|(share, _)| share).sum();
    let mut out = format!("{time}  {} processes  Mem: {}K used  CPU: {total:.1}%\n", now.len(), memory / 1024);
    out += "  PID USER      VSZ %CPU  TIME COMMAND\n";
    for (share, process) in rows {
        let (id, memory, command) = (process.id, format_memory(process.memory), process.command.join(" "));
        let used = format_time(Duration::from_nanos(process.processor_time));
        out += &format!("{id:>5} root     {memory:>4} {share:>4.0} {used:>5} {command}\n");
    }
    out
}

#[cfg(test)]
mod tests {
    use super::super::process;
    use super::*;

    #[test]
    fn shares_count_since_the_last_table() {
        let before = process(1, &["busy"], 100);
        let now = Process { processor_time: before.processor_time + 2_500_000_000, ..process(1, &["busy"], 105) };
        assert_eq!(share(&now, std::slice::from_ref(&before)).round(), 50.0);
        assert_eq!(share(&before, &[]).round(), 61.0);
        assert_eq!(share(&before, std::slice::from_ref(&before)), 0.0);
    }

    #[test]
    fn the_busiest_process_comes_first() {
        let idle = Process { processor_time: 0, ..process(1, &["idle"], 100) };
        let table = format(&[idle, process(2, &["busy", "-x"], 100)], &[], "12:00:00");
        let expected = "12:00:00  2 processes  Mem: 6144K used  CPU: 61.0%\n  PID USER      VSZ %CPU  TIME COMMAND\n    \
                        2 root     3072   61  1:01 busy -x\n    1 root     3072    0  0:00 idle\n";
        assert_eq!(table, expected);
    }
}
