//! Digests and encodings: md5sum, sha1sum, sha256sum (each with `-c`), cksum and base64. The hashes share one block
//! buffer and differ in their rounds.

use super::stream::{each_file, open, open_like_cat, read_fairly};
use super::{Lines, Options, Outcome, Output, fail};
use crate::proc::{Proc, Reader};

struct Hash {
    state: [u32; 8],
    block: [u8; 64],
    length: u64,
    kind: Kind,
}

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Md5,
    Sha1,
    Sha256,
}

/// Computes the constants of SHA-2 in integers: the first 32 fractional bits of the square or cube roots of the first
/// primes.
fn primes_roots(cube: bool) -> [u32; 64] {
    let mut out = [0; 64];
    let mut candidate: u128 = 2;
    for slot in &mut out {
        while (2..candidate).take_while(|d| d * d <= candidate).any(|d| candidate.is_multiple_of(d)) {
            candidate += 1;
        }
        let power = if cube { 3 } else { 2 };
        // The largest x with x^power <= candidate * 2^(32 * power).
        let (mut low, mut high) = (0u128, 1u128 << 40);
        while high - low > 1 {
            let middle = (low + high) / 2;
            // Cubes of 2^40 stay below 2^128.
            if middle.pow(power) <= candidate << (32 * power) { low = middle } else { high = middle }
        }
        *slot = low as u32;
        candidate += 1;
    }
    out
}

struct Tables {
    k: [u32; 64],
    start: [u32; 8],
}

impl Tables {
    fn new(kind: Kind) -> Tables {
        let mut k = [0; 64];
        let mut start = [0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476, 0xc3d2e1f0, 0, 0, 0];
        match kind {
            Kind::Md5 => {
                for (i, slot) in k.iter_mut().enumerate() {
                    *slot = ((i as f64 + 1.0).sin().abs() * 4_294_967_296.0) as u32;
                }
            }
            Kind::Sha1 => {}
            Kind::Sha256 => {
                k = primes_roots(true);
                start.iter_mut().zip(primes_roots(false)).for_each(|(s, r)| *s = r);
            }
        }
        Tables { k, start }
    }
}

impl Hash {
    fn new(kind: Kind, tables: &Tables) -> Hash {
        Hash { state: tables.start, block: [0; 64], length: 0, kind }
    }

    fn update(&mut self, tables: &Tables, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let at = (self.length % 64) as usize;
            let (now, later) = bytes.split_at(bytes.len().min(64 - at));
            self.block[at..at + now.len()].copy_from_slice(now);
            self.length += now.len() as u64;
            if self.length.is_multiple_of(64) {
                self.round(tables);
            }
            bytes = later;
        }
    }

    fn finish(mut self, tables: &Tables) -> String {
        let bits = self.length.wrapping_mul(8);
        self.update(tables, &[0x80]);
        while self.length % 64 != 56 {
            self.update(tables, &[0]);
        }
        let little = self.kind == Kind::Md5;
        self.update(tables, &if little { bits.to_le_bytes() } else { bits.to_be_bytes() });
        let words = match self.kind {
            Kind::Md5 => 4,
            Kind::Sha1 => 5,
            Kind::Sha256 => 8,
        };
        let word = |w: &u32| format!("{:08x}", if little { w.swap_bytes() } else { *w });
        self.state.iter().take(words).map(word).collect()
    }

    fn round(&mut self, tables: &Tables) {
        let mut w = [0u32; 80];
        for (slot, chunk) in w.iter_mut().zip(self.block.chunks_exact(4)) {
            let bytes = [chunk[0], chunk[1], chunk[2], chunk[3]];
            *slot = if self.kind == Kind::Md5 { u32::from_le_bytes(bytes) } else { u32::from_be_bytes(bytes) };
        }
        let old = self.state;
        match self.kind {
            Kind::Md5 => self.md5(&w, &tables.k),
            Kind::Sha1 => self.sha1(&mut w),
            Kind::Sha256 => self.sha256(&mut w, &tables.k),
        }
        self.state.iter_mut().zip(old).for_each(|(s, o)| *s = s.wrapping_add(o));
    }

    fn md5(&mut self, w: &[u32; 80], k: &[u32; 64]) {
        const SHIFTS: [[u32; 4]; 4] = [[7, 12, 17, 22], [5, 9, 14, 20], [4, 11, 16, 23], [6, 10, 15, 21]];
        let [mut a, mut b, mut c, mut d, ..] = self.state;
        for i in 0..64 {
            let (f, word) = match i / 16 {
                0 => ((b & c) | (!b & d), i),
                1 => ((d & b) | (!d & c), (5 * i + 1) % 16),
                2 => (b ^ c ^ d, (3 * i + 5) % 16),
                _ => (c ^ (b | !d), (7 * i) % 16),
            };
            let sum = a.wrapping_add(f).wrapping_add(k[i]).wrapping_add(w[word]);
            let rotated = sum.rotate_left(SHIFTS[i / 16][i % 4]);
            (a, d, c, b) = (d, c, b, b.wrapping_add(rotated));
        }
        self.state[..4].copy_from_slice(&[a, b, c, d]);
    }

    fn sha1(&mut self, w: &mut [u32; 80]) {
        for i in 16..80 {
            w[i] = (w[i - 3] ^ w[i - 8] ^ w[i - 14] ^ w[i - 16]).rotate_left(1);
        }
        let [mut a, mut b, mut c, mut d, mut e, ..] = self.state;
        for (i, word) in w.iter().enumerate() {
            let (f, k) = match i / 20 {
                0 => ((b & c) | (!b & d), 0x5a827999),
                1 => (b ^ c ^ d, 0x6ed9eba1),
                2 => ((b & c) | (b & d) | (c & d), 0x8f1bbcdc),
                _ => (b ^ c ^ d, 0xca62c1d6u32),
            };
            let sum = a.rotate_left(5).wrapping_add(f).wrapping_add(e).wrapping_add(k).wrapping_add(*word);
            (e, d, c, b, a) = (d, c, b.rotate_left(30), a, sum);
        }
        self.state[..5].copy_from_slice(&[a, b, c, d, e]);
    }

    fn sha256(&mut self, w: &mut [u32; 80], k: &[u32; 64]) {
        for i in 16..64 {
            let (x, y) = (w[i - 15], w[i - 2]);
            let s0 = x.rotate_right(7) ^ x.rotate_right(18) ^ (x >> 3);
            let s1 = y.rotate_right(17) ^ y.rotate_right(19) ^ (y >> 10);
            w[i] = w[i - 16].wrapping_add(s0).wrapping_add(w[i - 7]).wrapping_add(s1);
        }
        let [mut a, mut b, mut c, mut d, mut e, mut f, mut g, mut h] = self.state;
        for i in 0..64 {
            let s1 = e.rotate_right(6) ^ e.rotate_right(11) ^ e.rotate_right(25);
            let choice = (e & f) ^ (!e & g);
            let t1 = h.wrapping_add(s1).wrapping_add(choice).wrapping_add(k[i]).wrapping_add(w[i]);
            let s0 = a.rotate_right(2) ^ a.rotate_right(13) ^ a.rotate_right(22);
            let majority = (a & b) ^ (a & c) ^ (b & c);
            let t2 = s0.wrapping_add(majority);
            (h, g, f, e, d, c, b, a) = (g, f, e, d.wrapping_add(t1), c, b, a, t1.wrapping_add(t2));
        }
        self.state = [a, b, c, d, e, f, g, h];
    }
}

async fn hash_reader(kind: Kind, tables: &Tables, reader: &Reader) -> std::io::Result<String> {
    let mut hash = Hash::new(kind, tables);
    let mut buf = vec![0; 32 * 1024];
    loop {
        let n = read_fairly(reader, &mut buf).await?;
        if n == 0 {
            return Ok(hash.finish(tables));
        }
        hash.update(tables, buf.get(..n).unwrap_or_default());
    }
}

pub async fn md5sum(p: Proc) -> Outcome {
    print_digests(p, Kind::Md5).await
}

pub async fn sha1sum(p: Proc) -> Outcome {
    print_digests(p, Kind::Sha1).await
}

pub async fn sha256sum(p: Proc) -> Outcome {
    print_digests(p, Kind::Sha256).await
}

async fn print_digests(p: Proc, kind: Kind) -> Outcome {
    let o = Options::parse(&p, "c(check)s(status)wbt").await?;
    let tables = Tables::new(kind);
    let mut out = Output::new(&p);
    let mut code = 0;
    for file in o.files() {
        let Some(reader) = open_like_cat(&p, &file).await else {
            code = 1;
            continue;
        };
        if !o.has('c') {
            let digest = hash_reader(kind, &tables, &reader).await?;
            out.put(format!("{digest}  {file}\n")).await?;
            continue;
        }
        let (mut lines, mut failed, mut checked) = (Lines::new(reader), 0, 0);
        while let Some(line) = lines.bare(&mut out).await? {
            let line = String::from_utf8_lossy(line).into_owned();
            let Some((wanted, name)) = line.split_once("  ").or_else(|| line.split_once(" *")) else {
                continue;
            };
            checked += 1;
            let good = match open_like_cat(&p, name).await {
                Some(reader) => hash_reader(kind, &tables, &reader).await?.eq_ignore_ascii_case(wanted),
                None => false,
            };
            failed += i32::from(!good);
            if !o.has('s') {
                out.put(format!("{name}: {}\n", if good { "OK" } else { "FAILED" })).await?;
            }
        }
        out.flush().await?;
        if failed > 0 {
            code = 1;
            if !o.has('s') {
                p.print_error(format_args!("WARNING: {failed} of {checked} computed checksums did NOT match")).await;
            }
        }
        if checked == 0 {
            p.print_error(format_args!("{file}: no checksum lines found")).await;
            code = 1;
        }
    }
    out.end(code).await
}

/// POSIX's CRC, which includes the length.
pub async fn cksum(p: Proc) -> Outcome {
    let o = Options::parse(&p, "").await?;
    let mut out = Output::new(&p);
    let step = |crc: u32, byte: u8| {
        let mut crc = crc ^ u32::from(byte) << 24;
        for _ in 0..8 {
            crc = if crc >> 31 == 1 { crc << 1 ^ 0x04c1_1db7 } else { crc << 1 };
        }
        crc
    };
    let mut buf = vec![0; 16 * 1024];
    let mut files = each_file(&p, o.files());
    while let Some((file, reader)) = files.next().await {
        let (mut crc, mut length) = (0, 0u64);
        loop {
            let n = read_fairly(&reader, &mut buf).await?;
            if n == 0 {
                break;
            }
            length += n as u64;
            crc = buf.iter().take(n).fold(crc, |crc, b| step(crc, *b));
        }
        let mut rest = length;
        while rest > 0 {
            crc = step(crc, rest as u8);
            rest >>= 8;
        }
        let name = if o.operands.is_empty() { String::new() } else { format!(" {file}") };
        out.put(format!("{} {length}{name}\n", !crc)).await?;
    }
    out.end(files.code).await
}

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

pub async fn base64(p: Proc) -> Outcome {
    let o = Options::parse(&p, "d(decode)w:(wrap)").await?;
    let width = o.number(&p, 'w').await?.unwrap_or(76) as usize;
    let Some(reader) = open(&p, o.operand(0).unwrap_or("-")).await else { return Ok(1) };
    let mut out = Output::new(&p);
    let mut buf = vec![0; 12 * 1024];
    let mut held: Vec<u8> = Vec::new();
    let mut column = 0;
    loop {
        let n = read_fairly(&reader, &mut buf).await?;
        let fresh = buf.get(..n).unwrap_or_default();
        if o.has('d') {
            let mut blanks = fresh.iter().filter(|b| !b.is_ascii_whitespace());
            held.extend(&mut blanks);
        } else {
            held.extend_from_slice(fresh);
        }
        let unit = if o.has('d') { 4 } else { 3 };
        let whole = if n == 0 { held.len() } else { held.len() / unit * unit };
        for chunk in held.get(..whole).unwrap_or_default().chunks(unit) {
            if o.has('d') {
                match decode(chunk) {
                    Some(bytes) => out.add(bytes),
                    None => {
                        out.flush().await?;
                        return fail(&p, 1, "invalid input").await;
                    }
                }
                continue;
            }
            for byte in encode(chunk) {
                out.add([byte]);
                column += 1;
                if column == width {
                    out.add("\n");
                    column = 0;
                }
            }
        }
        held.drain(..whole);
        out.put("").await?;
        if n == 0 {
            break;
        }
    }
    if column > 0 && width > 0 {
        out.add("\n");
    }
    out.end(0).await
}

fn encode(chunk: &[u8]) -> [u8; 4] {
    let byte = |i: usize| u32::from(chunk.get(i).copied().unwrap_or(0));
    let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
    let mut out = [b'='; 4];
    for (i, slot) in out.iter_mut().enumerate().take(chunk.len() + 1) {
        *slot = ALPHABET[(bits >> (18 - 6 * i) & 63) as usize];
    }
    out
}

fn decode(chunk: &[u8]) -> Option<Vec<u8>> {
    let data = chunk.split(|b| *b == b'=').next().unwrap_or_default();
    if chunk.len() != 4 || data.len() < 2 {
        return None;
    }
    let mut bits = 0u32;
    for byte in data {
        bits = bits << 6 | ALPHABET.iter().position(|a| a == byte)? as u32;
    }
    bits <<= 6 * (4 - data.len());
    Some(bits.to_be_bytes()[1..data.len()].to_vec())
}

/// Encodes base64 without line breaks.
pub fn encode_text(bytes: &[u8]) -> String {
    bytes.chunks(3).flat_map(encode).map(char::from).collect()
}
