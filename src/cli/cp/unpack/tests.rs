//! Archives as containers may send them, hostile ones among them.

use std::fs;

use tar::{Builder, Header};

use super::*;

/// An entry: type, name, link target or content.
type Row<'a> = (EntryType, &'a str, &'a str);

/// Returns an archive of these entries, whose names are written as they are.
fn archive(rows: &[Row]) -> Vec<u8> {
    let mut builder = Builder::new(Vec::new());
    for (kind, name, text) in rows {
        let mut header = Header::new_gnu();
        header.set_entry_type(*kind);
        header.set_mode(0o755);
        // The crate's setters reject hostile names.
        header.as_gnu_mut().expect("a GNU header").name[..name.len()].copy_from_slice(name.as_bytes());
        let is_link = matches!(kind, EntryType::Symlink | EntryType::Link);
        let content = if is_link { "" } else { text };
        if is_link {
            header.as_gnu_mut().expect("a GNU header").linkname[..text.len()].copy_from_slice(text.as_bytes());
        }
        header.set_size(content.len() as u64);
        header.set_cksum();
        builder.append(&header, content.as_bytes()).expect("appended");
    }
    builder.into_inner().expect("an archive")
}

/// Unpacks `rows` to the directory `target` in a directory that contains a secret. Returns the number of refused
/// entries and the files of the whole directory, by path.
fn unpacked(rows: &[Row]) -> (usize, Vec<String>) {
    let directory = tempfile::tempdir().expect("a directory");
    fs::write(directory.path().join("secret"), "secret").expect("written");
    let refused = unpack(archive(rows).as_slice(), "in", &directory.path().join("target")).expect("unpacked");
    let mut files = Vec::new();
    list(directory.path(), "", &mut files);
    (refused, files)
}

fn list(directory: &Path, prefix: &str, files: &mut Vec<String>) {
    let mut entries: Vec<_> = fs::read_dir(directory).expect("listed").map(|entry| entry.expect("an entry")).collect();
    entries.sort_by_key(|entry| entry.file_name());
    for entry in entries {
        let name = format!("{prefix}{}", entry.file_name().display());
        let kind = entry.file_type().expect("a type");
        if kind.is_dir() {
            files.push(format!("{name}/"));
            list(&entry.path(), &format!("{name}/"), files);
        } else if kind.is_symlink() {
            files.push(format!("{name} -> {}", fs::read_link(entry.path()).expect("a link").display()));
        } else {
            files.push(format!("{name} = {}", fs::read_to_string(entry.path()).expect("read")));
        }
    }
}

/// Checks what unpacking creates beside the secret, and that it refuses so many entries.
#[track_caller]
fn check(rows: &[Row], refused: usize, expected: &[&str]) {
    let (own_refused, files) = unpacked(rows);
    let expected: Vec<&str> = ["secret = secret"].into_iter().chain(expected.iter().copied()).collect();
    assert_eq!((own_refused, files), (refused, expected.into_iter().map(String::from).collect()), "{rows:?}");
}

const FILE: EntryType = EntryType::Regular;
const DIRECTORY: EntryType = EntryType::Directory;
const SYMLINK: EntryType = EntryType::Symlink;
const LINK: EntryType = EntryType::Link;

#[test]
fn files_directories_and_links_are_created() {
    check(&[(FILE, "in", "text")], 0, &["target = text"]);
    check(
        &[
            (DIRECTORY, "in/", ""),
            (FILE, "./in/a b", "1"),
            (FILE, "in/sub/c", "2"),
            (SYMLINK, "in/sub/l", "../a b"),
            (LINK, "in/h", "in/sub/c"),
            (DIRECTORY, "in/empty", ""),
        ],
        0,
        &[
            "target/",
            "target/a b = 1",
            "target/empty/",
            "target/h = 2",
            "target/sub/",
            "target/sub/c = 2",
            "target/sub/l -> ../a b",
        ],
    );
}

#[test]
fn names_that_lead_out_are_refused() {
    for name in ["../secret", "/secret", "in/../../secret", "in/sub/../../secret", "other/file", ".."] {
        check(&[(DIRECTORY, "in", ""), (FILE, name, "hostile"), (DIRECTORY, name, "")], 2, &["target/"]);
    }
}

#[test]
fn links_that_lead_out_are_refused() {
    for target in ["../secret", "/etc/passwd", "x/../../secret", "..", "", "in/../.."] {
        check(&[(DIRECTORY, "in", ""), (SYMLINK, "in/l", target)], 1, &["target/"]);
    }
    for target in ["../secret", "/secret", "other", "in"] {
        check(&[(DIRECTORY, "in", ""), (LINK, "in/l", target)], 1, &["target/"]);
    }
    check(&[(SYMLINK, "in", "secret")], 1, &[]);
}

#[test]
fn links_are_not_followed() {
    // A link to the target's own directory, below which `..` would lead out.
    let rows = [(SYMLINK, "in/a/up", ".."), (SYMLINK, "in/a/up/l", "../secret")];
    let error = unpack_error(&rows);
    assert!(error.contains("cannot create \"in/a/up/l\""), "{error}");
    // A file replaces a link of its name instead of writing through it.
    check(
        &[(FILE, "in/f", "1"), (SYMLINK, "in/l", "f"), (FILE, "in/l", "2")],
        0,
        &["target/", "target/f = 1", "target/l = 2"],
    );
}

#[test]
fn existing_links_of_the_user_are_not_followed() {
    let directory = tempfile::tempdir().expect("a directory");
    let (target, elsewhere) = (directory.path().join("target"), directory.path().join("elsewhere"));
    fs::create_dir(&target).expect("created");
    fs::create_dir(&elsewhere).expect("created");
    std::os::unix::fs::symlink(&elsewhere, target.join("l")).expect("linked");
    unpack(archive(&[(FILE, "in/l/f", "1")]).as_slice(), "in", &target).expect_err("a link");
    assert_eq!(fs::read_dir(&elsewhere).expect("listed").count(), 0);
}

#[test]
fn devices_are_refused() {
    for kind in [EntryType::Char, EntryType::Block, EntryType::Fifo, EntryType::GNUSparse] {
        check(&[(kind, "in/x", "")], 1, &[]);
    }
}

#[test]
fn file_is_created_in_an_existing_directory() {
    let directory = tempfile::tempdir().expect("a directory");
    unpack(archive(&[(FILE, "in", "text")]).as_slice(), "in", directory.path()).expect("unpacked");
    assert_eq!(fs::read_to_string(directory.path().join("in")).expect("read"), "text");
}

fn unpack_error(rows: &[Row]) -> String {
    let directory = tempfile::tempdir().expect("a directory");
    let error = unpack(archive(rows).as_slice(), "in", &directory.path().join("target")).expect_err("an error");
    error.to_string()
}

#[test]
fn damaged_archives_are_errors() {
    let whole = archive(&[(FILE, "in", &"x".repeat(2000))]);
    let directory = tempfile::tempdir().expect("a directory");
    let target = directory.path().join("target");
    for bytes in [&whole[..1500], &whole[..100], &[b'x'; 2048]] {
        let error = unpack(bytes, "in", &target).expect_err("an error").to_string();
        assert!(error.starts_with("cannot read the container's archive: "), "{error}");
    }
    // A name of gigabytes is not read into memory.
    let mut header = Header::new_gnu();
    header.set_entry_type(EntryType::GNULongName);
    header.set_size(1 << 40);
    header.set_cksum();
    let endless = header.as_bytes().as_slice().chain(io::repeat(b'x'));
    let error = unpack(endless, "in", &target).expect_err("an error").to_string();
    assert!(error.contains("a name is too long"), "{error}");
}
