//! tar: writes ustar with GNU long names and reads pax paths, too, as `kubectl cp` needs. Owns the command line and the
//! header; `pack` writes archives, `extract` reads them.

mod extract;
mod pack;

use std::fs::File;

use super::pattern::glob;
use super::{Options, Outcome, fail, usage};
use crate::proc::{Proc, Writer, strerror};

pub const BLOCK: usize = 512;

/// The command line.
pub struct Job {
    pub p: Proc,
    /// The directory of the members: `-C`.
    pub base: Proc,
    pub selection: Selection,
    pub extraction: ExtractionOptions,
    pub verbose: bool,
}

/// The members that are packed, listed or extracted.
pub struct Selection {
    /// The operands; without any, all members are listed or extracted.
    pub members: Vec<String>,
    /// Patterns of names to skip.
    pub exclude: Vec<String>,
}

/// What happens to the members of an archive that is read.
pub struct ExtractionOptions {
    pub list_only: bool,
    pub to_stdout: bool,
    pub keep_times: bool,
    /// Keeps existing files.
    pub keep_old: bool,
    /// Number of leading parts that are removed from names.
    pub strip: usize,
}

pub async fn tar(p: Proc) -> Outcome {
    let args = add_dash(p.args.get(1..).unwrap_or_default());
    let spec = "c(create)x(extract)t(list)f:(file)C:(directory)v(verbose)O(to-stdout)m(touch)\
                z(gzip)jJZah(dereference)p(same-permissions)o(no-same-owner)k(keep-old-files)\
                P(absolute-names)e:(exclude)X:(exclude-from)T:(files-from)\
                n(no-same-permissions)N(numeric-owner)i(overwrite)s:(strip-components)q(no-recursion)";
    let o = Options::parse_args(&p, &args, spec).await?;
    let Some(action) = o.last_of("cxt") else { return usage(&p).await };
    let compressors = [('z', "gzip"), ('j', "bzip2"), ('J', "xz"), ('Z', "compress")];
    if let Some((_, program)) = compressors.iter().find(|(letter, _)| o.has(*letter)) {
        return fail(&p, 1, &format!("{program} is not supported: use a plain archive")).await;
    }
    let mut base = p.clone();
    for dir in o.all('C') {
        base.cwd = base.path(dir);
        if !base.cwd.is_dir() {
            return fail(&p, 1, &format!("can't change directory to '{dir}': No such file or directory")).await;
        }
    }
    let mut members = o.operands.clone();
    let mut exclude: Vec<String> = o.all('e').map(str::to_string).collect();
    for (letter, list) in [('T', &mut members), ('X', &mut exclude)] {
        for name in o.all(letter) {
            match p.open(name) {
                Ok(reader) => {
                    let text = reader.read_to_end().await?;
                    list.extend(String::from_utf8_lossy(&text).lines().map(str::to_string));
                }
                Err(error) => return cannot_open(&p, name, &error).await,
            }
        }
    }
    let archive = o.get('f').unwrap_or("-").to_string();
    let job = Job {
        extraction: ExtractionOptions {
            list_only: action == 't',
            to_stdout: o.has('O'),
            keep_times: !o.has('m'),
            keep_old: o.has('k'),
            strip: o.number(&p, 's').await?.unwrap_or(0) as usize,
        },
        selection: Selection { members, exclude },
        verbose: o.has('v'),
        p,
        base,
    };
    job.run(action == 'c', &archive).await
}

/// Adds the dash that the first word may lack; letters with a value become options of their own.
fn add_dash(args: &[String]) -> Vec<String> {
    let mut args = args.to_vec();
    if let Some(first) = args.first_mut().filter(|a| !a.starts_with('-')) {
        let takes_value = |c: char| "fCXT".contains(c);
        let letters: String = first.chars().filter(|c| !takes_value(*c)).collect();
        let valued: Vec<char> = first.chars().filter(|c| takes_value(*c)).collect();
        *first = format!("-{letters}");
        for (i, letter) in valued.into_iter().enumerate() {
            args.insert(1 + 2 * i, format!("-{letter}"));
        }
    }
    args
}

async fn cannot_open(p: &Proc, name: &str, error: &std::io::Error) -> Outcome {
    fail(p, 1, &format!("can't open '{name}': {}", strerror(error))).await
}

impl Job {
    /// Creates or reads the archive of this name.
    async fn run(&self, create: bool, archive: &str) -> Outcome {
        let p = &self.p;
        if create {
            if self.selection.members.is_empty() {
                return fail(p, 1, "empty archive").await;
            }
            let sink = match archive {
                "-" => p.stdout.clone(),
                name => match File::create(p.path(name)) {
                    Ok(file) => Writer::from_file(file),
                    Err(error) => return cannot_open(p, name, &error).await,
                },
            };
            return pack::pack(self, sink, archive).await;
        }
        match p.open(archive) {
            Ok(reader) => extract::extract(self, reader).await,
            Err(error) => cannot_open(p, archive, &error).await,
        }
    }
}

impl Selection {
    fn is_excluded(&self, name: &str) -> bool {
        let name = name.trim_end_matches('/');
        let last = super::names::base_name(name);
        self.exclude.iter().any(|pattern| {
            let pattern = pattern.trim_end_matches('/').as_bytes();
            glob(pattern, name.as_bytes()) || glob(pattern, last.as_bytes())
        })
    }

    /// Whether the operands, if there are any, name this member or a directory above it.
    fn is_named(&self, name: &str) -> bool {
        let name = name.trim_end_matches('/');
        let named = |member: &String| {
            let member = member.trim_matches('/');
            name == member || name.strip_prefix(member).is_some_and(|rest| rest.starts_with('/'))
        };
        self.members.is_empty() || self.members.iter().any(named)
    }
}

/// The header of a member.
#[derive(Default, Clone)]
pub struct Header {
    pub name: String,
    pub link: String,
    pub kind: u8,
    pub size: u64,
    pub mode: u32,
    pub time: i64,
}

fn write_octal(value: u64, field: &mut [u8]) {
    let width = field.len() - 1;
    let text = format!("{value:0width$o}");
    if text.len() == width {
        field[..width].copy_from_slice(text.as_bytes());
    } else {
        // Too large for digits: GNU's binary form.
        let start = field.len().saturating_sub(8);
        field[start..].copy_from_slice(&value.to_be_bytes());
        field[0] = 0x80;
    }
}

fn read_number(field: &[u8]) -> u64 {
    if field.first().is_some_and(|b| b & 0x80 != 0) {
        return field.iter().skip(1).fold(0, |n, b| n << 8 | u64::from(*b));
    }
    let text = field.iter().skip_while(|b| **b == b' ').take_while(|b| matches!(b, b'0'..=b'7'));
    text.fold(0u64, |n, b| n << 3 | u64::from(b - b'0'))
}

fn read_text(field: &[u8]) -> String {
    let end = field.iter().position(|b| *b == 0).unwrap_or(field.len());
    String::from_utf8_lossy(&field[..end]).into_owned()
}

fn checksum(block: &[u8; BLOCK]) -> u64 {
    block.iter().enumerate().map(|(i, b)| u64::from(if (148..156).contains(&i) { b' ' } else { *b })).sum()
}

impl Header {
    fn is_file(&self) -> bool {
        matches!(self.kind, 0 | b'0' | b'7')
    }

    /// Whether this header carries a long name or pax values for the next member.
    fn extends_next(&self) -> bool {
        matches!(self.kind, b'L' | b'K' | b'x' | b'g')
    }

    fn encode(&self) -> [u8; BLOCK] {
        let mut block = [0; BLOCK];
        let mut put = |at: usize, most: usize, text: &str| {
            let bytes = &text.as_bytes()[..text.len().min(most)];
            block[at..at + bytes.len()].copy_from_slice(bytes);
        };
        put(0, 100, &self.name);
        put(157, 100, &self.link);
        put(257, 8, "ustar  ");
        put(265, 32, "root");
        put(297, 32, "root");
        write_octal(u64::from(self.mode), &mut block[100..108]);
        write_octal(0, &mut block[108..116]);
        write_octal(0, &mut block[116..124]);
        write_octal(self.size, &mut block[124..136]);
        write_octal(self.time.max(0) as u64, &mut block[136..148]);
        block[156] = self.kind;
        let sum = checksum(&block);
        write_octal(sum, &mut block[148..155]);
        block[155] = b' ';
        block
    }

    /// Reads a header; `None` if the checksum is wrong.
    fn decode(block: &[u8; BLOCK]) -> Option<Header> {
        if read_number(&block[148..156]) != checksum(block) {
            return None;
        }
        let mut name = read_text(&block[..100]);
        // GNU's magic has a blank where ustar's prefix is in force.
        if &block[257..263] == b"ustar\0" && block[345] != 0 {
            name = format!("{}/{name}", read_text(&block[345..500]));
        }
        Some(Header {
            name,
            link: read_text(&block[157..257]),
            kind: block[156],
            size: read_number(&block[124..136]),
            mode: read_number(&block[100..108]) as u32,
            time: read_number(&block[136..148]) as i64,
        })
    }
}
