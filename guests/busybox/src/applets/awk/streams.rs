//! The files and commands that a program reads and writes besides its main input and output.

use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::io;

use wstd::runtime::Task;

use super::input::Records;
use super::syntax::Redirect;
use super::value::Bytes;
use crate::applets::Output;
use crate::proc::{Proc, Writer, pipe};

/// A command that runs beside awk.
struct Child(Task<i32>);

impl Child {
    fn start(p: &Proc, command: &[u8]) -> Child {
        Child(wstd::runtime::spawn(crate::run(shell_command(p, command))))
    }
}

/// Returns the process of `sh -c command`.
fn shell_command(p: &Proc, command: &[u8]) -> Proc {
    let text = String::from_utf8_lossy(command).into_owned();
    Proc { args: vec!["sh".into(), "-c".into(), text], ..p.clone() }
}

/// Runs a command and returns its exit code.
pub async fn run_command(p: &Proc, command: &[u8]) -> i32 {
    crate::run(shell_command(p, command)).await
}

struct OutputStream {
    output: Output,
    child: Option<Child>,
}

struct InputStream {
    records: Records,
    child: Option<Child>,
}

#[derive(Default)]
pub struct Streams {
    outputs: BTreeMap<Bytes, OutputStream>,
    inputs: BTreeMap<Bytes, InputStream>,
}

impl Streams {
    /// Returns the output, which it opens at the first use.
    ///
    /// # Errors
    /// The file cannot be opened.
    pub fn output(&mut self, p: &Proc, kind: Redirect, target: &Bytes) -> io::Result<&mut Output> {
        if !self.outputs.contains_key(target) {
            let stream = open_output(p, kind, target)?;
            self.outputs.insert(target.clone(), stream);
        }
        self.outputs.get_mut(target).map(|stream| &mut stream.output).ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    /// Returns the records of a file, which it opens at the first use.
    ///
    /// # Errors
    /// The file cannot be opened.
    pub fn file(&mut self, p: &Proc, name: &Bytes) -> io::Result<&mut Records> {
        if !self.inputs.contains_key(name) {
            let operand = match &**name {
                b"/dev/stdin" => "-".into(),
                name => String::from_utf8_lossy(name),
            };
            let records = Records::new(p.open(&operand)?);
            self.inputs.insert(name.clone(), InputStream { records, child: None });
        }
        self.inputs.get_mut(name).map(|stream| &mut stream.records).ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    /// Whether the command already runs.
    pub fn reads_command(&self, command: &Bytes) -> bool {
        self.inputs.contains_key(command)
    }

    /// Returns the records of a command's output, which it starts at the first use.
    ///
    /// # Errors
    /// None.
    pub fn command(&mut self, p: &Proc, command: &Bytes) -> &mut Records {
        let stream = self.inputs.entry(command.clone()).or_insert_with(|| {
            let (reader, writer) = pipe();
            let child = Child::start(&Proc { stdout: writer, ..p.clone() }, command);
            InputStream { records: Records::new(reader), child: Some(child) }
        });
        &mut stream.records
    }

    /// Writes what is buffered for one stream or for all; returns whether the stream exists.
    pub async fn flush(&mut self, target: Option<&Bytes>) -> bool {
        let mut found = target.is_none();
        for (name, stream) in &mut self.outputs {
            if target.is_none_or(|target| target == name) {
                // The reader of a pipe may be gone.
                let _ = stream.output.flush().await;
                found = true;
            }
        }
        found
    }

    /// Closes the streams of this name; returns the exit code of its command, or -1 if there is no such stream.
    pub async fn close(&mut self, name: &Bytes) -> i32 {
        let mut status = -1;
        if let Some(InputStream { records, child }) = self.inputs.remove(name) {
            drop(records);
            status = wait(child).await;
        }
        if let Some(OutputStream { mut output, child }) = self.outputs.remove(name) {
            let written = output.flush().await;
            drop(output);
            status = match child {
                None => -i32::from(written.is_err()),
                child => wait(child).await,
            };
        }
        status
    }

    /// Closes all streams and waits for their commands.
    pub async fn close_all(&mut self) {
        let names: Vec<Bytes> = self.inputs.keys().chain(self.outputs.keys()).cloned().collect();
        for name in names {
            self.close(&name).await;
        }
    }
}

async fn wait(child: Option<Child>) -> i32 {
    match child {
        Some(Child(task)) => task.await,
        None => 0,
    }
}

fn open_output(p: &Proc, kind: Redirect, target: &[u8]) -> io::Result<OutputStream> {
    let file = |writer: Writer| OutputStream { output: Output::from_writer(writer), child: None };
    if kind == Redirect::Pipe {
        let (reader, writer) = pipe();
        let child = Child::start(&Proc { stdin: reader, ..p.clone() }, target);
        return Ok(OutputStream { child: Some(child), ..file(writer) });
    }
    match target {
        b"/dev/stderr" => return Ok(file(p.stderr.clone())),
        b"/dev/null" => return Ok(file(Writer::null())),
        _ => {}
    }
    let mut options = OpenOptions::new();
    options.create(true).write(true);
    match kind {
        Redirect::Append => options.append(true),
        Redirect::Write | Redirect::Pipe => options.truncate(true),
    };
    let opened = options.open(p.path(&String::from_utf8_lossy(target)))?;
    Ok(file(Writer::from_file(opened)))
}
