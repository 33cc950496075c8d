//! awk: POSIX awk, with the extensions that busybox has.
//!
//! `lexer` and `parser` turn a program into a tree (`syntax`), `arrays` and `compiler` turn the tree into operations
//! (`program`), and `machine` runs them without touching anything outside. This module reads the command line and
//! performs the machine's requests with `input` and `streams`.

mod array;
mod arrays;
mod compiler;
mod error;
mod format;
mod input;
mod lexer;
mod machine;
mod parser;
mod program;
mod record;
mod regex;
mod streams;
mod syntax;
mod value;

use std::rc::Rc;
use std::time::SystemTime;

use error::Error;
use input::{ReadError, Records};
use machine::{Machine, Reply, Request, Section};
use program::{Input, Program};
use regex::Regexes;
use streams::{Streams, run_command};
use syntax::Redirect;
use value::Bytes;

use super::date::unix_seconds;
use super::stream::open;
use super::{EarlyExit, Options, Outcome, fail, usage};
use crate::proc::{Proc, strerror, yield_now};

/// How a section ends.
#[derive(PartialEq)]
enum SectionEnd {
    Done,
    NextFile,
    Exit,
}

pub async fn awk(p: Proc) -> Outcome {
    let o = Options::parse(&p, "+F:v:f:e:").await?;
    let mut operands = o.operands.as_slice();
    let mut sources = Sources::default();
    for file in o.all('f') {
        let Some(reader) = open(&p, file).await else { return Err(EarlyExit::Code(1)) };
        sources.add(file, reader.read_to_end().await?);
    }
    for text in o.all('e') {
        sources.add(COMMAND_LINE, text.as_bytes().to_vec());
    }
    if sources.texts.is_empty() {
        let Some((text, rest)) = operands.split_first() else { return usage(&p).await };
        sources.add(COMMAND_LINE, text.as_bytes().to_vec());
        operands = rest;
    }
    let compiled = parser::parse(&sources.texts).and_then(|tree| compiler::compile(&tree));
    let program = match compiled {
        Ok(program) => Rc::new(program),
        Err(error) => return fail(&p, 1, &sources.describe(&error)).await,
    };
    let environment = p.env.clone().into_iter();
    let mut machine = Machine::new(program.clone(), environment);
    let mut arguments = vec![p.name().as_bytes().to_vec()];
    arguments.extend(operands.iter().map(|operand| operand.as_bytes().to_vec()));
    let arguments_count = arguments.len();
    machine.set_argv(&arguments);
    let separator = o.all('F').map(|separator| format!("FS={separator}"));
    for text in separator.chain(o.all('v').map(str::to_string)) {
        match assignment(text.as_bytes()) {
            Some((name, value)) => {
                if let Err(problem) = machine.assign(&name, &value) {
                    return fail(&p, 1, &problem.to_string()).await;
                }
            }
            None => return usage(&p).await,
        }
    }
    let main = MainInput { arguments: arguments_count, next: 1, has_file: false, records: None };
    let performer =
        Performer { p: &p, sources, machine, program, streams: Streams::default(), regexes: Regexes::default(), main };
    performer.run().await
}

/// The name of a program that is an argument.
const COMMAND_LINE: &str = "cmd. line";

#[derive(Default)]
struct Sources {
    names: Vec<String>,
    texts: Vec<Vec<u8>>,
}

impl Sources {
    fn add(&mut self, name: &str, text: Vec<u8>) {
        self.names.push(name.to_string());
        self.texts.push(text);
    }

    fn describe(&self, error: &Error) -> String {
        let name = self.names.get(error.at.source).map_or(COMMAND_LINE, String::as_str);
        format!("{name}:{}: {}", error.at.line, error.problem)
    }
}

/// Parses `name=value`, and the escapes in the value.
fn assignment(text: &[u8]) -> Option<(String, Vec<u8>)> {
    let equals = text.iter().position(|b| *b == b'=')?;
    let (name, value) = (text.get(..equals)?, text.get(equals + 1..)?);
    let starts = name.first().is_some_and(|b| b.is_ascii_alphabetic() || *b == b'_');
    if !starts || !name.iter().all(|b| b.is_ascii_alphanumeric() || *b == b'_') {
        return None;
    }
    let mut out = Vec::new();
    let mut rest = value;
    while let Some((byte, behind)) = rest.split_first() {
        rest = behind;
        match (byte, lexer::parse_escape(behind)) {
            (b'\\', (Some(byte), used)) => {
                out.push(byte);
                rest = behind.get(used..).unwrap_or_default();
            }
            _ => out.push(*byte),
        }
    }
    Some((String::from_utf8_lossy(name).into_owned(), out))
}

/// The files of the command line.
struct MainInput {
    /// Number of arguments, unless the program sets ARGC.
    arguments: usize,
    /// The next argument.
    next: usize,
    /// Whether an argument was a file; else standard input is read.
    has_file: bool,
    records: Option<Records>,
}

struct Performer<'a> {
    p: &'a Proc,
    sources: Sources,
    machine: Machine,
    program: Rc<Program>,
    streams: Streams,
    /// Compiled values of RS.
    regexes: Regexes,
    main: MainInput,
}

impl Performer<'_> {
    async fn run(mut self) -> Outcome {
        let outcome = self.run_sections().await;
        let flushed = self.flush_output().await;
        self.streams.close_all().await;
        outcome?;
        flushed?;
        Ok(self.machine.exit_code)
    }

    async fn run_sections(&mut self) -> Result<(), EarlyExit> {
        if self.run_section(Section::Begin).await? != SectionEnd::Exit {
            self.run_main().await?;
        }
        if self.program.reads_input {
            self.run_section(Section::End).await?;
        }
        Ok(())
    }

    async fn run_main(&mut self) -> Result<(), EarlyExit> {
        if !self.program.reads_input {
            return Ok(());
        }
        while let Some(record) = self.next_main_record().await? {
            self.machine.set_main_record(record);
            match self.run_section(Section::Main).await? {
                SectionEnd::Done => {}
                SectionEnd::NextFile => self.main.records = None,
                SectionEnd::Exit => break,
            }
        }
        Ok(())
    }

    async fn run_section(&mut self, section: Section) -> Result<SectionEnd, EarlyExit> {
        self.machine.enter(section);
        let mut reply = Reply::None;
        loop {
            let request = match self.machine.run(reply) {
                Ok(request) => request,
                Err(error) => return self.fail(&self.sources.describe(&error)).await,
            };
            reply = Reply::None;
            match request {
                Request::Yield => {
                    self.flush_output().await?;
                    yield_now().await;
                }
                Request::Read(from, source) => reply = self.read(from, &source).await?,
                Request::Write { kind, target, bytes } => self.write(kind, &target, &bytes).await?,
                Request::System(command) => {
                    self.flush_all().await?;
                    reply = Reply::Number(f64::from(run_command(self.p, &command).await));
                }
                Request::Close(name) => {
                    self.flush_output().await?;
                    reply = Reply::Number(f64::from(self.streams.close(&name).await));
                }
                Request::Flush(target) => {
                    self.flush_output().await?;
                    let found = self.streams.flush(target.as_ref().filter(|name| !name.is_empty())).await;
                    reply = Reply::Number(if found { 0.0 } else { -1.0 });
                }
                Request::Time => reply = Reply::Number(unix_seconds(SystemTime::now()) as f64),
                Request::SectionEnd => return Ok(SectionEnd::Done),
                Request::NextFile => return Ok(SectionEnd::NextFile),
                Request::Exit => return Ok(SectionEnd::Exit),
            }
        }
    }

    async fn fail<T>(&self, why: &str) -> Result<T, EarlyExit> {
        fail(self.p, 1, why).await
    }

    async fn flush_output(&mut self) -> Result<(), EarlyExit> {
        if !self.machine.output.is_empty() {
            let bytes = std::mem::take(&mut self.machine.output);
            self.p.stdout.write_all(&bytes).await?;
        }
        Ok(())
    }

    async fn flush_all(&mut self) -> Result<(), EarlyExit> {
        self.flush_output().await?;
        self.streams.flush(None).await;
        Ok(())
    }

    async fn write(&mut self, kind: Redirect, target: &Bytes, bytes: &[u8]) -> Result<(), EarlyExit> {
        if kind != Redirect::Pipe && matches!(&**target, b"/dev/stdout" | b"-") {
            self.machine.output.extend_from_slice(bytes);
            return Ok(());
        }
        if kind == Redirect::Pipe {
            // The command may write to the same place.
            self.flush_output().await?;
        }
        let output = match self.streams.output(self.p, kind, target) {
            Ok(output) => output,
            Err(error) => {
                let name = String::from_utf8_lossy(target);
                return self.fail(&format!("can't open '{name}': {}", strerror(&error))).await;
            }
        };
        // A command that no longer reads ends silently.
        let _ = output.put(bytes).await;
        if **target == *b"/dev/stderr" {
            let _ = output.flush().await;
        }
        Ok(())
    }

    async fn read(&mut self, from: Input, source: &Bytes) -> Result<Reply, EarlyExit> {
        if from == Input::Main {
            return Ok(Reply::Record(self.next_main_record().await?));
        }
        let starts = from == Input::Command && !self.streams.reads_command(source);
        if starts {
            self.flush_all().await?;
        }
        let records = match from {
            Input::Command => self.streams.command(self.p, source),
            Input::File | Input::Main => match self.streams.file(self.p, source) {
                Ok(records) => records,
                Err(_) => return Ok(Reply::Unreadable),
            },
        };
        let rs = self.machine.record_separator();
        match records.next(&rs, &mut self.regexes, &mut self.machine.output, &self.p.stdout).await {
            Ok(record) => Ok(Reply::Record(record)),
            Err(ReadError::Read(_)) => Ok(Reply::Unreadable),
            Err(ReadError::Write(error)) => Err(EarlyExit::Write(error)),
            Err(ReadError::Separator(problem)) => self.fail(&problem.to_string()).await,
        }
    }

    /// Returns the next record of the main input.
    async fn next_main_record(&mut self) -> Result<Option<Vec<u8>>, EarlyExit> {
        loop {
            if self.main.records.is_none() && !self.open_next_file().await? {
                return Ok(None);
            }
            let Some(records) = &mut self.main.records else { return Ok(None) };
            let rs = self.machine.record_separator();
            match records.next(&rs, &mut self.regexes, &mut self.machine.output, &self.p.stdout).await {
                Ok(Some(record)) => return Ok(Some(record)),
                Ok(None) => self.main.records = None,
                Err(ReadError::Write(error)) => return Err(EarlyExit::Write(error)),
                Err(ReadError::Read(error)) => return self.fail(&format!("read error: {}", strerror(&error))).await,
                Err(ReadError::Separator(problem)) => return self.fail(&problem.to_string()).await,
            }
        }
    }

    /// Opens the next file of the command line and performs the assignments before it; false if there is none.
    async fn open_next_file(&mut self) -> Result<bool, EarlyExit> {
        while self.main.next < self.machine.argc().unwrap_or(self.main.arguments) {
            let argument = self.machine.argv(self.main.next);
            self.main.next += 1;
            let Some(argument) = argument.filter(|argument| !argument.is_empty()) else { continue };
            if let Some((name, value)) = assignment(&argument) {
                if let Err(problem) = self.machine.assign(&name, &value) {
                    return self.fail(&problem.to_string()).await;
                }
                continue;
            }
            self.main.has_file = true;
            let name = String::from_utf8_lossy(&argument);
            let operand = if name == "/dev/stdin" { "-" } else { &*name };
            let reader = match self.p.open(operand) {
                Ok(reader) => reader,
                Err(error) => return self.fail(&format!("{name}: {}", strerror(&error))).await,
            };
            self.main.records = Some(Records::new(reader));
            self.machine.set_file_name(&argument);
            return Ok(true);
        }
        if self.main.has_file {
            return Ok(false);
        }
        self.main.has_file = true;
        self.main.records = Some(Records::new(self.p.stdin.clone()));
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn assignments_expand_escapes() {
        let parse = |text: &str| assignment(text.as_bytes());
        assert_eq!(parse("a=b=c"), Some(("a".into(), b"b=c".to_vec())));
        assert_eq!(parse("FS=\\t"), Some(("FS".into(), b"\t".to_vec())));
        assert_eq!(parse("x="), Some(("x".into(), vec![])));
        assert_eq!(parse("./a=b"), None);
        assert_eq!(parse("1a=b"), None);
        assert_eq!(parse("file"), None);
    }
}
