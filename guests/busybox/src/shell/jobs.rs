//! Background jobs and their builtins: `wait`, `kill`, `jobs`.

use std::rc::Rc;

use super::process::{Interrupted, Process};
use super::signal;
use super::{Outcome, Shell};

/// The jobs that an environment has started, in order.
#[derive(Clone, Default)]
pub struct Jobs {
    started: Vec<Rc<Process>>,
    last: Option<u32>,
}

impl Jobs {
    pub fn add(&mut self, process: Rc<Process>) {
        // Finished jobs that were reported would accumulate in a long-running script.
        if self.started.len() > 256 {
            self.started.retain(|job| job.status().is_none());
        }
        self.last = Some(process.pid);
        self.started.push(process);
    }

    /// Returns the jobs of a subshell: none, but it still knows `$!`.
    pub fn forget(&mut self) {
        self.started.clear();
    }

    /// `$!`.
    pub fn last(&self) -> Option<u32> {
        self.last
    }

    /// Finds a job by process number or `%n`; `%%` and `%+` are the last one.
    fn find(&self, name: &str) -> Option<Rc<Process>> {
        match name.strip_prefix('%') {
            Some("" | "%" | "+") => self.started.last().cloned(),
            Some("-") => self.started.iter().rev().nth(1).cloned(),
            Some(number) => {
                let number: usize = number.parse().ok()?;
                self.started.get(number.checked_sub(1)?).cloned()
            }
            None => {
                let pid: u32 = name.parse().ok()?;
                self.started.iter().find(|job| job.pid == pid).cloned()
            }
        }
    }
}

impl Shell {
    /// `wait [-n] [job...]`; a signal ends it with 128+n.
    pub async fn builtin_wait(&mut self, args: &[String]) -> Outcome {
        let process = self.process.clone();
        let mut status = 0;
        let any = args.first().is_some_and(|arg| arg == "-n");
        let names = args.get(usize::from(any)..).unwrap_or_default();
        if names.is_empty() {
            let jobs = self.jobs.started.clone();
            let ended = match any {
                true => process.interruptible(first_exit(&jobs)).await,
                false => process.interruptible(all_exits(&jobs)).await,
            };
            return match ended {
                Ok((ended, status)) => {
                    self.jobs.started.retain(|job| !ended.contains(&job.pid));
                    Ok(if any { status } else { 0 })
                }
                Err(Interrupted(number)) => Ok(128 + number),
            };
        }
        for name in names {
            let Some(job) = self.jobs.find(name) else {
                if name.parse::<u32>().is_err() {
                    self.print_error(&format!("wait: {name}: no such job")).await;
                }
                status = 127;
                continue;
            };
            status = match process.interruptible(job.exited()).await {
                Ok(status) => status,
                Err(Interrupted(number)) => return Ok(128 + number),
            };
        }
        Ok(status)
    }

    /// `kill [-s SIGNAL | -SIGNAL] pid...`, `kill -l`.
    pub async fn builtin_kill(&mut self, args: &[String]) -> Outcome {
        let mut number = signal::TERM;
        let mut rest = args;
        if let Some(option) = args.first().and_then(|arg| arg.strip_prefix('-')) {
            rest = args.get(1..).unwrap_or_default();
            let named = match option {
                "l" | "L" => return self.list_signals(rest).await,
                "-" => Some(number),
                "s" | "n" => {
                    let name = rest.first().cloned().unwrap_or_default();
                    rest = rest.get(1..).unwrap_or_default();
                    signal::number(&name)
                }
                name => signal::number(name),
            };
            match named {
                Some(named) => number = named,
                None => {
                    self.print_error(&format!("kill: bad signal name '{option}'")).await;
                    return Ok(1);
                }
            }
        }
        if rest.first().is_some_and(|arg| arg == "--") {
            rest = rest.get(1..).unwrap_or_default();
        }
        if rest.is_empty() {
            self.print_error("kill: you need to specify whom to kill").await;
            return Ok(1);
        }
        let mut status = 0;
        for name in rest {
            let target = match name.parse::<u32>() {
                Ok(0) => Process::find(self.pid),
                Ok(pid) => Process::find(pid),
                Err(_) => self.jobs.find(name),
            };
            match target.filter(|target| target.status().is_none()) {
                Some(_) if number == 0 => {}
                Some(target) => target.signal(number),
                None => {
                    // Not of this instance.
                    let sent = match name.parse() {
                        Ok(id) => crate::applets::send_signal(id, number),
                        Err(_) => Err("No such process"),
                    };
                    if let Err(why) = sent {
                        self.print_error(&format!("kill: can't kill pid {name}: {why}")).await;
                        status = 1;
                    }
                }
            }
        }
        Ok(status)
    }

    async fn list_signals(&self, args: &[String]) -> Outcome {
        let mut out = String::new();
        for arg in args {
            match arg.parse::<i32>() {
                Ok(number) => out.push_str(signal::name(number & 127)),
                Err(_) => out.push_str(&signal::number(arg).unwrap_or(0).to_string()),
            }
            out.push('\n');
        }
        if args.is_empty() {
            for (number, name) in signal::all() {
                out.push_str(&format!("{number:2}) {name}\n"));
            }
        }
        self.print(&out).await?;
        Ok(0)
    }

    pub async fn builtin_jobs(&mut self, args: &[String]) -> Outcome {
        let only_numbers = args.first().is_some_and(|arg| arg == "-p");
        let mut out = String::new();
        for (i, job) in self.jobs.started.iter().enumerate() {
            let state = match job.status() {
                None => "Running",
                Some(_) => "Done",
            };
            out.push_str(&match only_numbers {
                true => format!("{}\n", job.pid),
                false => format!("[{}]  {} {state}\n", i + 1, job.pid),
            });
        }
        self.jobs.started.retain(|job| job.status().is_none());
        self.print(&out).await?;
        Ok(0)
    }
}

async fn all_exits(jobs: &[Rc<Process>]) -> (Vec<u32>, i32) {
    let mut status = 0;
    for job in jobs {
        status = job.exited().await;
    }
    (jobs.iter().map(|job| job.pid).collect(), status)
}

async fn first_exit(jobs: &[Rc<Process>]) -> (Vec<u32>, i32) {
    if jobs.is_empty() {
        return (Vec::new(), 127);
    }
    let mut exits: Vec<_> = jobs.iter().map(|job| (job.pid, Box::pin(job.exited()))).collect();
    std::future::poll_fn(|cx| {
        for (pid, exit) in &mut exits {
            if let std::task::Poll::Ready(status) = exit.as_mut().poll(cx) {
                return std::task::Poll::Ready((vec![*pid], status));
            }
        }
        std::task::Poll::Pending
    })
    .await
}
