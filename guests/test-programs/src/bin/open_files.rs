//! Guarantee: a guest that opens files without end is refused, and harms no other. `open_files PATH` opens the file until
//! it is refused, prints the number of open files and the error, closes them and tries once more. `open_files PATH forever`
//! never ends.

use std::fs::File;
use std::io;

/// Files that it opens at most.
const MAX_FILES: usize = 100_000;

fn open_all(path: &str) -> (usize, Option<io::Error>) {
    let mut files = Vec::new();
    while files.len() < MAX_FILES {
        match File::open(path) {
            Ok(file) => files.push(file),
            Err(error) => return (files.len(), Some(error)),
        }
    }
    (files.len(), None)
}

fn main() {
    let mut args = std::env::args().skip(1);
    let path = args.next().unwrap_or_else(|| "/".into());
    let (count, error) = open_all(&path);
    let code = error.and_then(|error| error.raw_os_error());
    println!("{count} files, then error {code:?}");
    let (again, _) = open_all(&path);
    println!("{}", if again == count { "as many again".into() } else { format!("then {again}") });
    while args.next().is_some_and(|word| word == "forever") {
        loop {
            open_all(&path);
        }
    }
}
