//! Header blocks: names and values, in one zlib stream per direction for the whole session.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress, Status};

use super::SpdyError;
use super::dictionary::DICTIONARY;

/// Maximum length of a decompressed header block. Kubernetes' clients send three short headers.
pub const MAX_HEADER_BLOCK: usize = 8 * 1024;

/// The headers of a stream. Names are in lower case, and unique.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Headers(Vec<(String, String)>);

/// The names or values of a header block are not valid, which concerns only its stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct InvalidHeaders;

impl Headers {
    /// Returns the first value of a header, by its name in lower case.
    pub fn get(&self, name: &str) -> Option<&str> {
        let (_, values) = self.0.iter().find(|(own, _)| own == name)?;
        values.split('\0').next()
    }

    /// Returns names and values. Several values of a name are separated by NUL.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// Appends a header.
    fn push(&mut self, name: &[u8], value: &[u8]) -> Result<(), InvalidHeaders> {
        let (Ok(name), Ok(value)) = (str::from_utf8(name), str::from_utf8(value)) else { return Err(InvalidHeaders) };
        let is_valid = !name.is_empty() && !name.contains(|c: char| c.is_ascii_uppercase() || c == '\0');
        if !is_valid || self.get(name).is_some() {
            return Err(InvalidHeaders);
        }
        self.0.push((name.into(), value.into()));
        Ok(())
    }

    /// Reads a decompressed header block. The inner error concerns only the stream.
    fn read(mut block: &[u8]) -> Result<Result<Headers, InvalidHeaders>, SpdyError> {
        let count = block.try_get_u32().map_err(|_| SpdyError::HeaderBlock)?;
        let (mut headers, mut validity) = (Headers::default(), Ok(()));
        // Ends with the block at the latest, however large the count is.
        for _ in 0..count {
            let (name, value) = (read_text(&mut block)?, read_text(&mut block)?);
            validity = validity.and_then(|()| headers.push(name, value));
        }
        if block.is_empty() { Ok(validity.map(|()| headers)) } else { Err(SpdyError::HeaderBlock) }
    }

    fn write(&self) -> Vec<u8> {
        let mut block = Vec::new();
        put_length(&mut block, self.0.len());
        for text in self.0.iter().flat_map(|(name, value)| [name, value]) {
            put_length(&mut block, text.len());
            block.extend_from_slice(text.as_bytes());
        }
        block
    }
}

impl<N: Into<String>, V: Into<String>> FromIterator<(N, V)> for Headers {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(headers: I) -> Headers {
        Headers(headers.into_iter().map(|(name, value)| (name.into(), value.into())).collect())
    }
}

fn read_text<'a>(block: &mut &'a [u8]) -> Result<&'a [u8], SpdyError> {
    let length = block.try_get_u32().map_err(|_| SpdyError::HeaderBlock)?;
    let length = usize::try_from(length).map_err(|_| SpdyError::HeaderBlock)?;
    let (text, rest) = block.split_at_checked(length).ok_or(SpdyError::HeaderBlock)?;
    *block = rest;
    Ok(text)
}

fn put_length(block: &mut Vec<u8>, length: usize) {
    block.put_u32(u32::try_from(length).unwrap_or(u32::MAX));
}

/// Decompresses the header blocks of one direction, all of them and in order: each continues the one before.
pub(super) struct HeaderDecompressor {
    zlib: Decompress,
    /// One byte longer than a block may be, so that a full buffer means that the block is too long.
    buffer: Box<[u8]>,
}

impl HeaderDecompressor {
    pub(super) fn new() -> HeaderDecompressor {
        HeaderDecompressor { zlib: Decompress::new(true), buffer: vec![0; MAX_HEADER_BLOCK + 1].into() }
    }

    /// Decompresses and reads a block. The inner error concerns only the stream.
    ///
    /// # Errors
    ///
    /// Fails if the block cannot be decompressed or read. Later blocks cannot be decompressed either.
    pub(super) fn read(&mut self, block: &Bytes) -> Result<Result<Headers, InvalidHeaders>, SpdyError> {
        let length = self.decompress(block)?;
        Headers::read(self.buffer.get(..length).unwrap_or_default())
    }

    /// Decompresses a block into the buffer and returns its length there.
    fn decompress(&mut self, mut block: &[u8]) -> Result<usize, SpdyError> {
        let mut length = 0;
        while !block.is_empty() {
            let (consumed_before, written_before) = (self.zlib.total_in(), self.zlib.total_out());
            let output = self.buffer.get_mut(length..).unwrap_or_default();
            let result = self.zlib.decompress(block, output, FlushDecompress::Sync);
            let consumed = difference(self.zlib.total_in(), consumed_before);
            let written = difference(self.zlib.total_out(), written_before);
            block = block.get(consumed..).unwrap_or_default();
            length += written;
            match result {
                // The stream begins by naming its dictionary; zlib checks that it is this one.
                Err(error) if error.needs_dictionary().is_some() => {
                    self.zlib.set_dictionary(DICTIONARY).map_err(|_| SpdyError::Compression)?;
                }
                Ok(Status::Ok | Status::BufError) if length > MAX_HEADER_BLOCK => {
                    return Err(SpdyError::HeaderBlockTooLong);
                }
                Ok(Status::Ok) if consumed > 0 || written > 0 => {}
                Ok(Status::Ok | Status::BufError | Status::StreamEnd) | Err(_) => return Err(SpdyError::Compression),
            }
        }
        Ok(length)
    }
}

/// Returns how much a counter of zlib grew, at most by the length of a buffer.
fn difference(after: u64, before: u64) -> usize {
    usize::try_from(after.saturating_sub(before)).unwrap_or(usize::MAX)
}

/// Compresses the header blocks of one direction.
pub(super) struct HeaderCompressor(Compress);

impl HeaderCompressor {
    pub(super) fn new() -> Result<HeaderCompressor, flate2::CompressError> {
        let mut zlib = Compress::new(Compression::fast(), true);
        zlib.set_dictionary(DICTIONARY)?;
        Ok(HeaderCompressor(zlib))
    }

    /// Returns the compressed block, flushed so that the client can read all of it.
    pub(super) fn write(&mut self, headers: &Headers) -> Result<BytesMut, flate2::CompressError> {
        let plain = headers.write();
        let mut block = BytesMut::new();
        let consumed_before = self.0.total_in();
        loop {
            let mut piece = [0; 256];
            let consumed = difference(self.0.total_in(), consumed_before);
            let written_before = self.0.total_out();
            let rest = plain.get(consumed..).unwrap_or_default();
            self.0.compress(rest, &mut piece, FlushCompress::Sync)?;
            let written = difference(self.0.total_out(), written_before);
            block.extend_from_slice(piece.get(..written).unwrap_or_default());
            // zlib has flushed everything once it leaves room.
            if written < piece.len() {
                return Ok(block);
            }
        }
    }
}
