//! Resolves the `image` of a container to programs, and its command to one of them.
//!
//! An image is, in this order: a name that the user maps to a program (`--image NAME=FILE`), a local
//! file (`./app.wasm`, relative to the manifest), or one of a few repositories for which wasmpod's own
//! guests stand in. Programs are neither validated nor compiled here.

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
use crate::model::hex;
pub use builtin::APPLETS;

/// A program of an image.
#[derive(Debug, Clone)]
pub struct Executable {
    /// A WebAssembly module or component, not validated yet.
    pub bytes: Bytes,
    /// SHA-256 of the bytes.
    pub digest: [u8; 32],
}

/// The configuration and the programs of an image.
#[derive(Debug)]
pub struct Image {
    /// ID in the container's status: `built-in/httpd@sha256:…`, or `app.wasm@sha256:…` for a file.
    pub id: String,
    /// First words of the command line; may be empty.
    pub entrypoint: Vec<String>,
    /// Words after the entrypoint, unless the container has `args`.
    pub cmd: Vec<String>,
    /// Default working directory of containers.
    pub working_dir: String,
    /// Environment variables as name and value; the container's own variables override them.
    pub env: Vec<(String, String)>,
    /// Files in the root file system.
    pub files: &'static [ImageFile],
    /// Message to show if a built-in image stands in: `using built-in httpd for nginx:1.14.2`.
    pub notice: Option<String>,
    programs: Programs,
}

#[derive(Debug)]
enum Programs {
    /// The user's program, called `name`.
    Local { name: String, program: Executable },
    /// The built-in guests.
    BuiltIn,
}

/// An image name cannot be resolved.
#[derive(Debug, thiserror::Error)]
pub enum ImageError {
    /// The image name is not valid.
    #[error("couldn't parse image name {image:?}: invalid reference format{detail}")]
    InvalidName {
        /// Image name of the container.
        image: String,
        /// Details, beginning with a colon; may be empty.
        detail: String,
    },
    /// The file of the image cannot be read.
    #[error("file {path:?} of image {image:?} cannot be read")]
    File {
        /// Image name of the container.
        image: String,
        /// Path of the file.
        path: PathBuf,
        /// Error of the operating system.
        source: io::Error,
    },
    /// The name is mapped to no program, and is not the name of an enabled built-in image.
    #[error(
        "image {image:?} not found: wasmpod does not pull images yet and cannot run Linux images; use a WebAssembly \
         file (`image: ./app.wasm`, relative to the manifest), map this name to a file (`--image {image}=FILE`), or \
         use a built-in image ({})", builtin::DISPLAY_NAMES.join(", ")
    )]
    Unknown {
        /// Image name of the container.
        image: String,
    },
    /// The image is built in, but built-in images are disabled.
    #[error(
        "image {image:?} not found: its built-in stand-in is disabled; start `wasmpod serve` with `--builtin-images`"
    )]
    BuiltInDisabled {
        /// Image name of the container.
        image: String,
    },
    /// The image is built in, but the guests were missing when wasmpod was built.
    #[error("wasmpod was built without the built-in images: run `make guests` and build wasmpod again")]
    NotBuilt,
}

impl ImageError {
    /// Returns the reason that the waiting container shows (K35).
    pub fn reason(&self) -> &'static str {
        match self {
            ImageError::InvalidName { .. } => "InvalidImageName",
            ImageError::File { .. }
            | ImageError::Unknown { .. }
            | ImageError::BuiltInDisabled { .. }
            | ImageError::NotBuilt => "ErrImagePull",
        }
    }
}

/// An image cannot run a command.
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    /// The image has no program with this name.
    #[error("exec: {0:?}: executable file not found in $PATH")]
    NotFound(String),
    /// Neither the image nor the container has a command.
    #[error("no command specified")]
    Empty,
    /// The program belongs to a built-in image that is not available.
    #[error(transparent)]
    Image(#[from] ImageError),
}

/// A command whose program was found.
#[derive(Debug)]
pub struct ResolvedCommand {
    /// The program that `argv` names.
    pub program: Executable,
    /// The program's name as the command gives it, followed by the arguments; never empty.
    pub argv: Vec<String>,
}

/// The program that an image name is mapped to.
#[derive(Debug, Clone)]
pub enum ImageSource {
    /// The path of a file, which is read again when it changes.
    File(PathBuf),
    /// The bytes of the program.
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

/// The images that containers of a node may use.
pub struct Images {
    named: BTreeMap<String, NamedSource>,
    /// Whether built-in images stand in for their repositories.
    builtin_enabled: bool,
    /// Whether a file is read only once, until [`Images::replace_program`] replaces its program.
    files_pinned: bool,
    /// Protects the programs of files, valid while the files are unchanged: hashing a program takes longer than
    /// starting it.
    file_cache: Mutex<HashMap<PathBuf, (FileStamp, Executable)>>,
    /// Protects the built-in images by name; they never change.
    builtin_cache: Mutex<HashMap<String, Arc<Image>>>,
}

/// The program of a name in [`Images::named`].
enum NamedSource {
    File(PathBuf),
    Image(Arc<Image>),
}

/// The identity of a file's content: a changed stamp means that the file was written or replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileStamp {
    modified: SystemTime,
    length: u64,
    inode: u64,
}

impl FileStamp {
    /// Differs from the stamp of every program file.
    const NONE: FileStamp = FileStamp { modified: SystemTime::UNIX_EPOCH, length: 0, inode: 0 };

    /// Returns the current stamp of the file at `path`.
    ///
    /// # Errors
    ///
    /// An I/O error if the file's metadata cannot be read.
    pub fn read(path: &Path) -> io::Result<FileStamp> {
        let metadata = std::fs::metadata(path)?;
        Ok(FileStamp { modified: metadata.modified()?, length: metadata.len(), inode: metadata.ino() })
    }
}

impl Images {
    /// Returns the images in `named` files, local files and, if `builtin_enabled`, the built-in images.
    pub fn new(named: BTreeMap<String, PathBuf>, builtin_enabled: bool) -> Images {
        let named = named.into_iter().map(|(name, path)| (name, NamedSource::File(path))).collect();
        Images {
            named,
            builtin_enabled,
            files_pinned: false,
            file_cache: Mutex::default(),
            builtin_cache: Mutex::default(),
        }
    }

    /// Maps the image name `name` to `source`.
    #[must_use]
    pub fn with_image(mut self, name: &str, source: impl Into<ImageSource>) -> Images {
        let named = match source.into() {
            ImageSource::File(path) => NamedSource::File(path),
            ImageSource::Bytes(bytes) => {
                let last_component = base_name(name);
                let program = last_component.split([':', '@']).next().unwrap_or(last_component);
                NamedSource::Image(Arc::new(Image::from_program(program.into(), Executable::new(bytes))))
            }
        };
        self.named.insert(name.into(), named);
        self
    }

    /// Makes files keep the program that was read first, until [`Images::replace_program`] replaces it.
    #[must_use]
    pub fn with_pinned_files(mut self) -> Images {
        self.files_pinned = true;
        self
    }

    /// Replaces the program of the file at `path`, a path that [`Images::local_file`] returned.
    pub fn replace_program(&self, path: &Path, program: Executable) {
        let stamp = FileStamp::read(path).unwrap_or(FileStamp::NONE);
        self.file_cache.lock().insert(path.into(), (stamp, program));
    }

    /// Returns the stamp that the file at `path` had when its program was read; `None` if it was not read yet.
    pub fn cached_stamp(&self, path: &Path) -> Option<FileStamp> {
        self.file_cache.lock().get(path).map(|(stamp, _)| *stamp)
    }

    /// Returns the file with the program of image `name`, or `None` if the image is not a file. Paths are relative
    /// to `base`.
    pub fn local_file(&self, name: &str, base: &Path) -> Option<PathBuf> {
        match self.named.get(name) {
            Some(NamedSource::File(path)) => Some(path.clone()),
            Some(NamedSource::Image(_)) => None,
            None => reference::is_local_path(name).then(|| base.join(name)),
        }
    }

    /// Resolves the image name `name`. Paths of files are relative to `base`.
    ///
    /// # Errors
    ///
    /// An [`ImageError`] if the name is not valid or not known, the file cannot be read, or wasmpod was built
    /// without the built-in images.
    pub fn find(&self, name: &str, base: &Path) -> Result<Arc<Image>, ImageError> {
        match self.named.get(name) {
            Some(NamedSource::File(path)) => return self.load_file(name, path),
            Some(NamedSource::Image(image)) => return Ok(image.clone()),
            None => {}
        }
        if reference::is_local_path(name) {
            return self.load_file(name, &base.join(name));
        }
        if let Some(image) = self.builtin_cache.lock().get(name) {
            return Ok(image.clone());
        }
        let repository = reference::canonical_repository(name).ok_or_else(|| ImageError::InvalidName {
            image: name.into(),
            detail: reference::invalid_name_detail(name),
        })?;
        let image = match builtin::find_image(name, &repository)? {
            Some(image) if self.builtin_enabled => Arc::new(image),
            Some(_) => return Err(ImageError::BuiltInDisabled { image: name.into() }),
            None => return Err(ImageError::Unknown { image: name.into() }),
        };
        self.builtin_cache.lock().insert(name.into(), image.clone());
        Ok(image)
    }

    /// Returns the image of the program in a file, which is read only if it is not cached.
    fn load_file(&self, image: &str, path: &Path) -> Result<Arc<Image>, ImageError> {
        let file_error = |source| ImageError::File { image: image.into(), path: path.into(), source };
        let cached = self.file_cache.lock().get(path).cloned();
        let program = match cached {
            Some((_, program)) if self.files_pinned => program,
            Some((stamp, program)) if stamp == FileStamp::read(path).map_err(file_error)? => program,
            _ => {
                // Read before the content: a later change makes the stamp outdated.
                let stamp = FileStamp::read(path).map_err(file_error)?;
                let program = Executable::new(std::fs::read(path).map_err(file_error)?.into());
                self.file_cache.lock().insert(path.into(), (stamp, program.clone()));
                program
            }
        };
        let file_name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        Ok(Arc::new(Image::from_program(file_name, program)))
    }
}

impl Executable {
    /// Returns a program from its bytes.
    pub fn new(bytes: Bytes) -> Executable {
        let digest = Sha256::digest(&bytes).into();
        Executable { bytes, digest }
    }

    fn hex_digest(&self) -> String {
        hex::encode(&self.digest)
    }
}

impl Image {
    /// Returns the image of a single program.
    fn from_program(name: String, program: Executable) -> Image {
        Image {
            id: format!("{name}@sha256:{}", program.hex_digest()),
            entrypoint: vec![name.clone()],
            cmd: Vec::new(),
            working_dir: "/".into(),
            env: Vec::new(),
            files: &[],
            notice: None,
            programs: Programs::Local { name, program },
        }
    }

    /// Resolves the command of a container: `command` replaces entrypoint and cmd, `args` replaces cmd, as in
    /// Kubernetes.
    ///
    /// # Errors
    ///
    /// A [`CommandError`] if there is no command, or the image does not have its program.
    pub fn command(&self, command: &[String], args: &[String]) -> Result<ResolvedCommand, CommandError> {
        let (head, tail) = match (command, args) {
            ([], []) => (self.entrypoint.as_slice(), self.cmd.as_slice()),
            ([], args) => (self.entrypoint.as_slice(), args),
            (command, args) => (command, args),
        };
        let argv: Vec<String> = head.iter().chain(tail).cloned().collect();
        let name = argv.first().ok_or(CommandError::Empty)?;
        let program = match &self.programs {
            Programs::Local { program, .. } if command.is_empty() => program.clone(),
            // Any other name means the user's program, unless it is a busybox applet: so every image has a shell.
            Programs::Local { name: own_name, program } => match builtin::find_applet(base_name(name)) {
                Some(busybox) if !is_named(own_name, base_name(name)) => busybox?,
                Some(_) | None => program.clone(),
            },
            Programs::BuiltIn => builtin_program(name)?,
        };
        Ok(ResolvedCommand { program, argv })
    }

    /// Returns whether the image is built in.
    pub fn is_built_in(&self) -> bool {
        matches!(self.programs, Programs::BuiltIn)
    }

    /// Returns whether the program `name` is busybox's, which the image itself does not have.
    pub fn borrows(&self, name: &str) -> bool {
        matches!(&self.programs, Programs::Local { name: own, .. } if !is_named(own, base_name(name)))
    }

    /// Resolves a further command in a running container, such as that of an exec, a probe or a hook. A name that is
    /// not the image's own program means the busybox applet of that name.
    ///
    /// # Errors
    ///
    /// A [`CommandError`] if `argv` is empty, or neither the image nor busybox has the program.
    pub fn exec_command(&self, argv: &[String]) -> Result<ResolvedCommand, CommandError> {
        let name = argv.first().ok_or(CommandError::Empty)?;
        let program = match &self.programs {
            Programs::Local { name: own_name, program } if is_named(own_name, base_name(name)) => program.clone(),
            Programs::Local { .. } => {
                builtin::find_applet(base_name(name)).ok_or_else(|| CommandError::NotFound(name.into()))??
            }
            Programs::BuiltIn => builtin_program(name)?,
        };
        Ok(ResolvedCommand { program, argv: argv.to_vec() })
    }
}

fn builtin_program(name: &str) -> Result<Executable, CommandError> {
    Ok(builtin::find_program(base_name(name)).ok_or_else(|| CommandError::NotFound(name.into()))??)
}

fn base_name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

/// Returns whether `name` means the program `program_name`, with or without the `.wasm` extension.
fn is_named(program_name: &str, name: &str) -> bool {
    name == program_name || program_name.strip_suffix(".wasm") == Some(name)
}

#[cfg(test)]
mod tests;
