//! Guarantee: files in a writable mount behave as POSIX says, and no name leads out of the mounts: not `..`, not an
//! absolute path, not a link. `files [DIR] [OUTSIDE]` works in DIR (default `.`) and tries to reach OUTSIDE (default
//! `/outside`). Prints one line per step. Links are created with libc, since std hides them on WASI.

use std::ffi::CString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::Path;

fn main() {
    let mut args = std::env::args().skip(1);
    let dir = args.next().unwrap_or_else(|| ".".into());
    let outside = args.next().unwrap_or_else(|| "/outside".into());
    let dir = Path::new(&dir);
    let at = |name: &str| dir.join(name);

    print_result("mkdir", fs::create_dir(at("d")));
    print_result("write", fs::write(at("d/a"), "hello"));
    print_result("read", fs::read_to_string(at("d/a")));
    print_result("append", append(&at("d/a")));
    print_result("seek", seek(&at("d/a")));
    print_result("truncate", OpenOptions::new().write(true).open(at("d/a")).and_then(|f| f.set_len(2)));
    print_result("length", fs::metadata(at("d/a")).map(|m| m.len()));
    print_result("exclusive", OpenOptions::new().write(true).create_new(true).open(at("d/a")).map(drop));
    print_result("rename", fs::rename(at("d/a"), at("d/b")));
    print_result("gone", fs::read(at("d/a")).map(drop));
    print_result("hard link", fs::hard_link(at("d/b"), at("d/c")));
    print_result("symlink", symlink("b", &at("d/l")));
    print_result("through link", fs::read_to_string(at("d/l")));
    print_result("link is", fs::read_link(at("d/l")).map(|t| t.display().to_string()));
    print_result("list", list(&at("d")));
    print_result("rmdir full", fs::remove_dir(at("d")));
    print_result("sync", File::open(at("d/b")).and_then(|f| f.sync_all()));

    print_result("escape by ..", fs::read(at("../../../../../../etc/passwd")).map(drop));
    print_result("escape absolute", fs::read(&outside).map(drop));
    print_result("absolute link", symlink(&outside, &at("d/abs")));
    print_result("through absolute link", fs::read(at("d/abs")).map(drop));
    print_result("link with ..", symlink("../../../../../../etc/passwd", &at("d/up")));
    print_result("through link with ..", fs::read(at("d/up")).map(drop));
    print_result("write through link", fs::write(at("d/up"), "x"));

    print_result("remove all", fs::remove_dir_all(at("d")));
}

fn print_result<T: std::fmt::Debug>(what: &str, result: io::Result<T>) {
    match result {
        Ok(value) => println!("{what}: ok {value:?}"),
        Err(error) => println!("{what}: {:?}", error.kind()),
    }
}

fn append(path: &Path) -> io::Result<String> {
    OpenOptions::new().append(true).open(path)?.write_all(b", world")?;
    fs::read_to_string(path)
}

fn seek(path: &Path) -> io::Result<String> {
    let mut file = File::open(path)?;
    file.seek(SeekFrom::End(-5))?;
    let mut text = String::new();
    file.read_to_string(&mut text)?;
    Ok(text)
}

fn list(path: &Path) -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(path)? {
        let entry = entry?;
        let kind = entry.file_type()?;
        let mark = if kind.is_symlink() {
            "@"
        } else if kind.is_dir() {
            "/"
        } else {
            ""
        };
        names.push(entry.file_name().to_string_lossy().into_owned() + mark);
    }
    names.sort();
    Ok(names)
}

fn symlink(target: &str, link: &Path) -> io::Result<()> {
    let target = CString::new(target)?;
    let link = CString::new(link.to_string_lossy().as_bytes())?;
    // SAFETY: both strings are NUL-terminated and outlive the call.
    match unsafe { libc::symlink(target.as_ptr(), link.as_ptr()) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}
