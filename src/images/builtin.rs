//! The built-in images: our own guests, for exactly the canonical names of the table below.

use std::sync::LazyLock;

use bytes::Bytes;

use super::{Executable, Image, ImageError, Programs};
use crate::files::ImageFile;

static BUSYBOX: LazyLock<Executable> =
    LazyLock::new(|| embedded(include_bytes!(concat!(env!("OUT_DIR"), "/busybox.wasm"))));
static HTTPD: LazyLock<Executable> =
    LazyLock::new(|| embedded(include_bytes!(concat!(env!("OUT_DIR"), "/httpd.wasm"))));
static PAUSE: LazyLock<Executable> =
    LazyLock::new(|| embedded(include_bytes!(concat!(env!("OUT_DIR"), "/pause.wasm"))));

fn embedded(bytes: &'static [u8]) -> Executable {
    Executable::new(Bytes::from_static(bytes))
}

/// build.rs embeds nothing where the guests were not built.
fn built(program: &Executable) -> Result<Executable, ImageError> {
    if program.bytes.is_empty() { Err(ImageError::NotBuilt) } else { Ok(program.clone()) }
}

/// A built-in image.
struct Row {
    canonical: &'static str,
    /// The guest that stands in.
    guest: &'static str,
    program: &'static LazyLock<Executable>,
    entrypoint: &'static [&'static str],
    cmd: &'static [&'static str],
    env: &'static [(&'static str, &'static str)],
    files: &'static [ImageFile],
}

const PATH: (&str, &str) = ("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");

const INDEX: &[u8] = b"<!DOCTYPE html>\n<html>\n<head><title>wasmpod</title></head>\n<body>\n<h1>It works</h1>\n\
    <p>This is wasmpod's built-in web server. Mount a volume at /usr/share/nginx/html to serve your own pages.</p>\n\
    </body>\n</html>\n";

const TABLE: &[Row] = &[
    shell("docker.io/library/busybox"),
    shell("docker.io/library/alpine"),
    Row {
        canonical: "docker.io/library/nginx",
        guest: "httpd",
        program: &HTTPD,
        entrypoint: &[],
        cmd: &["nginx"],
        env: &[PATH],
        files: &[("/usr/share/nginx/html/index.html", INDEX)],
    },
    pause("registry.k8s.io/pause"),
    pause("k8s.gcr.io/pause"),
];

const fn shell(canonical: &'static str) -> Row {
    Row { canonical, guest: "busybox", program: &BUSYBOX, entrypoint: &[], cmd: &["sh"], env: &[PATH], files: &[] }
}

const fn pause(canonical: &'static str) -> Row {
    Row { canonical, guest: "pause", program: &PAUSE, entrypoint: &["/pause"], cmd: &[], env: &[PATH], files: &[] }
}

/// The names in messages.
pub const NAMES: &[&str] = &["busybox", "alpine", "nginx", "registry.k8s.io/pause"];

/// The image that stands in for `canonical`, which was asked for as `name`.
pub fn image(name: &str, canonical: &str) -> Result<Option<Image>, ImageError> {
    let Some(row) = TABLE.iter().find(|row| row.canonical == canonical) else { return Ok(None) };
    let program = built(row.program)?;
    let owned = |words: &[&str]| words.iter().map(ToString::to_string).collect();
    Ok(Some(Image {
        id: format!("built-in/{}@sha256:{}", row.guest, program.hex()),
        entrypoint: owned(row.entrypoint),
        cmd: owned(row.cmd),
        working_dir: "/".into(),
        env: row.env.iter().map(|(k, v)| (k.to_string(), v.to_string())).collect(),
        files: row.files,
        notice: Some(format!("using built-in {} for {name}", row.guest)),
        programs: Programs::BuiltIn,
    }))
}

/// The program that a built-in image runs for `name`, the last part of a path. `httpd` is busybox's, as in
/// its image; the web server goes by the name of the one that it stands in for.
pub fn program(name: &str) -> Option<Result<Executable, ImageError>> {
    match name {
        "pause" => Some(built(&PAUSE)),
        "nginx" => Some(built(&HTTPD)),
        name => applet(name),
    }
}

/// busybox, if `name` is one of its applets.
pub fn applet(name: &str) -> Option<Result<Executable, ImageError>> {
    APPLETS.binary_search(&name).is_ok().then(|| built(&BUSYBOX))
}

include!("applets.rs");
