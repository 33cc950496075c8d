//! The columns of ps: busybox's, and the extensions `container` and `attempt`.

use std::time::Duration;

use processes::Process;

use super::select::short_name;

#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    User,
    Id,
    Time,
    Age,
    /// Linear memory, which is all that a program has.
    Memory,
    Name,
    Command,
    Container,
    Attempt,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Column {
    kind: Kind,
    title: String,
}

/// Names, titles and widths; a negative width aligns to the left.
const COLUMNS: [(&str, Kind, &str, i32); 11] = [
    ("user", Kind::User, "USER", -8),
    ("comm", Kind::Name, "COMMAND", -16),
    ("args", Kind::Command, "COMMAND", 0),
    ("pid", Kind::Id, "PID", 5),
    ("etime", Kind::Age, "ELAPSED", 7),
    ("time", Kind::Time, "TIME", 5),
    ("vsz", Kind::Memory, "VSZ", 4),
    ("rss", Kind::Memory, "RSS", 4),
    ("container", Kind::Container, "CONTAINER", -16),
    ("attempt", Kind::Attempt, "ATTEMPT", 7),
    ("cmd", Kind::Command, "COMMAND", 0),
];

/// Returns the names for a message.
pub fn names() -> String {
    COLUMNS.iter().map(|(name, ..)| *name).collect::<Vec<_>>().join(",")
}

/// Returns the columns of ps without options.
pub fn default() -> Vec<Column> {
    ["pid", "user", "time", "args"].iter().filter_map(|name| find(name)).collect()
}

fn find(name: &str) -> Option<Column> {
    let (_, kind, title, _) = COLUMNS.iter().find(|(known, ..)| *known == name)?;
    Some(Column { kind: *kind, title: (*title).into() })
}

/// Parses `pid,comm=NAME`; an unknown name is the error.
pub fn parse(list: &str) -> Result<Vec<Column>, String> {
    let mut columns = Vec::new();
    for item in list.split(',').filter(|item| !item.is_empty()) {
        let (name, title) = item.split_once('=').map_or((item, None), |(name, title)| (name, Some(title)));
        let column = find(name).ok_or_else(|| name.to_string())?;
        let title = title.map_or(column.title.clone(), str::to_string);
        columns.push(Column { title, ..column });
    }
    Ok(columns)
}

/// Returns the table.
pub fn format(columns: &[Column], all: &[Process]) -> String {
    let mut out = String::new();
    if columns.iter().any(|column| !column.title.is_empty()) {
        let titles = columns.iter().map(|column| (column.kind, true, column.title.clone()));
        push_row(&mut out, titles);
    }
    for process in all {
        push_row(&mut out, columns.iter().map(|column| (column.kind, false, cell(column.kind, process))));
    }
    out
}

/// Appends a row; titles are aligned to the left, the last cell has no padding.
fn push_row(out: &mut String, cells: impl Iterator<Item = (Kind, bool, String)>) {
    let mut line = String::new();
    for (kind, is_title, text) in cells {
        let width = COLUMNS.iter().find(|(_, known, ..)| *known == kind).map_or(0, |(.., width)| *width);
        let columns = width.unsigned_abs() as usize;
        line += &if width < 0 || is_title { format!("{text:<columns$} ") } else { format!("{text:>columns$} ") };
    }
    out.push_str(line.trim_end());
    out.push('\n');
}

fn cell(kind: Kind, process: &Process) -> String {
    match kind {
        Kind::User => "root".into(),
        Kind::Id => process.id.to_string(),
        Kind::Time => format_time(Duration::from_nanos(process.processor_time)),
        Kind::Age => format_age(Duration::from_nanos(process.age)),
        Kind::Memory => format_memory(process.memory),
        Kind::Name => short_name(process).into(),
        Kind::Command => process.command.join(" "),
        Kind::Container => process.container.clone(),
        Kind::Attempt => process.attempt.to_string(),
    }
}

/// Formats processor time: minutes and seconds.
pub fn format_time(time: Duration) -> String {
    format!("{}:{:02}", time.as_secs() / 60, time.as_secs() % 60)
}

fn format_age(age: Duration) -> String {
    let seconds = age.as_secs();
    let (days, hours, minutes, seconds) = (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60, seconds % 60);
    match (days, hours) {
        (0, 0) => format!("{minutes:02}:{seconds:02}"),
        (0, hours) => format!("{hours:02}:{minutes:02}:{seconds:02}"),
        (days, hours) => format!("{days}-{hours:02}:{minutes:02}:{seconds:02}"),
    }
}

/// Formats bytes in at most four characters, as KiB or with a unit.
pub fn format_memory(bytes: u64) -> String {
    let kib = bytes / 1024;
    match kib {
        0..=9999 => kib.to_string(),
        10_000..=1_023_999 => format!("{}m", kib >> 10),
        _ => format!("{:.1}g", kib as f64 / f64::from(1 << 20)),
    }
}

#[cfg(test)]
mod tests {
    use super::super::process;
    use super::*;

    #[test]
    fn tables_look_as_in_busybox() {
        let all = [process(1, &["sh"], 5), process(12, &["/bin/sleep", "9"], 90_061)];
        let expected = "PID   USER     TIME  COMMAND\n    1 root      1:01 sh\n   12 root      1:01 /bin/sleep 9\n";
        assert_eq!(format(&default(), &all), expected);
        let columns = parse("pid,comm,etime,container,attempt,vsz").expect("known columns");
        let expected = "PID   COMMAND          ELAPSED CONTAINER        ATTEMPT VSZ\n    \
                        1 sh                 00:05 web                    2 3072\n   \
                        12 sleep            1-01:01:01 web                    2 3072\n";
        assert_eq!(format(&columns, &all), expected);
        assert_eq!(format(&parse("pid=").expect("a column"), &all), "    1\n   12\n");
        assert_eq!(parse("pid,nope"), Err("nope".into()));
    }

    #[test]
    fn memory_has_four_characters() {
        assert_eq!([512, 9 << 20, 300 << 20, 3 << 30].map(format_memory), ["0", "9216", "300m", "3.0g"]);
    }
}
