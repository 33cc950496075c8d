//! dd, without conversions of text.

use std::fs::File;
use std::io::{self, Seek, SeekFrom};

use super::options::parse_size;
use super::stream::{read_fairly, read_full};
use super::{EarlyExit, Outcome, fail, usage};
use crate::proc::{Proc, Reader, Writer, strerror};

/// The operands.
struct Job<'a> {
    input: Reader,
    target: Option<&'a str>,
    block: usize,
    count: u64,
    skip: u64,
    seek: u64,
    /// `conv=notrunc`.
    keep: bool,
    /// `iflag=fullblock`.
    full: bool,
    quiet: bool,
}

pub async fn dd(p: Proc) -> Outcome {
    let job = Job::parse(&p).await?;
    let output = match job.target {
        Some(name) => match job.open_target(&p, name) {
            Ok(file) => Writer::from_file(file),
            Err(error) => return cannot_open(&p, name, &error).await,
        },
        None => p.stdout.clone(),
    };
    let mut buf = vec![0; job.block];
    for _ in 0..job.skip {
        if read_full(&job.input, &mut buf).await? == 0 {
            break;
        }
    }
    let (mut whole, mut partial, mut bytes) = (0, 0, 0u64);
    while whole + partial < job.count {
        let n =
            if job.full { read_full(&job.input, &mut buf).await? } else { read_fairly(&job.input, &mut buf).await? };
        if n == 0 {
            break;
        }
        if n == job.block {
            whole += 1
        } else {
            partial += 1
        }
        bytes += n as u64;
        output.write_all(buf.get(..n).unwrap_or_default()).await?;
    }
    if !job.quiet {
        let text = format!("{whole}+{partial} records in\n{whole}+{partial} records out\n{bytes} bytes copied\n");
        let _ = p.stderr.write_all(text.as_bytes()).await;
    }
    Ok(0)
}

impl Job<'_> {
    async fn parse(p: &Proc) -> Result<Job<'_>, EarlyExit> {
        let mut job = Job {
            input: p.stdin.clone(),
            target: None,
            block: 512,
            count: u64::MAX,
            skip: 0,
            seek: 0,
            keep: false,
            full: false,
            quiet: false,
        };
        for arg in p.args.iter().skip(1) {
            let Some((name, value)) = arg.split_once('=') else { return usage(p).await };
            match (name, parse_size(value)) {
                ("if", _) => match p.open(value) {
                    Ok(reader) => job.input = reader,
                    Err(error) => return cannot_open(p, value, &error).await,
                },
                ("of", _) => job.target = Some(value),
                ("conv", _) => job.keep = value.split(',').any(|v| v == "notrunc"),
                ("iflag", _) => job.full = value.split(',').any(|v| v == "fullblock"),
                ("oflag", _) => {}
                ("status", _) => job.quiet = matches!(value, "none" | "noxfer"),
                ("bs" | "ibs" | "obs", Some(n)) if (1..=1 << 28).contains(&n) => job.block = n as usize,
                ("count", Some(n)) => job.count = n,
                ("skip" | "iseek", Some(n)) => job.skip = n,
                ("seek" | "oseek", Some(n)) => job.seek = n,
                ("bs" | "ibs" | "obs" | "count" | "skip" | "seek", _) => {
                    return fail(p, 1, &format!("invalid number '{value}'")).await;
                }
                _ => return usage(p).await,
            }
        }
        Ok(job)
    }

    /// Opens the output file at the position of `seek`.
    fn open_target(&self, p: &Proc, name: &str) -> io::Result<File> {
        let mut options = File::options();
        options.write(true).create(true).truncate(!self.keep && self.seek == 0);
        let mut file = options.open(p.path(name))?;
        if self.seek > 0 {
            let at = self.seek * self.block as u64;
            if !self.keep {
                file.set_len(at)?;
            }
            file.seek(SeekFrom::Start(at))?;
        }
        Ok(file)
    }
}

async fn cannot_open<T>(p: &Proc, name: &str, error: &io::Error) -> Result<T, EarlyExit> {
    fail(p, 1, &format!("can't open '{name}': {}", strerror(error))).await
}
