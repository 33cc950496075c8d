//! `wasmpod cp`: copies files between this machine and a container, by `tar` in the container as kubectl does.

mod location;
mod pack;
mod target_directory;
mod unpack;

use std::path::{Path, PathBuf};

use anyhow::Context;
use tokio_util::io::SyncIoBridge;

use super::args::CpArgs;
use super::client::{self, Client};
use super::exec::exec_path;
use super::exit::{Outcome, RequestFailed, bad_input};
use super::remote_command::{self, LocalStreams, PROTOCOL, SessionMode};
use super::target_pod::{active_pod, choose_container};
use crate::streams::channel::client::CommandEnd;
use location::{Location, RemotePath, split};

/// Bytes of an archive that are held between the connection and the files.
const BUFFER: usize = 256 * 1024;

/// Copies a file or directory.
pub fn main(mut args: CpArgs) -> anyhow::Result<Outcome> {
    let parse = |argument: &str| Location::parse(argument).map_err(|error| bad_input(error.to_string()));
    let locations = (parse(&args.source)?, parse(&args.destination)?);
    let remote = match &locations {
        (Location::Remote(remote), Location::Local(_)) | (Location::Local(_), Location::Remote(remote)) => remote,
        (Location::Remote(_), Location::Remote(_)) => {
            return Err(bad_input("one of src or dest must be a local file specification"));
        }
        (Location::Local(_), Location::Local(_)) => {
            return Err(bad_input("one of src or dest must be a remote file specification"));
        }
    };
    if remote.namespace.is_some() {
        args.connection.namespace = remote.namespace.clone();
    }
    client::block_on(async move {
        match locations {
            (Location::Local(source), Location::Remote(destination)) => {
                let base = std::fs::symlink_metadata(&source).map(|_| source.file_name().map(PathBuf::from));
                let base =
                    base.map_err(|_| bad_input(format!("{} doesn't exist in local filesystem", source.display())))?;
                Container::find(&args, &destination).await?.upload(source, base, &destination.path).await
            }
            (Location::Remote(source), Location::Local(destination)) => {
                Container::find(&args, &source).await?.download(&source.path, destination).await
            }
            // Rejected above.
            _ => Ok(Outcome::BadInput),
        }
    })
}

/// The container to copy from or to.
struct Container {
    client: Client,
    pod: String,
    name: String,
}

impl Container {
    async fn find(args: &CpArgs, remote: &RemotePath) -> anyhow::Result<Container> {
        let client = Client::new(&args.connection)?;
        let pod = active_pod(&client, &remote.pod, "exec into").await?;
        let name = choose_container(&pod, args.container.as_deref())?;
        Ok(Container { client, pod: remote.pod.clone(), name })
    }

    /// Runs a program in the container, with these streams.
    async fn exec(&self, command: &[&str], streams: LocalStreams<'_>) -> anyhow::Result<CommandEnd> {
        let command: Vec<String> = command.iter().map(ToString::to_string).collect();
        let mode = SessionMode { stdin: streams.stdin.is_some(), tty: false };
        let path = exec_path(&self.client, &self.pod, &self.name, &command, mode);
        let socket = self.client.websocket(&path, PROTOCOL.name()).await?;
        remote_command::run(socket, streams, None).await
    }

    /// Copies a local file or directory, whose last part is `base`, to `destination`, or into it if it is a directory.
    async fn upload(&self, source: PathBuf, base: Option<PathBuf>, destination: &str) -> anyhow::Result<Outcome> {
        let (mut no_output, mut no_errors) = (tokio::io::sink(), tokio::io::sink());
        let streams = LocalStreams { stdin: None, stdout: &mut no_output, stderr: &mut no_errors };
        let test = self.exec(&["test", "-d", destination], streams).await?;
        let target = match (test, base) {
            (CommandEnd::Success, Some(base)) => format!("{}/{}", destination.trim_end_matches('/'), base.display()),
            (CommandEnd::Success | CommandEnd::ExitCode(_), _) => destination.into(),
            (failure @ CommandEnd::Failed(_), _) => return remote_command::outcome(failure),
        };
        let (directory, name) = split(&target);
        let mut command = vec!["tar", "-xmf", "-"];
        if !directory.is_empty() {
            command.extend(["-C", directory]);
        }
        let (archive, mut stdin) = tokio::io::duplex(BUFFER);
        let name = PathBuf::from(name);
        let archive = SyncIoBridge::new(archive);
        let packing = tokio::task::spawn_blocking(move || pack::pack(&source, &name, archive));
        let mut stderr = tokio::io::stderr();
        let streams = LocalStreams { stdin: Some(&mut stdin), stdout: &mut no_output, stderr: &mut stderr };
        let end = self.exec(&command, streams).await;
        // Packing fails once nobody reads what it writes.
        drop(stdin);
        let packed = packing.await.context("cannot read the files")?;
        let is_unread = |error: &anyhow::Error| super::report::is_broken_pipe(error);
        match packed {
            Err(error) if !is_unread(&error) => Err(RequestFailed(super::report::error_chain(&error)).into()),
            _ => remote_command::outcome(end?),
        }
    }

    /// Copies a file or directory of the container to `target`.
    async fn download(&self, source: &str, target: PathBuf) -> anyhow::Result<Outcome> {
        let (directory, name) = split(source);
        let member = if name == "." { ".".to_string() } else { format!("./{name}") };
        let mut command = vec!["tar", "-cf", "-"];
        if !directory.is_empty() {
            command.extend(["-C", directory]);
        }
        command.push(&member);
        let (mut stdout, archive) = tokio::io::duplex(BUFFER);
        let archive = SyncIoBridge::new(archive);
        let name = name.to_string();
        let unpacking = tokio::task::spawn_blocking(move || unpack_all(archive, &name, &target));
        let mut stderr = tokio::io::stderr();
        let streams = LocalStreams { stdin: None, stdout: &mut stdout, stderr: &mut stderr };
        let end = self.exec(&command, streams).await;
        // The end of the archive.
        drop(stdout);
        let unpacked = unpacking.await.context("cannot write the files")?;
        match (unpacked, end) {
            // An archive is damaged because of the program that wrote it.
            (Err(error), Ok(CommandEnd::Success)) => Err(error),
            (Err(error), Err(lost)) if super::report::is_broken_pipe(&lost) => Err(error),
            (Ok(refused), Ok(CommandEnd::Success)) if refused > 0 => {
                let entries = if refused == 1 { "entry" } else { "entries" };
                Err(RequestFailed(format!("{refused} {entries} of the container's archive could not be copied")).into())
            }
            (_, end) => remote_command::outcome(end?),
        }
    }
}

/// Unpacks an archive. Its writer sees a closed pipe if that fails.
fn unpack_all(archive: impl std::io::Read, name: &str, target: &Path) -> anyhow::Result<usize> {
    unpack::unpack(archive, name, target).map_err(|error| match error.downcast::<RequestFailed>() {
        Ok(failed) => failed.into(),
        Err(error) => RequestFailed(super::report::error_chain(&error)).into(),
    })
}
