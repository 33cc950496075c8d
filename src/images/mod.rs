//! Images: what a container's `image` means here.
//!
//! Three kinds: names given on the command line (`--image NAME=FILE`), local files (`./app.wasm`,
//! relative to the manifest), and a few canonical names for which our own guests stand in.

mod builtin;
mod reference;

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use bytes::Bytes;
use parking_lot::Mutex;
use sha2::{Digest, Sha256};

use crate::files::ImageFile;
pub use builtin::APPLETS;

/// A program of an image.
#[derive(Debug, Clone)]
pub struct Executable {
    /// A WebAssembly module or component as it was read; nothing has checked it.
    pub bytes: Bytes,
    /// SHA-256 of the bytes.
    pub digest: [u8; 32],
}

/// What an image says of its containers.
#[derive(Debug)]
pub struct Image {
    /// As the status shows it: `built-in/httpd@sha256:…` or the file's name.
    pub id: String,
    /// The words that a command line begins with; may be empty.
    pub entrypoint: Vec<String>,
    /// The words that follow the entrypoint where the container gives none.
    pub cmd: Vec<String>,
    /// The directory where its programs begin, if the container does not say.
    pub working_dir: String,
    /// Variables as name and value; a container's own of the same name takes the place of one.
    pub env: Vec<(String, String)>,
    /// Files of its root.
    pub files: &'static [ImageFile],
    /// What stands in for the image, where something does: `using built-in httpd for nginx:1.14.2`.
    pub notice: Option<String>,
    programs: Programs,
}

#[derive(Debug)]
enum Programs {
    /// One program, called `name`.
    Local { name: String, program: Executable },
    /// Our guests.
    BuiltIn,
}

/// Why there is no image.
#[derive(Debug, thiserror::Error)]
pub enum ImageError {
    /// This is no image name.
    #[error("couldn't parse image name {image:?}: invalid reference format{}", .why)]
    InvalidName {
        /// The name as the container gives it.
        image: String,
        /// What is wrong with it, behind a colon; may be empty.
        why: String,
    },
    /// The file that the name means can't be read.
    #[error("cannot read {path:?} for image {image:?}")]
    File {
        /// The name as the container gives it.
        image: String,
        /// Where the file should be.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// No file is given for this name, and no built-in image that may be used has it.
    #[error(
        "no image {image:?}: wasmpod pulls no images yet and runs no Linux images; name a WebAssembly file \
         (image: ./app.wasm, relative to the manifest), give one for this name (--image {image}=FILE), or use a \
         built-in image ({})", builtin::NAMES.join(", ")
    )]
    Unknown {
        /// The name as the container gives it.
        image: String,
    },
    /// The name means a built-in guest, which was not there when wasmpod was built.
    #[error("this wasmpod was built without its built-in images: run `make guests` and build it again")]
    NotBuilt,
}

impl ImageError {
    /// The reason that a waiting container shows (K35).
    pub fn reason(&self) -> &'static str {
        match self {
            ImageError::InvalidName { .. } => "InvalidImageName",
            ImageError::File { .. } | ImageError::Unknown { .. } | ImageError::NotBuilt => "ErrImagePull",
        }
    }
}

/// Why an image can't run a command.
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    /// The image has no program of this name.
    #[error("exec: {0:?}: executable file not found in $PATH")]
    NotFound(String),
    /// Neither the image nor the container gives a command.
    #[error("no command specified")]
    Empty,
    /// The program belongs to an image that can't be had.
    #[error(transparent)]
    Image(#[from] ImageError),
}

/// What runs: a program and the arguments it sees.
#[derive(Debug)]
pub struct Command {
    /// The program that `argv` names.
    pub program: Executable,
    /// The program's name as it was asked for, then its arguments; never empty.
    pub argv: Vec<String>,
}

/// Where the program of an image is, for a name that was given one.
#[derive(Debug, Clone)]
pub enum ImageSource {
    /// In this file, which may change.
    File(PathBuf),
    /// Here.
    Bytes(Bytes),
}

impl From<PathBuf> for ImageSource {
    fn from(path: PathBuf) -> ImageSource {
        ImageSource::File(path)
    }
}

impl From<&Path> for ImageSource {
    fn from(path: &Path) -> ImageSource {
        ImageSource::File(path.into())
    }
}

impl From<&str> for ImageSource {
    fn from(path: &str) -> ImageSource {
        ImageSource::File(path.into())
    }
}

impl From<Vec<u8>> for ImageSource {
    fn from(bytes: Vec<u8>) -> ImageSource {
        ImageSource::Bytes(bytes.into())
    }
}

impl From<&'static [u8]> for ImageSource {
    fn from(bytes: &'static [u8]) -> ImageSource {
        ImageSource::Bytes(Bytes::from_static(bytes))
    }
}

impl<const N: usize> From<&'static [u8; N]> for ImageSource {
    fn from(bytes: &'static [u8; N]) -> ImageSource {
        ImageSource::Bytes(Bytes::from_static(bytes))
    }
}

/// Where images come from.
pub struct Images {
    named: BTreeMap<String, NamedSource>,
    built_in: bool,
    /// Whether files stay as they were first read until [`Images::adopt`] says otherwise.
    held: bool,
    /// Protects files read before, as long as they are unchanged: hashing one costs more than starting it.
    read: Mutex<HashMap<PathBuf, (Stamp, Executable)>>,
    /// Protects images found before; built-in ones never change.
    found: Mutex<HashMap<String, Arc<Image>>>,
}

/// What a name that was given a program stands for.
enum NamedSource {
    File(PathBuf),
    Image(Arc<Image>),
}

/// What tells a file from itself after it was written: when, how long, which.
pub type Stamp = (SystemTime, u64, u64);

impl Images {
    /// Images from `named` files, and the built-in ones if wanted.
    pub fn new(named: BTreeMap<String, PathBuf>, built_in: bool) -> Images {
        let named = named.into_iter().map(|(name, path)| (name, NamedSource::File(path))).collect();
        Images { named, built_in, held: false, read: Mutex::default(), found: Mutex::default() }
    }

    /// The same images, and `source` for containers with `image: name`.
    pub fn with(mut self, name: &str, source: impl Into<ImageSource>) -> Images {
        let named = match source.into() {
            ImageSource::File(path) => NamedSource::File(path),
            ImageSource::Bytes(bytes) => {
                let last = name.rsplit('/').next().unwrap_or(name);
                let program = last.split([':', '@']).next().unwrap_or(last);
                NamedSource::Image(Arc::new(Image::of_program(program.into(), Executable::new(bytes))))
            }
        };
        self.named.insert(name.into(), named);
        self
    }

    /// The same images, but files stay as they were first read: what changes on disk is taken by
    /// [`Images::adopt`] alone.
    pub fn held(mut self) -> Images {
        self.held = true;
        self
    }

    /// Takes `program` for the file at `path`, as [`Images::file`] names it.
    pub fn adopt(&self, path: &Path, program: Executable) {
        let stamp = stamp(path).unwrap_or((SystemTime::UNIX_EPOCH, 0, 0));
        self.read.lock().insert(path.into(), (stamp, program));
    }

    /// How the file at `path` was when its program was taken.
    pub fn stamp(&self, path: &Path) -> Option<Stamp> {
        self.read.lock().get(path).map(|(stamp, _)| *stamp)
    }

    /// The file that holds the program of image `name`, if it is one; relative to `base`.
    pub fn file(&self, name: &str, base: &Path) -> Option<PathBuf> {
        match self.named.get(name) {
            Some(NamedSource::File(path)) => Some(path.clone()),
            Some(NamedSource::Image(_)) => None,
            None => reference::is_local(name).then(|| base.join(name)),
        }
    }

    /// The image called `name`; files are relative to `base`.
    pub fn find(&self, name: &str, base: &Path) -> Result<Arc<Image>, ImageError> {
        match self.named.get(name) {
            Some(NamedSource::File(path)) => return self.local(name, path),
            Some(NamedSource::Image(image)) => return Ok(image.clone()),
            None => {}
        }
        if reference::is_local(name) {
            return self.local(name, &base.join(name));
        }
        if let Some(image) = self.found.lock().get(name) {
            return Ok(image.clone());
        }
        let canonical = reference::canonical(name)
            .ok_or_else(|| ImageError::InvalidName { image: name.into(), why: reference::fault(name) })?;
        let image = if self.built_in { builtin::image(name, &canonical)? } else { None };
        let image = Arc::new(image.ok_or_else(|| ImageError::Unknown { image: name.into() })?);
        self.found.lock().insert(name.into(), image.clone());
        Ok(image)
    }

    fn local(&self, image: &str, path: &Path) -> Result<Arc<Image>, ImageError> {
        let failed = |source| ImageError::File { image: image.into(), path: path.into(), source };
        let known = self.read.lock().get(path).cloned();
        let program = match known {
            Some((_, program)) if self.held => program,
            Some((at, program)) if at == stamp(path).map_err(failed)? => program,
            _ => {
                let stamp = stamp(path).map_err(failed)?;
                let program = Executable::new(std::fs::read(path).map_err(failed)?.into());
                self.read.lock().insert(path.into(), (stamp, program.clone()));
                program
            }
        };
        let file_name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        Ok(Arc::new(Image::of_program(file_name, program)))
    }
}

/// How the file at `path` is now.
pub fn stamp(path: &Path) -> io::Result<Stamp> {
    let meta = std::fs::metadata(path)?;
    Ok((meta.modified()?, meta.len(), meta.ino()))
}

impl Executable {
    /// A program from its bytes.
    pub fn new(bytes: Bytes) -> Executable {
        let digest = Sha256::digest(&bytes).into();
        Executable { bytes, digest }
    }

    fn hex(&self) -> String {
        self.digest.iter().map(|b| format!("{b:02x}")).collect()
    }
}

impl Image {
    /// The image of one program.
    fn of_program(name: String, program: Executable) -> Image {
        Image {
            id: format!("{name}@sha256:{}", program.hex()),
            entrypoint: vec![name.clone()],
            cmd: Vec::new(),
            working_dir: "/".into(),
            env: Vec::new(),
            files: &[],
            notice: None,
            programs: Programs::Local { name, program },
        }
    }

    /// The command of a container: `command` takes the place of the entrypoint and of its cmd,
    /// `args` that of cmd, as in Kubernetes.
    pub fn command(&self, command: &[String], args: &[String]) -> Result<Command, CommandError> {
        let (head, tail) = match (command, args) {
            ([], []) => (self.entrypoint.as_slice(), self.cmd.as_slice()),
            ([], args) => (self.entrypoint.as_slice(), args),
            (command, args) => (command, args),
        };
        let argv: Vec<String> = head.iter().chain(tail).cloned().collect();
        let name = argv.first().ok_or(CommandError::Empty)?;
        let program = self.program(name, command.is_empty())?;
        Ok(Command { program, argv })
    }

    /// Whether our own guests stand in for it.
    pub fn is_built_in(&self) -> bool {
        matches!(self.programs, Programs::BuiltIn)
    }

    /// Another command in a container of this image: a probe's, a hook's. A name that the image does
    /// not have means busybox's program of that name.
    pub fn other_command(&self, argv: &[String]) -> Result<Command, CommandError> {
        let name = argv.first().ok_or(CommandError::Empty)?;
        let base = name.rsplit('/').next().unwrap_or(name);
        let program = match &self.programs {
            Programs::Local { name: file, program } if base == file || Some(base) == file.strip_suffix(".wasm") => {
                program.clone()
            }
            Programs::Local { .. } => builtin::applet(base).ok_or_else(|| CommandError::NotFound(name.into()))??,
            Programs::BuiltIn => builtin::program(base).ok_or_else(|| CommandError::NotFound(name.into()))??,
        };
        Ok(Command { program, argv: argv.to_vec() })
    }

    fn program(&self, name: &str, own: bool) -> Result<Executable, CommandError> {
        let base = name.rsplit('/').next().unwrap_or(name);
        match &self.programs {
            Programs::Local { name: file, program } => {
                // An image of one program is extended by busybox's, so that a shell can be had anywhere.
                let itself = own || base == file || Some(base) == file.strip_suffix(".wasm");
                match builtin::applet(base) {
                    Some(busybox) if !itself => Ok(busybox?),
                    Some(_) | None => Ok(program.clone()),
                }
            }
            Programs::BuiltIn => match builtin::program(base) {
                Some(program) => Ok(program?),
                None => Err(CommandError::NotFound(name.into())),
            },
        }
    }
}

#[cfg(test)]
mod tests;
