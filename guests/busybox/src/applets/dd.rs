//! dd, without conversions of text.

use std::fs::OpenOptions;
use std::io::{Seek, SeekFrom};

use super::options::size;
use super::stream::read_fairly;
use super::{Outcome, Stop, fail, usage};
use crate::proc::{Proc, Reader, Writer, strerror};

/// Blocks: whole ones and partial ones.
#[derive(Default)]
struct Records {
    whole: u64,
    part: u64,
}

pub async fn dd(p: Proc) -> Outcome {
    let (mut input, mut output) = (p.stdin.clone(), p.stdout.clone());
    let (mut count, mut skip, mut seek) = (u64::MAX, 0, 0);
    let (mut block, mut keep, mut full, mut quiet) = (512usize, false, false, false);
    let mut target = None;
    for arg in p.args.iter().skip(1) {
        let Some((name, value)) = arg.split_once('=') else { return usage(&p).await };
        let number = size(value);
        match (name, number) {
            ("if", _) => match p.open(value) {
                Ok(reader) => input = reader,
                Err(error) => return cannot_open(&p, value, &error).await,
            },
            ("of", _) => target = Some(value),
            ("conv", _) => keep = value.split(',').any(|v| v == "notrunc"),
            ("iflag", _) => full = value.split(',').any(|v| v == "fullblock"),
            ("oflag", _) => {}
            ("status", _) => quiet = matches!(value, "none" | "noxfer"),
            ("bs" | "ibs" | "obs", Some(n)) if (1..=1 << 28).contains(&n) => block = n as usize,
            ("count", Some(n)) => count = n,
            ("skip" | "iseek", Some(n)) => skip = n,
            ("seek" | "oseek", Some(n)) => seek = n,
            ("bs" | "ibs" | "obs" | "count" | "skip" | "seek", _) => {
                return fail(&p, 1, &format!("invalid number '{value}'")).await;
            }
            _ => return usage(&p).await,
        }
    }
    if let Some(name) = target {
        let mut how = OpenOptions::new();
        how.write(true).create(true).truncate(!keep && seek == 0);
        let opened = how.open(p.path(name)).and_then(|mut file| {
            if seek > 0 {
                let at = seek * block as u64;
                if !keep {
                    file.set_len(at)?;
                }
                file.seek(SeekFrom::Start(at))?;
            }
            Ok(file)
        });
        match opened {
            Ok(file) => output = Writer::file(file),
            Err(error) => return cannot_open(&p, name, &error).await,
        }
    }
    let mut buf = vec![0; block];
    for _ in 0..skip {
        if fill(&input, &mut buf, true).await? == 0 {
            break;
        }
    }
    let mut records = Records::default();
    let mut bytes = 0u64;
    while records.whole + records.part < count {
        let n = fill(&input, &mut buf, full).await?;
        if n == 0 {
            break;
        }
        if n == block {
            records.whole += 1
        } else {
            records.part += 1
        }
        bytes += n as u64;
        output.write_all(buf.get(..n).unwrap_or_default()).await?;
    }
    if !quiet {
        let Records { whole, part } = records;
        let text = format!("{whole}+{part} records in\n{whole}+{part} records out\n{bytes} bytes copied\n");
        let _ = p.stderr.write_all(text.as_bytes()).await;
    }
    Ok(0)
}

async fn cannot_open(p: &Proc, name: &str, error: &std::io::Error) -> Outcome {
    fail(p, 1, &format!("can't open '{name}': {}", strerror(error))).await
}

/// One block; `full` reads until it is.
async fn fill(input: &Reader, buf: &mut [u8], full: bool) -> Result<usize, Stop> {
    let mut filled = 0;
    while filled < buf.len() {
        match read_fairly(input, buf.get_mut(filled..).unwrap_or_default()).await? {
            0 => break,
            n => filled += n,
        }
        if !full {
            break;
        }
    }
    Ok(filled)
}
