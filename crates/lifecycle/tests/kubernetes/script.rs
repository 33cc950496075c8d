//! The behaviour of containers in a simulation.

use wasmpod_lifecycle::{ProbeKind, ProbeResult, WaitingReason};

/// The behaviour of a container. By default it starts at once, keeps running, and exits with 0 when terminated.
#[derive(Clone)]
pub struct Script {
    /// The seconds that a start takes.
    pub start_takes: f64,
    /// The failures of the first starts.
    pub start_failures: Vec<WaitingReason>,
    /// Whether starts never finish.
    pub start_hangs: bool,
    /// The runs of the attempts in turn; the last one is repeated.
    pub runs: Vec<Run>,
    /// The seconds between SIGTERM and the exit, and the exit code; `None` ignores SIGTERM.
    pub stop: Option<(f64, i32)>,
    pub post_start: Hook,
    pub pre_stop: Hook,
    /// The result of a probe so many seconds after the attempt began.
    pub probes: fn(ProbeKind, f64) -> ProbeResult,
}

/// A run of an attempt, if it is not terminated.
#[derive(Clone)]
pub struct Run {
    /// The seconds until the exit; `None` never exits.
    pub after: Option<f64>,
    pub code: i32,
    pub reason: &'static str,
    pub message: Option<&'static str>,
}

/// How many seconds a hook takes, and its error.
#[derive(Clone, Copy, Default)]
pub struct Hook {
    pub takes: f64,
    pub fails: Option<&'static str>,
}

impl Default for Script {
    fn default() -> Script {
        Script {
            start_takes: 0.0,
            start_failures: Vec::new(),
            start_hangs: false,
            runs: vec![Run { after: None, ..exit(0.0, 0) }],
            stop: Some((0.0, 0)),
            post_start: Hook::default(),
            pre_stop: Hook::default(),
            probes: |_, _| ProbeResult::Success,
        }
    }
}

fn exit(after: f64, code: i32) -> Run {
    let reason = if code == 0 { "Completed" } else { "Error" };
    Run { after: Some(after), code, reason, message: None }
}

impl Script {
    /// Returns a script that runs until it is terminated.
    pub fn runs_forever() -> Script {
        Script::default()
    }

    /// Returns a script whose attempts each exit `after` so many seconds with `code`.
    pub fn exits(after: f64, code: i32) -> Script {
        Script::runs_forever().exits_in_turn(&[(after, code)])
    }

    /// Has the attempts exit after so many seconds with a code, in turn; the last is repeated.
    pub fn exits_in_turn(self, runs: &[(f64, i32)]) -> Script {
        Script { runs: runs.iter().map(|(after, code)| exit(*after, *code)).collect(), ..self }
    }

    /// Sets the reason and message of all exits.
    pub fn with_reason(mut self, reason: &'static str, message: Option<&'static str>) -> Script {
        self.runs.iter_mut().for_each(|run| (run.reason, run.message) = (reason, message));
        self
    }

    pub fn starts_after(self, seconds: f64) -> Script {
        Script { start_takes: seconds, ..self }
    }

    /// Has the first `times` starts fail.
    pub fn fails_to_start(self, times: usize, reason: &str, message: &str) -> Script {
        let failure = WaitingReason { reason: reason.into(), message: message.into() };
        Script { start_failures: vec![failure; times], ..self }
    }

    /// Has starts never finish.
    pub fn start_hangs(self) -> Script {
        Script { start_hangs: true, ..self }
    }

    /// Has terminated attempts exit after so many seconds with `code`.
    pub fn stops_after(self, after: f64, code: i32) -> Script {
        Script { stop: Some((after, code)), ..self }
    }

    /// Has attempts ignore SIGTERM.
    pub fn ignores_sigterm(self) -> Script {
        Script { stop: None, ..self }
    }

    pub fn post_start(self, takes: f64, fails: Option<&'static str>) -> Script {
        Script { post_start: Hook { takes, fails }, ..self }
    }

    pub fn pre_stop(self, takes: f64, fails: Option<&'static str>) -> Script {
        Script { pre_stop: Hook { takes, fails }, ..self }
    }

    pub fn probes(self, probes: fn(ProbeKind, f64) -> ProbeResult) -> Script {
        Script { probes, ..self }
    }
}

/// Returns the result of a probe that fails with the output `no`.
pub fn probe_failure() -> ProbeResult {
    ProbeResult::Failure("no".into())
}
