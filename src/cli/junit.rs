//! `--report junit=FILE`: what became of a run, as CI systems read it.
//!
//! A pod is a suite and a container a case, so that a failure is shown with the name of what
//! failed, its reason, and what it wrote last. The file appears whole or not at all, and also when
//! the run fails, times out or can't begin.

use std::collections::{BTreeMap, VecDeque};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::Context;
use k8s_openapi::api::core::v1::{ContainerState, ContainerStatus, Pod};
use quick_junit::{NonSuccessKind, Report, TestCase, TestCaseStatus, TestSuite};

use super::exit::{Outcome, bad_input};
use super::follow::Source;
use super::{plain, report};
use crate::logs::Entry;
use crate::model::{outcome, pods};

/// Bytes of a container's log that a report holds; the newest.
const LOG_BYTES: usize = 64 * 1024;
/// Lines that stand with a failure itself.
const LAST_LINES: usize = 10;

/// Gathers what the report will say.
pub struct Junit {
    path: PathBuf,
    began: Instant,
    logs: BTreeMap<(String, String), Tail>,
    suites: Vec<TestSuite>,
}

/// The last lines of a container, all attempts.
#[derive(Default)]
struct Tail {
    lines: VecDeque<Vec<u8>>,
    bytes: usize,
}

impl Junit {
    /// A report that will be written to `path`, whose folder must be there.
    pub fn new(path: &Path) -> anyhow::Result<Junit> {
        if !folder(path).is_dir() {
            return Err(bad_input(format!("cannot write report {}: there is no such folder", path.display())));
        }
        Ok(Junit { path: path.into(), began: Instant::now(), logs: BTreeMap::new(), suites: Vec::new() })
    }

    /// Takes what a container wrote.
    pub fn log(&mut self, source: &Source, entries: &[Entry]) {
        let tail = self.logs.entry((source.pod.clone(), source.container.clone())).or_default();
        entries.iter().for_each(|entry| tail.push(plain::text(entry)));
    }

    /// Takes the pods as they are when the run is decided, before what still runs is ended.
    pub fn decided<'p>(&mut self, pods: impl Iterator<Item = &'p Pod>, outcome: Outcome) {
        self.suites = pods.map(|pod| suite(pod, outcome)).collect();
    }

    /// Writes the report, with the logs.
    pub fn write(mut self) -> anyhow::Result<()> {
        for suite in &mut self.suites {
            let pod = suite.name.as_str().rsplit('/').next().unwrap_or_default().to_string();
            for case in &mut suite.test_cases {
                if let Some(tail) = self.logs.get(&(pod.clone(), case.name.as_str().to_string())) {
                    case.set_system_out_lossy(tail.text(usize::MAX));
                    if let TestCaseStatus::NonSuccess { .. } = case.status {
                        case.status.set_description(String::from_utf8_lossy(&tail.text(LAST_LINES)).into_owned());
                    }
                }
            }
        }
        let mut all = Report::new("wasmpod run");
        all.set_time(self.began.elapsed());
        all.add_test_suites(self.suites);
        write(&self.path, &all)
    }

    /// Writes that the run could not begin, or broke.
    pub fn broken(self, error: &anyhow::Error) -> anyhow::Result<()> {
        let mut status = TestCaseStatus::non_success(NonSuccessKind::Error);
        let message = report::chain(error);
        let first = message.lines().next().unwrap_or_default().to_string();
        status.set_message(first).set_type("BadInput").set_description(message);
        let mut suite = TestSuite::new("wasmpod");
        suite.add_test_case(TestCase::new("run", status));
        let mut all = Report::new("wasmpod run");
        all.set_time(self.began.elapsed());
        all.add_test_suite(suite);
        write(&self.path, &all)
    }
}

impl Tail {
    fn push(&mut self, line: Vec<u8>) {
        self.bytes += line.len() + 1;
        self.lines.push_back(line);
        while self.bytes > LOG_BYTES
            && let Some(oldest) = self.lines.pop_front()
        {
            self.bytes -= oldest.len() + 1;
        }
    }

    /// The last `lines` lines.
    fn text(&self, lines: usize) -> Vec<u8> {
        let last = self.lines.iter().skip(self.lines.len().saturating_sub(lines));
        last.flat_map(|line| line.iter().copied().chain([b'\n'])).collect()
    }
}

fn suite(pod: &Pod, outcome: Outcome) -> TestSuite {
    let name = match pods::namespace(pod) {
        "default" => pods::name(pod).to_string(),
        namespace => format!("{namespace}/{}", pods::name(pod)),
    };
    let mut suite = TestSuite::new(name.clone());
    let mut longest = Duration::ZERO;
    for status in outcome::statuses(pod) {
        let mut case = TestCase::new(status.name.clone(), judge(status, outcome));
        case.set_classname(name.clone());
        if let Some(time) = ran_for(status.state.as_ref()) {
            case.set_time(time);
            longest = longest.max(time);
        }
        if status.restart_count > 0 {
            case.add_property(("restarts", status.restart_count.to_string().as_str()));
        }
        suite.add_test_case(case);
    }
    if let Some(message) = pod.status.as_ref().and_then(|status| status.message.clone()) {
        // The node's own word on the pod as a whole: it was rejected, say.
        let mut status = TestCaseStatus::non_success(NonSuccessKind::Failure);
        let reason = pod.status.as_ref().and_then(|status| status.reason.clone());
        status.set_message(message).set_type(reason.unwrap_or_else(|| pods::phase(pod).into()));
        suite.add_test_case(TestCase::new("pod", status));
    }
    suite.set_time(longest);
    suite
}

/// What a container's state means for somebody who wanted the run to succeed.
fn judge(status: &ContainerStatus, outcome: Outcome) -> TestCaseStatus {
    let failed = |kind, reason: &str, message: String| {
        let mut status = TestCaseStatus::non_success(kind);
        status.set_type(reason).set_message(message);
        status
    };
    let state = status.state.clone().unwrap_or_default();
    let name = &status.name;
    if let Some(ended) = state.terminated {
        return match outcome::container_failure(status) {
            Some(why) => failed(NonSuccessKind::Failure, ended.reason.as_deref().unwrap_or("Error"), why),
            None => TestCaseStatus::success(),
        };
    }
    let unfinished = match outcome {
        Outcome::Timeout => Some(("Timeout", "the time was up (--timeout)")),
        Outcome::Interrupted | Outcome::Terminated | Outcome::HungUp => Some(("Interrupted", "the run was ended")),
        Outcome::Success
        | Outcome::PodFailed
        | Outcome::BadInput
        | Outcome::OurFailure
        | Outcome::ReaderGone
        | Outcome::Refused
        | Outcome::Guest(_) => None,
    };
    if let Some(waiting) = state.waiting {
        let reason = waiting.reason.unwrap_or_else(|| "Waiting".into());
        let words = waiting.message.map(|message| format!(": {message}")).unwrap_or_default();
        return match reason.as_str() {
            // Its turn did not come; what kept it from coming is another case's failure.
            "PodInitializing" | "ContainerCreating" if words.is_empty() && unfinished.is_none() => {
                TestCaseStatus::skipped()
            }
            _ => failed(NonSuccessKind::Failure, &reason, format!("container {name} waits: {reason}{words}")),
        };
    }
    match unfinished {
        Some((kind, why)) => failed(NonSuccessKind::Error, kind, format!("container {name} still ran when {why}")),
        None => TestCaseStatus::success(),
    }
}

fn ran_for(state: Option<&ContainerState>) -> Option<Duration> {
    let ended = state?.terminated.as_ref()?;
    let (from, to) = (ended.started_at.as_ref()?.0, ended.finished_at.as_ref()?.0);
    Duration::try_from(to.duration_since(from)).ok()
}

fn folder(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

fn write(path: &Path, all: &Report) -> anyhow::Result<()> {
    let failed = || format!("cannot write report {}", path.display());
    let mut file = tempfile::NamedTempFile::new_in(folder(path)).with_context(failed)?;
    all.serialize(&mut file).with_context(failed)?;
    // A file for temporary use is its owner's alone; a report is for whoever may read its folder.
    let open = std::os::unix::fs::PermissionsExt::from_mode(0o644);
    file.as_file().set_permissions(open).with_context(failed)?;
    file.persist(path).with_context(failed)?;
    Ok(())
}
