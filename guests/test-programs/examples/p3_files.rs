//! Guarantee: files over WASI 0.3 behave as over others: what changes the read-only mount /v fails with `ReadOnly`, and
//! opening files without end is refused. Prints one line per step.

use wasip3::cli::stdout;
use wasip3::filesystem::preopens::get_directories;
use wasip3::filesystem::types::{Descriptor, DescriptorFlags, ErrorCode, NewTimestamp, OpenFlags, PathFlags};

wasip3::cli::command::export!(Files);

struct Files;

/// Files that it opens at most.
const MAX_FILES: usize = 100_000;

impl wasip3::exports::cli::run::Guest for Files {
    async fn run() -> Result<(), ()> {
        let directories = get_directories();
        let find = |path: &str| directories.iter().find(|(_, at)| at == path).map(|(directory, _)| directory);
        let (Some(root), Some(mount)) = (find("/"), find("/v")) else { return Err(()) };
        let text = change(root, mount).await + &open_all(mount).await;
        let (mut writer, reader) = wasip3::wit_stream::new();
        let written = stdout::write_via_stream(reader);
        writer.write_all(text.into_bytes()).await;
        drop(writer);
        written.await.map_err(|_| ())
    }
}

async fn open(
    directory: &Descriptor,
    path: &str,
    open: OpenFlags,
    flags: DescriptorFlags,
) -> Result<Descriptor, ErrorCode> {
    directory.open_at(PathFlags::empty(), path.into(), open, flags).await
}

async fn change(root: &Descriptor, mount: &Descriptor) -> String {
    let (read, write) = (DescriptorFlags::READ, DescriptorFlags::WRITE);
    let file = open(mount, "f", OpenFlags::empty(), read).await;
    let times = match &file {
        Ok(file) => file.set_times(NewTimestamp::NoChange, NewTimestamp::Now).await,
        Err(_) => Ok(()),
    };
    let results = [
        ("read", file.map(drop)),
        ("create elsewhere", open(root, "tmp/mine", OpenFlags::CREATE, write).await.map(drop)),
        ("create", open(mount, "new", OpenFlags::CREATE, write).await.map(drop)),
        ("write", open(mount, "f", OpenFlags::empty(), write).await.map(drop)),
        ("mkdir", mount.create_directory_at("n".into()).await),
        ("rmdir", mount.remove_directory_at("d".into()).await),
        ("unlink", mount.unlink_file_at("f".into()).await),
        ("rename", mount.rename_at("f".into(), mount, "g".into()).await),
        ("rename into", root.rename_at("tmp/mine".into(), mount, "mine".into()).await),
        ("link", mount.link_at(PathFlags::empty(), "f".into(), mount, "l".into()).await),
        ("symlink", mount.symlink_at("f".into(), "s".into()).await),
        ("set times", times),
    ];
    results.map(|(step, result)| format!("{step}: {result:?}\n")).concat()
}

async fn open_all(mount: &Descriptor) -> String {
    let mut files = Vec::new();
    while files.len() < MAX_FILES {
        match open(mount, "f", OpenFlags::empty(), DescriptorFlags::READ).await {
            Ok(file) => files.push(file),
            Err(error) => return format!("{} files, then {error:?}\n", files.len()),
        }
    }
    "never refused\n".into()
}
