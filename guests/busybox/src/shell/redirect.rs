//! Descriptors and redirections. Clones share their streams, as after `fork`; to redirect one command, the caller keeps
//! the old set and restores it.

use std::fs::{File, OpenOptions};
use std::io;
use std::path::Path;

use brush_parser::ast::{self, IoFileRedirectKind as Kind, IoFileRedirectTarget as Target};

use crate::proc::{Reader, Writer, file_pair, strerror};

use super::expand::Failure;
use super::lexer::BODY;
use super::word::Context;
use super::{Flow, Shell};

/// The target of a descriptor.
#[derive(Clone)]
pub enum Stream {
    Reader(Reader),
    Writer(Writer),
    /// Opened with `<>`.
    Both(Reader, Writer),
}

#[derive(Clone, Default)]
pub struct Descriptors(Vec<(i32, Stream)>);

impl Descriptors {
    pub fn standard(stdin: Reader, stdout: Writer, stderr: Writer) -> Descriptors {
        Descriptors(Vec::from([(0, Stream::Reader(stdin)), (1, Stream::Writer(stdout)), (2, Stream::Writer(stderr))]))
    }

    pub fn set(&mut self, fd: i32, stream: Stream) {
        self.close(fd);
        self.0.push((fd, stream));
    }

    pub fn get(&self, fd: i32) -> Option<&Stream> {
        self.0.iter().find(|(known, _)| *known == fd).map(|(_, stream)| stream)
    }

    pub fn close(&mut self, fd: i32) {
        self.0.retain(|(known, _)| *known != fd);
    }

    /// Whether a descriptor is the terminal.
    pub fn is_terminal(&self, fd: i32) -> bool {
        match self.get(fd) {
            Some(Stream::Reader(reader) | Stream::Both(reader, _)) => reader.is_terminal(),
            Some(Stream::Writer(writer)) => writer.is_terminal(),
            None => false,
        }
    }

    /// Returns a reader; one that is at its end for a descriptor that is closed or not readable.
    pub fn reader(&self, fd: i32) -> Reader {
        match self.get(fd) {
            Some(Stream::Reader(reader) | Stream::Both(reader, _)) => reader.clone(),
            Some(Stream::Writer(_)) | None => Reader::empty(),
        }
    }

    /// Returns a writer; one that discards everything for a closed descriptor.
    pub fn writer(&self, fd: i32) -> Writer {
        match self.get(fd) {
            Some(Stream::Writer(writer) | Stream::Both(_, writer)) => writer.clone(),
            Some(Stream::Reader(_)) | None => Writer::null(),
        }
    }
}

/// Why a redirection failed: a message for the user, or an expansion that ends the shell.
pub enum RedirectError {
    Message(String),
    Flow(Flow),
}

impl From<Failure> for RedirectError {
    fn from(failure: Failure) -> RedirectError {
        RedirectError::Flow(failure.0)
    }
}

impl Shell {
    /// Performs a redirection on the shell's own descriptors.
    pub async fn redirect(&mut self, redirect: &ast::IoRedirect) -> Result<(), RedirectError> {
        match redirect {
            ast::IoRedirect::File(fd, kind, target) => self.redirect_file(*fd, kind, target).await,
            ast::IoRedirect::HereDocument(fd, here) => {
                let body = here.doc.value.strip_prefix(BODY).unwrap_or_default();
                let text = match here.requires_expansion {
                    true => self.expand_text(body, Context::HereDocument).await?,
                    false => body.to_string(),
                };
                self.descriptors.set(fd.unwrap_or(0), Stream::Reader(Reader::from_bytes(text)));
                Ok(())
            }
            ast::IoRedirect::HereString(fd, word) => {
                let text = self.expand_text(&word.value, Context::Word).await? + "\n";
                self.descriptors.set(fd.unwrap_or(0), Stream::Reader(Reader::from_bytes(text)));
                Ok(())
            }
            ast::IoRedirect::OutputAndError(word, append) => {
                let name = self.expand_text(&word.value, Context::Word).await?;
                let kind = if *append { Kind::Append } else { Kind::Write };
                let stream = self.open_target(&name, &kind)?;
                self.descriptors.set(1, stream.clone());
                self.descriptors.set(2, stream);
                Ok(())
            }
        }
    }

    async fn redirect_file(&mut self, fd: Option<i32>, kind: &Kind, target: &Target) -> Result<(), RedirectError> {
        let default = match kind {
            Kind::Read | Kind::ReadAndWrite | Kind::DuplicateInput => 0,
            Kind::Write | Kind::Append | Kind::Clobber | Kind::DuplicateOutput => 1,
        };
        match target {
            Target::Filename(word) => {
                let name = self.expand_text(&word.value, Context::Word).await?;
                let stream = self.open_target(&name, kind)?;
                self.descriptors.set(fd.unwrap_or(default), stream);
                Ok(())
            }
            Target::Fd(source) => self.duplicate(fd.unwrap_or(default), *source),
            Target::Duplicate(word) => {
                let source = self.expand_text(&word.value, Context::Word).await?;
                if source == "-" {
                    self.descriptors.close(fd.unwrap_or(default));
                    return Ok(());
                }
                if let Ok(source) = source.parse() {
                    return self.duplicate(fd.unwrap_or(default), source);
                }
                // `>&file` is an older spelling of `&>file`.
                if fd.is_none() && matches!(kind, Kind::DuplicateOutput) {
                    let stream = self.open_target(&source, &Kind::Write)?;
                    self.descriptors.set(1, stream.clone());
                    self.descriptors.set(2, stream);
                    return Ok(());
                }
                Err(RedirectError::Message(format!("{source}: bad file descriptor")))
            }
            Target::ProcessSubstitution(..) => {
                Err(RedirectError::Message("process substitution is not supported".into()))
            }
        }
    }

    fn duplicate(&mut self, fd: i32, source: i32) -> Result<(), RedirectError> {
        match self.descriptors.get(source).cloned() {
            Some(stream) => {
                self.descriptors.set(fd, stream);
                Ok(())
            }
            None => Err(RedirectError::Message(format!("{source}: Bad file descriptor"))),
        }
    }

    fn open_target(&self, name: &str, kind: &Kind) -> Result<Stream, RedirectError> {
        if let Some(fd) = device(name) {
            return match self.descriptors.get(fd) {
                Some(stream) => Ok(stream.clone()),
                None => Err(cannot("open", name, "No such file or directory")),
            };
        }
        let writes = !matches!(kind, Kind::Read | Kind::DuplicateInput);
        let path = crate::proc::normalize(&self.cwd, name);
        if let Some(device) = Reader::open_device(&path) {
            let writer = match device.is_terminal() {
                true => Writer::host_stdout(),
                false => Writer::null(),
            };
            return Ok(match kind {
                Kind::ReadAndWrite => Stream::Both(device, writer),
                _ if writes => Stream::Writer(writer),
                _ => Stream::Reader(device),
            });
        }
        if path.is_dir() {
            let verb = if writes { "create" } else { "open" };
            return Err(cannot(verb, name, "Is a directory"));
        }
        if matches!(kind, Kind::Write) && self.options.noclobber && path.exists() {
            return Err(cannot("create", name, "File exists"));
        }
        let opened = open_file(&path, kind);
        opened.map_err(|error| match (writes, error.kind()) {
            (true, io::ErrorKind::NotFound) => cannot("create", name, "nonexistent directory"),
            (false, io::ErrorKind::NotFound) => cannot("open", name, "no such file"),
            (true, _) => cannot("create", name, &strerror(&error)),
            (false, _) => cannot("open", name, &strerror(&error)),
        })
    }
}

fn cannot(verb: &str, name: &str, why: &str) -> RedirectError {
    RedirectError::Message(format!("can't {verb} {name}: {why}"))
}

fn open_file(path: &Path, kind: &Kind) -> io::Result<Stream> {
    Ok(match kind {
        Kind::Read | Kind::DuplicateInput => Stream::Reader(Reader::from_file(File::open(path)?)),
        Kind::Write | Kind::Clobber | Kind::DuplicateOutput => Stream::Writer(Writer::from_file(File::create(path)?)),
        Kind::Append => {
            let file = OpenOptions::new().append(true).create(true).open(path)?;
            Stream::Writer(Writer::from_file(file))
        }
        Kind::ReadAndWrite => {
            let mut options = OpenOptions::new();
            let file = options.read(true).write(true).create(true).truncate(false).open(path)?;
            let (reader, writer) = file_pair(file);
            Stream::Both(reader, writer)
        }
    })
}

/// Returns the descriptor that a name such as /dev/stdin means; WASI's file systems have no device files.
fn device(name: &str) -> Option<i32> {
    match name {
        "/dev/stdin" => return Some(0),
        "/dev/stdout" => return Some(1),
        "/dev/stderr" => return Some(2),
        _ => {}
    }
    let prefixes = ["/dev/fd/", "/proc/self/fd/", "/proc/1/fd/"];
    prefixes.into_iter().find_map(|prefix| name.strip_prefix(prefix)?.parse().ok())
}
