//! Walks syntax trees: programs, lists, and-or lists, pipelines. Owns subshells, command
//! substitution and the rules of `set -e`.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::Poll;
use std::time::{Duration, Instant};

use brush_parser::ast;

use crate::proc::{Reader, Writer, pipe, yield_now};

use super::expand::{Expansion, Failure};
use super::grammar::{self, Parsed};
use super::process::Interrupted;
use super::redirect::Stream;
use super::{Flow, Outcome, Shell, signal};

/// A running command; boxed, because commands contain commands.
pub type Running<'a> = Pin<Box<dyn Future<Output = Outcome> + 'a>>;

/// How long commands that never wait run before they yield to other tasks. Not after each command, since yielding costs
/// a poll of the host, which takes about a millisecond.
const YIELD_INTERVAL: Duration = Duration::from_millis(10);

/// Commands between two readings of the clock.
const CLOCK_CHECK_INTERVAL: u32 = 32;

/// Lets other tasks run while the shell runs commands that never wait.
#[derive(Clone)]
pub struct YieldTimer {
    /// Commands since the clock was last read.
    commands: u32,
    last_yield: Instant,
}

impl Default for YieldTimer {
    fn default() -> YieldTimer {
        YieldTimer { commands: 0, last_yield: Instant::now() }
    }
}

impl YieldTimer {
    /// Counts a command; yields if that is due.
    async fn count_command(&mut self) {
        self.commands += 1;
        if self.commands >= CLOCK_CHECK_INTERVAL {
            self.commands = 0;
            if self.last_yield.elapsed() >= YIELD_INTERVAL {
                yield_now().await;
                self.last_yield = Instant::now();
            }
        }
    }
}

/// The deepest nesting of commands, function calls and substitutions; the host's stack ends not far beyond.
const MAX_DEPTH: usize = 240;

impl Shell {
    pub async fn run_program(&mut self, program: &ast::Program) -> Outcome {
        for list in &program.complete_commands {
            self.run_list(list).await?;
        }
        Ok(self.status)
    }

    pub fn run_list<'a>(&'a mut self, list: &'a ast::CompoundList) -> Running<'a> {
        Box::pin(async move {
            for ast::CompoundListItem(and_or, separator) in &list.0 {
                match separator {
                    ast::SeparatorOperator::Async => self.start_in_background(and_or),
                    ast::SeparatorOperator::Sequence => {
                        self.and_or(and_or).await?;
                    }
                }
            }
            Ok(self.status)
        })
    }

    pub async fn and_or(&mut self, list: &ast::AndOrList) -> Outcome {
        let last = list.additional.len();
        for (i, (operator, pipeline)) in list.iter().enumerate() {
            let wanted = match operator {
                ast::PipelineOperator::And => i == 0 || self.status == 0,
                ast::PipelineOperator::Or => self.status != 0,
            };
            if !wanted {
                continue;
            }
            let tested = i < last || pipeline.bang;
            self.context.tested += usize::from(tested);
            let outcome = self.run_pipeline(pipeline).await;
            self.context.tested -= usize::from(tested);
            self.status = outcome?;
            if self.status != 0 && !tested && ends_on_error(pipeline) {
                self.check_errexit()?;
            }
        }
        Ok(self.status)
    }

    /// Exits after a failed command under `set -e`.
    pub fn check_errexit(&self) -> Result<(), Flow> {
        match self.options.errexit && self.context.tested == 0 && self.status != 0 {
            true => Err(Flow::Exit(self.status)),
            false => Ok(()),
        }
    }

    async fn run_pipeline(&mut self, pipeline: &ast::Pipeline) -> Outcome {
        let started = pipeline.timed.as_ref().map(|_| Instant::now());
        let status = match pipeline.seq.as_slice() {
            [] => 0,
            [command] => self.run_command(command).await?,
            stages => self.run_stages(stages).await?,
        };
        if let Some(started) = started {
            let posix = pipeline.timed.as_ref().is_some_and(|timed| timed.is_posix_output());
            let text = crate::applets::format_times(started.elapsed(), posix);
            let _ = self.descriptors.writer(2).write_all(text.as_bytes()).await;
        }
        Ok(match pipeline.bang {
            true => i32::from(status == 0),
            false => status,
        })
    }

    /// Runs the commands of a pipeline side by side, each in a subshell.
    async fn run_stages(&mut self, stages: &[ast::Command]) -> Outcome {
        let mut running = Vec::new();
        let mut input: Option<Reader> = None;
        for (i, command) in stages.iter().enumerate() {
            let mut shell = self.subshell();
            if let Some(reader) = input.take() {
                shell.descriptors.set(0, Stream::Reader(reader));
            }
            if i + 1 < stages.len() {
                let (reader, writer) = pipe();
                shell.descriptors.set(1, Stream::Writer(writer));
                input = Some(reader);
            }
            let stage: Pin<Box<dyn Future<Output = i32> + '_>> = Box::pin(async move {
                let outcome = shell.run_stage(command).await;
                shell.conclude(outcome).await
            });
            running.push((Some(stage), 0));
        }
        let all = poll_fn(|cx| {
            let mut pending = false;
            for (stage, status) in &mut running {
                if let Some(future) = stage {
                    match future.as_mut().poll(cx) {
                        // Dropped at once, so that its end of the pipe closes.
                        Poll::Ready(ended) => (*stage, *status) = (None, ended),
                        Poll::Pending => pending = true,
                    }
                }
            }
            if pending { Poll::Pending } else { Poll::Ready(()) }
        });
        let process = self.process.clone();
        if let Err(Interrupted(number)) = process.interruptible(all).await {
            drop(running);
            return self.handle_signal(number).await;
        }
        let statuses = running.iter().map(|(_, status)| *status);
        let last = statuses.clone().next_back().unwrap_or(0);
        Ok(match self.options.pipefail {
            true => statuses.rev().find(|status| *status != 0).unwrap_or(0),
            false => last,
        })
    }

    async fn run_stage(&mut self, command: &ast::Command) -> Outcome {
        self.status = self.run_command(command).await?;
        self.check_errexit()?;
        Ok(self.status)
    }

    /// Handles the signal that interrupted a foreground command.
    pub async fn handle_signal(&mut self, number: i32) -> Outcome {
        self.status = 128 + number;
        self.take_signals().await?;
        Ok(128 + number)
    }

    /// Runs a command of a pipeline.
    pub fn run_command<'a>(&'a mut self, command: &'a ast::Command) -> Running<'a> {
        Box::pin(async move {
            self.yield_timer.count_command().await;
            if self.context.nesting >= MAX_DEPTH {
                return Err(self.report_failure("commands are nested too deeply").await.0);
            }
            self.context.nesting += 1;
            let outcome = match command {
                ast::Command::Simple(command) => self.run_simple(command).await,
                ast::Command::Compound(command, redirects) => self.run_redirected(command, redirects.as_ref()).await,
                ast::Command::Function(function) => {
                    let name = function.fname.value.clone();
                    self.functions.insert(name, std::rc::Rc::new(function.body.clone()));
                    Ok(0)
                }
                ast::Command::ExtendedTest(command, redirects) => {
                    self.extended_test(&command.expr, redirects.as_ref()).await
                }
            };
            self.context.nesting -= 1;
            self.status = outcome?;
            let status = self.status;
            self.take_signals().await?;
            Ok(status)
        })
    }

    /// `command &`.
    fn start_in_background(&mut self, list: &ast::AndOrList) {
        let mut shell = self.subshell();
        // There is no job control that would keep a job from taking the keys.
        if !self.options.interactive || self.descriptors.is_terminal(0) {
            shell.descriptors.set(0, Stream::Reader(Reader::empty()));
        }
        shell.context.tested = 0;
        let process = shell.process.clone();
        self.jobs.add(process.clone());
        let list = list.clone();
        process.run(wstd::runtime::spawn(async move {
            // `( list ) &` is one process, not two, so that signals reach its traps.
            let outcome = match (list.first.seq.as_slice(), list.additional.as_slice()) {
                ([ast::Command::Compound(ast::CompoundCommand::Subshell(inner), redirects)], [])
                    if !list.first.bang =>
                {
                    let redirects = redirects.iter().flat_map(|list| list.0.iter());
                    match shell.redirect_all(redirects).await {
                        Ok(true) => shell.run_list(&inner.list).await,
                        Ok(false) => Ok(1),
                        Err(flow) => Err(flow),
                    }
                }
                _ => shell.and_or(&list).await,
            };
            shell.conclude(outcome).await;
        }));
        self.status = 0;
    }

    /// Ends an environment: runs the EXIT trap and returns the exit status.
    pub async fn conclude(&mut self, outcome: Outcome) -> i32 {
        self.status = status_of(outcome, self.status);
        if let Some(action) = self.traps.take_exit() {
            let status = self.status;
            self.context.tested = 0;
            self.context.status_before_trap = Some(status);
            if let Err(Flow::Exit(status)) = self.run_text(&action).await {
                self.status = status;
            } else {
                self.status = status;
            }
        }
        self.process.exit(self.status);
        self.status & 0xff
    }

    /// `( list )`.
    pub async fn run_subshell(&mut self, list: &ast::CompoundList) -> Outcome {
        let mut shell = self.subshell();
        let process = self.process.clone();
        let run = async {
            let outcome = shell.run_list(list).await;
            shell.conclude(outcome).await
        };
        match process.interruptible(run).await {
            Ok(status) => Ok(status),
            Err(Interrupted(number)) => self.handle_signal(number).await,
        }
    }

    /// Performs `$( text )`: returns the output without the newlines at its end.
    pub async fn substitute(&mut self, text: &str) -> Expansion<String> {
        let program = match grammar::parse(text, true, &self.aliases) {
            Parsed::Program(program) => program,
            Parsed::Incomplete(message) | Parsed::Error(message) => {
                return Err(self.report_failure(&["syntax error: ", &message].concat()).await);
            }
        };
        let mut shell = self.subshell();
        shell.context.nesting += 2;
        let (writer, captured) = Writer::capture();
        shell.descriptors.set(1, Stream::Writer(writer));
        let process = self.process.clone();
        let run = async {
            let outcome = shell.run_program(&program).await;
            shell.conclude(outcome).await
        };
        let status = match Box::pin(process.interruptible(run)).await {
            Ok(status) => status,
            Err(Interrupted(number)) => self.handle_signal(number).await.map_err(Failure)?,
        };
        self.context.substitution_status = Some(status);
        self.status = status;
        let bytes = captured.take();
        let text = String::from_utf8_lossy(&bytes);
        Ok(text.trim_end_matches('\n').chars().filter(|c| *c != '\0').collect())
    }
}

/// Whether `set -e` checks the status of this pipeline itself. Compound commands were checked inside, where the failure
/// may have been a tested one.
fn ends_on_error(pipeline: &ast::Pipeline) -> bool {
    match pipeline.seq.as_slice() {
        [ast::Command::Compound(command, _)] => {
            matches!(command, ast::CompoundCommand::Subshell(_) | ast::CompoundCommand::Arithmetic(_))
        }
        [ast::Command::Function(_)] => false,
        _ => true,
    }
}

fn status_of(outcome: Outcome, current: i32) -> i32 {
    match outcome {
        Ok(status) | Err(Flow::Exit(status) | Flow::Return(status)) => status,
        Err(Flow::Break(_) | Flow::Continue(_)) => 0,
        Err(Flow::Interrupt) => 128 + signal::INT,
        Err(Flow::Abandon) => current,
    }
}
