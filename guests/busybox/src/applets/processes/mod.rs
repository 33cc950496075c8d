//! ps, top, pgrep, pkill, pidof, killall and uptime: the programs that the host shows (`wasmpod:processes`).
//!
//! The commands of a shell run inside of it, so they are not processes of their own: `ps` shows the shell, not its jobs.

mod columns;
mod select;
mod top;

use std::time::{Duration, SystemTime};

use processes::{Process, SignalError};

use super::date::{format_time, unix_seconds};
use super::{Options, Outcome, Output, fail, usage};
use crate::proc::Proc;
use crate::shell::{TERM, signal_name, signal_number};
use columns::Column;
use select::{Selection, short_name};

pub use top::top;

/// Returns the identifier of this instance among `all`: that of the youngest process with its arguments. Called when
/// the instance starts.
pub fn find_own(all: &[Process], arguments: &[String]) -> Option<u32> {
    let same = all.iter().filter(|process| process.command == arguments);
    same.min_by_key(|process| process.age).map(|process| process.id)
}

/// Sends a signal by number; returns why it was not sent. Signal 0 only tests whether the process exists.
pub fn send_signal(id: u32, number: i32) -> Result<(), &'static str> {
    if number == 0 {
        let exists = processes::list().iter().any(|process| process.id == id);
        return if exists { Ok(()) } else { Err("No such process") };
    }
    processes::send_signal(id, &format!("SIG{}", signal_name(number))).map_err(|error| match error {
        SignalError::NoSuchProcess => "No such process",
        SignalError::NotPermitted => "Operation not permitted",
    })
}

pub async fn ps(p: Proc) -> Outcome {
    let arguments = p.args.get(1..).unwrap_or_default();
    let mut chosen: Vec<Column> = Vec::new();
    let mut rest = arguments.iter();
    while let Some(argument) = rest.next() {
        let Some(attached) = argument.strip_prefix("-o") else { continue };
        let list = match attached {
            "" => rest.next().map(String::as_str),
            attached => Some(attached),
        };
        let Some(list) = list else { return fail(&p, 1, "option requires an argument -- 'o'").await };
        match columns::parse(list) {
            Ok(columns) => chosen.extend(columns),
            Err(name) => {
                return fail(&p, 1, &format!("bad -o argument '{name}', supported arguments: {}", columns::names()))
                    .await;
            }
        }
    }
    // Other options choose among what a container does not have: `ps aux` and `ps -ef` show all processes.
    if chosen.is_empty() {
        chosen = columns::default();
    }
    let mut out = Output::new(&p);
    out.put(columns::format(&chosen, &processes::list())).await?;
    out.end(0).await
}

pub async fn pgrep(p: Proc) -> Outcome {
    let o = Options::parse(&p, "flanovxc").await?;
    let [pattern] = o.operands.as_slice() else { return usage(&p).await };
    let found = match find(&p, &o, pattern).await? {
        found if found.is_empty() => return Ok(1),
        found => found,
    };
    let mut out = Output::new(&p);
    if o.has('c') {
        out.put(format!("{}\n", found.len())).await?;
        return out.end(0).await;
    }
    for process in &found {
        let name =
            if o.has('a') { format!(" {}", process.command.join(" ")) } else { format!(" {}", short_name(process)) };
        let name = if o.has('a') || o.has('l') { name } else { String::new() };
        out.put(format!("{}{name}\n", process.id)).await?;
    }
    out.end(0).await
}

/// Returns the processes that the options of pgrep and pkill choose, without this instance if it is one of both.
async fn find(p: &Proc, o: &Options, pattern: &str) -> Result<Vec<Process>, super::EarlyExit> {
    let Ok(selection) = Selection::new(pattern, o.has('f'), o.has('x'), o.has('v')) else {
        return fail(p, 2, &format!("bad regex '{pattern}'")).await;
    };
    let all = processes::list();
    let arguments: Vec<String> = std::env::args().collect();
    let is_program = arguments.iter().take(2).any(|argument| argument.rsplit('/').next() == Some(p.name()));
    let own = if is_program { find_own(&all, &arguments) } else { None };
    let mut found: Vec<Process> =
        all.into_iter().filter(|process| Some(process.id) != own && selection.matches(process)).collect();
    if o.has('n') || o.has('o') {
        found.sort_by_key(|process| process.age);
        let chosen = if o.has('n') { found.drain(..).next() } else { found.pop() };
        found = chosen.into_iter().collect();
    }
    Ok(found)
}

/// Takes `-SIGNAL` and `-s SIGNAL` from the arguments; returns its number and the other arguments. An unknown name is
/// the error.
fn take_signal(arguments: &[String]) -> Result<(i32, Vec<String>), String> {
    let mut number = TERM;
    let mut rest = Vec::new();
    let mut arguments = arguments.iter();
    while let Some(argument) = arguments.next() {
        let name = match argument.strip_prefix('-') {
            Some("s") => arguments.next().map_or("", String::as_str),
            Some(name) if name.starts_with(|c: char| c.is_ascii_uppercase() || c.is_ascii_digit()) => name,
            _ => {
                rest.push(argument.clone());
                continue;
            }
        };
        number = signal_number(name).ok_or_else(|| name.to_string())?;
    }
    Ok((number, rest))
}

pub async fn pkill(p: Proc) -> Outcome {
    let (number, arguments) = match take_signal(p.args.get(1..).unwrap_or_default()) {
        Ok(taken) => taken,
        Err(name) => return fail(&p, 1, &format!("bad signal name '{name}'")).await,
    };
    let o = Options::parse_args(&p, &arguments, "flanovxe").await?;
    let [pattern] = o.operands.as_slice() else { return usage(&p).await };
    let found = find(&p, &o, pattern).await?;
    signal_all(&p, &found, number).await
}

pub async fn killall(p: Proc) -> Outcome {
    let (number, arguments) = match take_signal(p.args.get(1..).unwrap_or_default()) {
        Ok(taken) => taken,
        Err(name) => return fail(&p, 1, &format!("bad signal name '{name}'")).await,
    };
    let o = Options::parse_args(&p, &arguments, "q").await?;
    if o.operands.is_empty() {
        return usage(&p).await;
    }
    let all = processes::list();
    let mut code = 0;
    for name in &o.operands {
        let found: Vec<Process> = all.iter().filter(|process| short_name(process) == *name).cloned().collect();
        if found.is_empty() {
            if !o.has('q') {
                p.print_error(format_args!("{name}: no process killed")).await;
            }
            code = 1;
        } else {
            code |= signal_all(&p, &found, number).await?;
        }
    }
    Ok(code)
}

/// Sends a signal to all; returns 1 if none received it.
async fn signal_all(p: &Proc, all: &[Process], number: i32) -> Outcome {
    let mut sent = false;
    for process in all {
        match send_signal(process.id, number) {
            Ok(()) => sent = true,
            Err(why) => p.print_error(format_args!("can't kill pid {}: {why}", process.id)).await,
        }
    }
    Ok(i32::from(!sent))
}

pub async fn pidof(p: Proc) -> Outcome {
    let o = Options::parse(&p, "so:").await?;
    let all = processes::list();
    let mut found: Vec<String> = Vec::new();
    for process in all.iter().rev() {
        if o.operands.iter().any(|name| short_name(process) == *name) {
            found.push(process.id.to_string());
        }
    }
    found.truncate(if o.has('s') { 1 } else { found.len() });
    if found.is_empty() {
        return Ok(1);
    }
    p.stdout.write_all(format!("{}\n", found.join(" ")).as_bytes()).await?;
    Ok(0)
}

/// Prints how long the container has run: its main program has the identifier 1.
pub async fn uptime(p: Proc) -> Outcome {
    let all = processes::list();
    let main = all.iter().find(|process| process.id == 1).or_else(|| all.iter().max_by_key(|process| process.age));
    let Some(main) = main else { return fail(&p, 1, "no process is visible").await };
    let now = format_time("%H:%M:%S", unix_seconds(SystemTime::now()), 0);
    let text = format!(" {now} up {}\n", format_uptime(Duration::from_nanos(main.age)));
    p.stdout.write_all(text.as_bytes()).await?;
    Ok(0)
}

fn format_uptime(age: Duration) -> String {
    let minutes = age.as_secs() / 60;
    let (days, hours, minutes) = (minutes / 1440, minutes / 60 % 24, minutes % 60);
    let day = match days {
        0 => String::new(),
        1 => "1 day, ".into(),
        days => format!("{days} days, "),
    };
    if hours > 0 { format!("{day}{hours:2}:{minutes:02}") } else { format!("{day}{minutes} min") }
}

#[cfg(test)]
fn process(id: u32, command: &[&str], age: u64) -> Process {
    Process {
        id,
        container: "web".into(),
        attempt: 2,
        command: command.iter().map(ToString::to_string).collect(),
        age: age * 1_000_000_000,
        processor_time: 61_000_000_000,
        memory: 3 << 20,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn strings(words: &[&str]) -> Vec<String> {
        words.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn own_process_is_the_youngest_with_the_same_arguments() {
        let all = [process(1, &["sh"], 100), process(2, &["sleep", "9"], 1), process(3, &["sh"], 5)];
        assert_eq!(find_own(&all, &strings(&["sh"])), Some(3));
        assert_eq!(find_own(&all, &strings(&["cat"])), None);
    }

    #[test]
    fn signals_are_options_of_their_own() {
        let take = |words: &[&str]| take_signal(&strings(words));
        assert_eq!(take(&["-9", "-f", "x"]), Ok((9, strings(&["-f", "x"]))));
        assert_eq!(take(&["-s", "INT", "x"]), Ok((2, strings(&["x"]))));
        assert_eq!(take(&["-HUP", "x"]), Ok((1, strings(&["x"]))));
        assert_eq!(take(&["-NOPE", "x"]), Err("NOPE".into()));
    }

    #[test]
    fn uptimes_have_days_hours_and_minutes() {
        let format = |seconds| format_uptime(Duration::from_secs(seconds));
        assert_eq!((format(59).as_str(), format(3_660).as_str()), ("0 min", " 1:01"));
        assert_eq!(format(2 * 86_400 + 3 * 3_600 + 240), "2 days,  3:04");
        assert_eq!(format(86_400), "1 day, 0 min");
    }
}
