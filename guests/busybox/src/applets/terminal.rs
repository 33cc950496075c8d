//! clear, reset, stty, tty: the terminal of the container, as far as `wasmpod:terminal` gives access to it.

use super::{Options, Outcome, fail, usage};
use crate::console::CLEAR_SCREEN;
use crate::proc::Proc;

pub async fn clear(p: Proc) -> Outcome {
    p.stdout.write_all(CLEAR_SCREEN.as_bytes()).await?;
    Ok(0)
}

/// Leaves the modes that a program may have left behind: its character set, attributes, hidden cursor, raw mode.
pub async fn reset(p: Proc) -> Outcome {
    terminal::set_raw(false);
    p.stdout.write_all(b"\x1bc\x1b(B\x1b[m\x1b[J\x1b[?25h").await?;
    Ok(0)
}

pub async fn tty(p: Proc) -> Outcome {
    let o = Options::parse(&p, "s(silent)(quiet)").await?;
    let is_terminal = p.stdin.is_terminal();
    if !o.has('s') {
        let name: &[u8] = if is_terminal { b"/dev/tty\n" } else { b"not a tty\n" };
        p.stdout.write_all(name).await?;
    }
    Ok(i32::from(!is_terminal))
}

/// The settings that distinguish the terminal's two modes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Modes {
    /// Input arrives line by line.
    canonical: bool,
    echo: bool,
}

impl Modes {
    const COOKED: Modes = Modes { canonical: true, echo: true };
    const RAW: Modes = Modes { canonical: false, echo: false };

    /// Applies a setting; false if it is unknown.
    fn set(&mut self, setting: &str) -> bool {
        match setting {
            "raw" | "-cooked" => *self = Modes::RAW,
            "-raw" | "cooked" | "sane" => *self = Modes::COOKED,
            "icanon" => self.canonical = true,
            "-icanon" | "cbreak" => self.canonical = false,
            "-cbreak" => self.canonical = true,
            "echo" => self.echo = true,
            "-echo" => self.echo = false,
            // Settings that both modes have, or that follow the mode.
            "isig" | "-isig" | "icrnl" | "-icrnl" | "opost" | "onlcr" | "ixon" | "-ixon" | "iexten" | "-iexten" => {}
            _ => return false,
        }
        true
    }
}

pub async fn stty(p: Proc) -> Outcome {
    let size = match terminal::size() {
        Some(size) if p.stdin.is_terminal() => size,
        _ => return fail(&p, 1, "standard input: Not a tty").await,
    };
    let mut modes = if terminal::is_raw() { Modes::RAW } else { Modes::COOKED };
    let mode = if terminal::is_raw() { "raw" } else { "cooked" };
    let args = p.args.get(1..).unwrap_or_default();
    if let [] | ["-a" | "--all"] = args.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        let sign = if terminal::is_raw() { "-" } else { "" };
        let text = format!(
            "speed 38400 baud; rows {}; columns {};\nintr = ^C; erase = ^?; kill = ^U; eof = ^D;\n\
             {sign}isig {sign}icanon {sign}echo opost onlcr\n",
            size.rows, size.columns
        );
        p.stdout.write_all(text.as_bytes()).await?;
        return Ok(0);
    }
    let mut args = args.iter();
    while let Some(arg) = args.next() {
        match arg.as_str() {
            "size" => p.stdout.write_all(format!("{} {}\n", size.rows, size.columns).as_bytes()).await?,
            "-g" | "--save" => p.stdout.write_all(format!("{mode}\n").as_bytes()).await?,
            // How many bytes a read waits for in raw mode, which is always one.
            "min" | "time" => match args.next() {
                Some(_) => {}
                None => return usage(&p).await,
            },
            setting if modes.set(setting) => {}
            other => return fail(&p, 1, &format!("invalid argument '{other}'")).await,
        }
    }
    match modes {
        Modes::COOKED => _ = terminal::set_raw(false),
        Modes::RAW => _ = terminal::set_raw(true),
        _ => return fail(&p, 1, "echo and icanon can only be changed together; use `raw` or `cooked`").await,
    }
    Ok(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_add_up_to_a_mode() {
        for (settings, modes) in [
            ("raw", Modes::RAW),
            ("-icanon -echo", Modes::RAW),
            ("raw sane", Modes::COOKED),
            ("-icanon -echo icanon echo", Modes::COOKED),
            ("-echo", Modes { canonical: true, echo: false }),
        ] {
            let mut got = Modes::COOKED;
            assert!(settings.split(' ').all(|setting| got.set(setting)), "{settings}");
            assert_eq!(got, modes, "{settings}");
        }
        assert!(!Modes::COOKED.clone().set("rows"));
    }
}
