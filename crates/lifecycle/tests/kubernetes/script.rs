//! How containers behave in a play.

use wasmpod_lifecycle::{ProbeKind, ProbeResult, WaitingReason};

/// How a container behaves; by default it starts at once, runs on, and ends with 0 when it is asked to.
#[derive(Clone)]
pub struct Script {
    /// Seconds that a start takes.
    pub start: f64,
    /// So the first starts fail.
    pub troubles: Vec<WaitingReason>,
    /// Whether a start never comes to an end.
    pub hangs: bool,
    /// How attempts end by themselves, one after the other; the last is repeated.
    pub runs: Vec<Run>,
    /// After how many seconds it ends when asked to, and with which code; `None` hears nothing.
    pub asked: Option<(f64, i32)>,
    pub post_start: Hook,
    pub pre_stop: Hook,
    /// What a probe answers so many seconds after the attempt began.
    pub probes: fn(ProbeKind, f64) -> ProbeResult,
}

/// How an attempt ends by itself.
#[derive(Clone)]
pub struct Run {
    /// After so many seconds; `None` never does.
    pub after: Option<f64>,
    pub code: i32,
    pub reason: &'static str,
    pub message: Option<&'static str>,
}

/// How long a hook takes, and why it fails, if it does.
#[derive(Clone, Copy, Default)]
pub struct Hook {
    pub takes: f64,
    pub fails: Option<&'static str>,
}

impl Default for Script {
    fn default() -> Script {
        Script {
            start: 0.0,
            troubles: Vec::new(),
            hangs: false,
            runs: vec![Run { after: None, ..ended(0.0, 0) }],
            asked: Some((0.0, 0)),
            post_start: Hook::default(),
            pre_stop: Hook::default(),
            probes: |_, _| ProbeResult::Success,
        }
    }
}

fn ended(after: f64, code: i32) -> Run {
    let reason = if code == 0 { "Completed" } else { "Error" };
    Run { after: Some(after), code, reason, message: None }
}

impl Script {
    /// It runs until it is asked to end.
    pub fn stays() -> Script {
        Script::default()
    }

    /// Each attempt ends `after` so many seconds with `code`.
    pub fn ends(after: f64, code: i32) -> Script {
        Script::stays().then(&[(after, code)])
    }

    /// Attempts end like this, one after the other; the last is repeated.
    pub fn then(self, runs: &[(f64, i32)]) -> Script {
        Script { runs: runs.iter().map(|(after, code)| ended(*after, *code)).collect(), ..self }
    }

    /// Its last attempt ends for `reason`, with something to say.
    pub fn saying(mut self, reason: &'static str, message: Option<&'static str>) -> Script {
        self.runs.iter_mut().for_each(|run| (run.reason, run.message) = (reason, message));
        self
    }

    pub fn starts_after(self, start: f64) -> Script {
        Script { start, ..self }
    }

    /// Its first `times` starts fail.
    pub fn fails_to_start(self, times: usize, reason: &str, message: &str) -> Script {
        let trouble = WaitingReason { reason: reason.into(), message: message.into() };
        Script { troubles: vec![trouble; times], ..self }
    }

    /// Its starts never come to an end.
    pub fn hangs(self) -> Script {
        Script { hangs: true, ..self }
    }

    /// Asked to end, it does after so many seconds.
    pub fn asked(self, after: f64, code: i32) -> Script {
        Script { asked: Some((after, code)), ..self }
    }

    /// It hears nothing.
    pub fn deaf(self) -> Script {
        Script { asked: None, ..self }
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

/// A probe that fails, with `no` to say.
pub fn no() -> ProbeResult {
    ProbeResult::Failure("no".into())
}
