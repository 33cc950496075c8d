//! top: redraws the processes until `q` is typed or it is interrupted; `P`, `M`, `T` and `N` choose their order.

use std::time::{Duration, SystemTime};

use processes::Process;

use super::super::date::{format_time as format_date, unix_seconds};
use super::super::sleep::{parse_duration, wait, within};
use super::super::{Options, Outcome, fail};
use super::columns::{format_memory, format_time};
use crate::console::keyboard::{Event, Keyboard};
use crate::console::keys::Key;
use crate::console::{CLEAR_SCREEN, width};
use crate::proc::Proc;

/// Seconds between two tables.
const INTERVAL: f64 = 5.0;

/// The column by which the processes are sorted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Order {
    Processor,
    Memory,
    Time,
    Id,
}

/// What a key or the end of the interval does.
#[derive(Debug, PartialEq, Eq)]
enum Step {
    Quit,
    Redraw,
}

/// How the processes are sorted: the largest first, except by number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Sorting {
    order: Order,
    is_reversed: bool,
}

impl Sorting {
    /// Applies a key, in either case as busybox does.
    fn press(&mut self, key: &Key) -> Step {
        let order = match key {
            Key::Char('q' | 'Q') | Key::Ctrl('C' | 'D') => return Step::Quit,
            Key::Char('p' | 'P') => Order::Processor,
            Key::Char('m' | 'M') => Order::Memory,
            Key::Char('t' | 'T') => Order::Time,
            Key::Char('n' | 'N') => Order::Id,
            Key::Char('r' | 'R') => {
                self.is_reversed ^= true;
                return Step::Redraw;
            }
            _ => return Step::Redraw,
        };
        *self = Sorting { order, is_reversed: false };
        Step::Redraw
    }

    fn sort(self, rows: &mut [(f64, &Process)]) {
        match self.order {
            Order::Processor => rows.sort_by(|a, b| b.0.total_cmp(&a.0)),
            Order::Memory => rows.sort_by_key(|(_, process)| std::cmp::Reverse(process.memory)),
            Order::Time => rows.sort_by_key(|(_, process)| std::cmp::Reverse(process.processor_time)),
            Order::Id => rows.sort_by_key(|(_, process)| process.id),
        }
        if self.is_reversed {
            rows.reverse();
        }
    }
}

pub async fn top(p: Proc) -> Outcome {
    let o = Options::parse(&p, "bn:d:").await?;
    let interval = match o.get('d').map(parse_duration) {
        None => INTERVAL,
        Some(Some(seconds)) => seconds,
        Some(None) => return fail(&p, 1, &format!("invalid number '{}'", o.get('d').unwrap_or_default())).await,
    };
    let rounds = o.number(&p, 'n').await?.unwrap_or(u64::MAX);
    let on_terminal = !o.has('b') && p.stdout.is_terminal();
    let reads_keys = on_terminal && p.stdin.is_terminal();
    let _raw = reads_keys.then(::terminal::RawMode::enter);
    let mut keyboard = reads_keys.then(|| Keyboard::new(p.stdin.clone()));
    let mut sorting = Sorting { order: Order::Processor, is_reversed: false };
    let mut before: Vec<Process> = Vec::new();
    for round in 0..rounds {
        if round > 0 && pause(interval, keyboard.as_mut(), &mut sorting).await == Step::Quit {
            // The shell's prompt begins a line.
            p.stdout.write_all(b"\n").await?;
            break;
        }
        let now = processes::list();
        let time = format_date("%H:%M:%S", unix_seconds(SystemTime::now()), 0);
        let table = format(&now, &before, &time, sorting);
        let text = match (on_terminal, round) {
            (true, _) => CLEAR_SCREEN.to_string() + &fit(&table, ::terminal::size().map(|s| (s.columns, s.rows))),
            (false, 0) => table,
            (false, _) => format!("\n{table}"),
        };
        p.stdout.write_all(text.as_bytes()).await?;
        before = now;
    }
    Ok(0)
}

/// Waits for the interval, a key or a change of the terminal's size.
async fn pause(interval: f64, keyboard: Option<&mut Keyboard>, sorting: &mut Sorting) -> Step {
    let Some(keyboard) = keyboard else {
        wait(interval).await;
        return Step::Redraw;
    };
    match within(interval, std::pin::pin!(keyboard.next())).await {
        Some(Event::Key(key)) => sorting.press(&key),
        Some(Event::End) => Step::Quit,
        Some(Event::Resized) | None => Step::Redraw,
    }
}

/// Returns as much of a table as a terminal of this size shows, without scrolling.
fn fit(table: &str, size: Option<(u16, u16)>) -> String {
    let Some((columns, rows)) = size.filter(|(columns, rows)| *columns > 0 && *rows > 1) else {
        return table.to_string();
    };
    let mut out = String::new();
    for line in table.lines().take(usize::from(rows) - 1) {
        let mut column = 0;
        for c in line.chars() {
            let mut visible = String::new();
            column += width::push_visible(c, column, &mut visible);
            if column > usize::from(columns) {
                break;
            }
            out.push_str(&visible);
        }
        out.push('\n');
    }
    out
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

fn format(now: &[Process], before: &[Process], time: &str, sorting: Sorting) -> String {
    let mut rows: Vec<(f64, &Process)> = now.iter().map(|process| (share(process, before), process)).collect();
    sorting.sort(&mut rows);
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

    const BY_PROCESSOR: Sorting = Sorting { order: Order::Processor, is_reversed: false };

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
        let table = format(&[idle, process(2, &["busy", "-x"], 100)], &[], "12:00:00", BY_PROCESSOR);
        let expected = "12:00:00  2 processes  Mem: 6144K used  CPU: 61.0%\n  PID USER      VSZ %CPU  TIME COMMAND\n    \
                        2 root     3072   61  1:01 busy -x\n    1 root     3072    0  0:00 idle\n";
        assert_eq!(table, expected);
    }

    #[test]
    fn keys_quit_or_choose_the_order() {
        for key in ["q", "Q", "\x03", "\x04"] {
            let keys = crate::console::keys::decode_all(key);
            assert_eq!(keys.iter().map(|key| BY_PROCESSOR.clone().press(key)).collect::<Vec<_>>(), [Step::Quit]);
        }
        let small = Process { memory: 0, processor_time: 90_000_000_000, ..process(1, &["small"], 900) };
        let large = process(2, &["large"], 100);
        for (keys, first) in [("x", "large"), ("m", "large"), ("T", "small"), ("N", "small"), ("nR", "large")] {
            let mut sorting = BY_PROCESSOR;
            crate::console::keys::decode_all(keys).iter().for_each(|key| assert_eq!(sorting.press(key), Step::Redraw));
            let table = format(&[small.clone(), large.clone()], &[], "", sorting);
            assert!(table.lines().nth(2).is_some_and(|row| row.ends_with(first)), "{keys}: {table}");
        }
    }

    #[test]
    fn tables_are_cut_to_the_terminal() {
        assert_eq!(fit("abc\nd\ne\n", Some((2, 3))), "ab\nd\n");
        assert_eq!(fit("abc\n", None), "abc\n");
    }
}
