//! time, and the report that the shell's keyword shares. WASI does not tell a program its processor time, so `user` and
//! `sys` are 0.

use std::time::{Duration, Instant};

use super::{Options, Outcome, fail, run, usage};
use crate::proc::Proc;

/// Returns the report of a command that ran for this long; `posix` is the format of `-p`.
pub fn format_times(real: Duration, posix: bool) -> String {
    if posix {
        return format!("real {:.2}\nuser 0.00\nsys 0.00\n", real.as_secs_f64());
    }
    let hundredths = real.as_millis() / 10;
    let (minutes, seconds, hundredths) = (hundredths / 6000, hundredths / 100 % 60, hundredths % 100);
    format!("real\t{minutes}m {seconds}.{hundredths:02}s\nuser\t0m 0.00s\nsys\t0m 0.00s\n")
}

pub async fn time(p: Proc) -> Outcome {
    let o = Options::parse(&p, "+vpao:f:").await?;
    if o.operands.is_empty() {
        return usage(&p).await;
    }
    if o.has('f') || o.has('v') {
        return fail(&p, 1, "formats are not supported yet; use -p").await;
    }
    let begun = Instant::now();
    let code = run(Proc { args: o.operands.clone(), ..p.clone() }).await;
    let report = format_times(begun.elapsed(), o.has('p'));
    match o.get('o') {
        None => p.stderr.write_all(report.as_bytes()).await?,
        Some(name) => {
            let mut options = std::fs::OpenOptions::new();
            options.create(true).append(o.has('a')).write(true).truncate(!o.has('a'));
            let written = options.open(p.path(name)).and_then(|mut file| {
                use std::io::Write;
                file.write_all(report.as_bytes())
            });
            if let Err(error) = written {
                return fail(&p, 1, &format!("can't open '{name}': {}", crate::proc::strerror(&error))).await;
            }
        }
    }
    Ok(code)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reports_have_busyboxs_and_posixs_form() {
        let taken = Duration::from_millis(61_239);
        assert_eq!(format_times(taken, false), "real\t1m 1.23s\nuser\t0m 0.00s\nsys\t0m 0.00s\n");
        assert_eq!(format_times(taken, true), "real 61.24\nuser 0.00\nsys 0.00\n");
    }
}
