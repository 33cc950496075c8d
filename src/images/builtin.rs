//! The built-in images: wasmpod's own guests, which stand in for exactly the repositories in [`BUILTIN_IMAGES`].

use std::io::Read;
use std::sync::LazyLock;

use flate2::read::DeflateDecoder;

use super::{Executable, Image, ImageError, Programs};
use crate::files::ImageFile;

/// Returns a program that build.rs embedded.
macro_rules! embedded_program {
    ($file:literal) => {
        LazyLock::new(|| decompress(include_bytes!(concat!(env!("OUT_DIR"), "/", $file))))
    };
}

static BUSYBOX: LazyLock<Executable> = embedded_program!("busybox.wasm.deflate");
static HTTPD: LazyLock<Executable> = embedded_program!("httpd.wasm.deflate");
static PAUSE: LazyLock<Executable> = embedded_program!("pause.wasm.deflate");

/// Returns the program that build.rs compressed; an empty one if it was not built.
fn decompress(bytes: &[u8]) -> Executable {
    let mut program = Vec::new();
    if !bytes.is_empty()
        && let Err(error) = DeflateDecoder::new(bytes).read_to_end(&mut program)
    {
        tracing::error!(%error, "a built-in program is damaged");
        program.clear();
    }
    Executable::new(program.into())
}

/// Returns the program, or an error if the guests were missing at build time: build.rs then embeds empty files.
fn require_built(program: &Executable) -> Result<Executable, ImageError> {
    if program.bytes.is_empty() { Err(ImageError::NotBuilt) } else { Ok(program.clone()) }
}

struct BuiltinImage {
    /// Repository that it stands in for, in canonical form.
    repository: &'static str,
    /// Name of the guest.
    guest: &'static str,
    program: &'static LazyLock<Executable>,
    entrypoint: &'static [&'static str],
    cmd: &'static [&'static str],
    env: &'static [(&'static str, &'static str)],
    files: &'static [ImageFile],
}

const PATH: (&str, &str) = ("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");

const INDEX_HTML: &[u8] = b"<!DOCTYPE html>\n<html>\n<head><title>wasmpod</title></head>\n<body>\n<h1>It works</h1>\n\
    <p>This is wasmpod's built-in web server. Mount a volume at /usr/share/nginx/html to serve your own pages.</p>\n\
    </body>\n</html>\n";

const BUILTIN_IMAGES: &[BuiltinImage] = &[
    busybox_image("docker.io/library/busybox"),
    busybox_image("docker.io/library/alpine"),
    BuiltinImage {
        repository: "docker.io/library/nginx",
        guest: "httpd",
        program: &HTTPD,
        entrypoint: &[],
        cmd: &["nginx"],
        env: &[PATH],
        files: &[("/usr/share/nginx/html/index.html", INDEX_HTML)],
    },
    pause_image("registry.k8s.io/pause"),
    pause_image("k8s.gcr.io/pause"),
];

const fn busybox_image(repository: &'static str) -> BuiltinImage {
    BuiltinImage {
        repository,
        guest: "busybox",
        program: &BUSYBOX,
        entrypoint: &[],
        cmd: &["sh"],
        env: &[PATH],
        files: &[],
    }
}

const fn pause_image(repository: &'static str) -> BuiltinImage {
    BuiltinImage {
        repository,
        guest: "pause",
        program: &PAUSE,
        entrypoint: &["/pause"],
        cmd: &[],
        env: &[PATH],
        files: &[],
    }
}

/// The built-in images as messages list them.
pub const DISPLAY_NAMES: &[&str] = &["busybox", "alpine", "nginx", "registry.k8s.io/pause"];

/// Returns the image that stands in for `repository`, or `None` if there is none. `name` is the image name of the
/// container.
///
/// # Errors
///
/// [`ImageError::NotBuilt`] if wasmpod was built without its guests.
pub fn find_image(name: &str, repository: &str) -> Result<Option<Image>, ImageError> {
    let Some(builtin) = BUILTIN_IMAGES.iter().find(|builtin| builtin.repository == repository) else {
        return Ok(None);
    };
    let program = require_built(builtin.program)?;
    let owned = |words: &[&str]| words.iter().map(ToString::to_string).collect();
    Ok(Some(Image {
        id: format!("built-in/{}@sha256:{}", builtin.guest, program.hex_digest()),
        entrypoint: owned(builtin.entrypoint),
        cmd: owned(builtin.cmd),
        working_dir: "/".into(),
        env: builtin.env.iter().map(|(k, v)| (k.to_string(), v.to_string())).collect(),
        files: builtin.files,
        notice: Some(format!("using built-in {} for {name}", builtin.guest)),
        programs: Programs::BuiltIn,
    }))
}

/// Returns the program that a built-in image runs for `name`, the last component of a path; `None` if there is
/// none. `httpd` is the applet of busybox, as in its image, and `nginx` is the built-in web server.
pub fn find_program(name: &str) -> Option<Result<Executable, ImageError>> {
    match name {
        "pause" => Some(require_built(&PAUSE)),
        "nginx" => Some(require_built(&HTTPD)),
        name => find_applet(name),
    }
}

/// Returns busybox if `name` is one of its applets.
pub fn find_applet(name: &str) -> Option<Result<Executable, ImageError>> {
    APPLETS.binary_search(&name).is_ok().then(|| require_built(&BUSYBOX))
}

include!("applets.rs");
