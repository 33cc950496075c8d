//! Guarantee: what changes a read-only mount fails with "Read-only file system", and reading works. `read_only DIR OTHER`
//! expects a file `f` and a directory `d` in DIR, and OTHER to be writable. Prints one line per step.

use std::fs::{self, File, FileTimes, OpenOptions};
use std::io;
use std::path::Path;
use std::time::SystemTime;

/// `EROFS` of WASI.
const READ_ONLY: i32 = 69;

fn print(step: &str, result: io::Result<()>) {
    match result.map_err(|error| error.raw_os_error()) {
        Ok(()) => println!("{step}: ok"),
        Err(Some(READ_ONLY)) => println!("{step}: read-only"),
        Err(other) => println!("{step}: {other:?}"),
    }
}

fn main() {
    let mut args = std::env::args().skip(1);
    let dir = args.next().unwrap_or_else(|| "/v".into());
    let other = args.next().unwrap_or_else(|| "/tmp".into());
    let (dir, other) = (Path::new(&dir), Path::new(&other));
    let (file, mine) = (dir.join("f"), other.join("mine"));
    print("read", fs::read(&file).map(drop));
    print("list", fs::read_dir(dir).map(drop));
    print("write elsewhere", fs::write(&mine, "mine"));
    print("create", File::create(dir.join("new")).map(drop));
    print("write", OpenOptions::new().write(true).open(&file).map(drop));
    print("append", OpenOptions::new().append(true).open(&file).map(drop));
    print("truncate", OpenOptions::new().write(true).truncate(true).open(&file).map(drop));
    print("mkdir", fs::create_dir(dir.join("n")));
    print("rmdir", fs::remove_dir(dir.join("d")));
    print("unlink", fs::remove_file(&file));
    print("rename", fs::rename(&file, dir.join("g")));
    print("rename into", fs::rename(&mine, dir.join("mine")));
    print("rename out of", fs::rename(&file, other.join("f")));
    print("link", fs::hard_link(&file, dir.join("l")));
    let times = FileTimes::new().set_modified(SystemTime::UNIX_EPOCH);
    print("set times", File::open(&file).and_then(|file| file.set_times(times)));
    print("below it", fs::write(dir.join("d/new"), "x"));
    print("unlink elsewhere", fs::remove_file(&mine));
}
