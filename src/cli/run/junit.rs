//! `--report junit=FILE`: the outcome of a run as a JUnit report.
//!
//! A pod is a test suite and a container a test case, so that CI systems show a failure with the container's name, the
//! reason and the last log lines. The file is written atomically, also when the run fails, times out or cannot start.

use std::collections::{BTreeMap, VecDeque};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::Context;
use k8s_openapi::api::core::v1::{ContainerState, ContainerStatus, Pod};
use quick_junit::{NonSuccessKind, Report, TestCase, TestCaseStatus, TestSuite};

use super::log_line::entry_text;
use super::pod_watcher::LogSource;
use crate::cli::exit::{Outcome, bad_input};
use crate::cli::report;
use crate::logs::LogEntry;
use crate::model::{outcome, pods};

/// The report contains the newest bytes of each container's log, up to this number.
const MAX_LOG_BYTES: usize = 64 * 1024;
/// Log lines in the description of a failure.
const FAILURE_LINES: usize = 10;

/// A report that is being collected.
pub struct Junit {
    path: PathBuf,
    started: Instant,
    logs: BTreeMap<(String, String), Tail>,
    suites: Vec<TestSuite>,
}

/// The last log lines of a container, of all its attempts.
#[derive(Default)]
struct Tail {
    lines: VecDeque<Vec<u8>>,
    bytes: usize,
}

impl Junit {
    /// Creates a report that will be written to `path`, whose directory must exist.
    pub fn new(path: &Path) -> anyhow::Result<Junit> {
        if !directory(path).is_dir() {
            return Err(bad_input(format!("cannot write report {}: directory does not exist", path.display())));
        }
        Ok(Junit { path: path.into(), started: Instant::now(), logs: BTreeMap::new(), suites: Vec::new() })
    }

    /// Adds log lines of a container.
    pub fn add_log(&mut self, source: &LogSource, entries: &[LogEntry]) {
        let tail = self.logs.entry((source.pod.clone(), source.container.clone())).or_default();
        entries.iter().for_each(|entry| tail.push(entry_text(entry)));
    }

    /// Adds the pods in their state at the end of the run, before running ones are stopped.
    pub fn add_pods<'p>(&mut self, pods: impl Iterator<Item = &'p Pod>, outcome: Outcome) {
        self.suites = pods.map(|pod| suite(pod, outcome)).collect();
    }

    /// Writes the report.
    pub fn write(mut self) -> anyhow::Result<()> {
        for suite in &mut self.suites {
            let pod = suite.name.as_str().rsplit('/').next().unwrap_or_default().to_string();
            for case in &mut suite.test_cases {
                if let Some(tail) = self.logs.get(&(pod.clone(), case.name.as_str().to_string())) {
                    case.set_system_out_lossy(tail.text(usize::MAX));
                    if let TestCaseStatus::NonSuccess { .. } = case.status {
                        case.status.set_description(String::from_utf8_lossy(&tail.text(FAILURE_LINES)).into_owned());
                    }
                }
            }
        }
        let mut report = Report::new("wasmpod run");
        report.set_time(self.started.elapsed());
        report.add_test_suites(self.suites);
        write_report(&self.path, &report)
    }

    /// Writes a report about a run that could not start or was aborted by an error.
    pub fn write_error(self, error: &anyhow::Error) -> anyhow::Result<()> {
        let mut status = TestCaseStatus::non_success(NonSuccessKind::Error);
        let message = report::error_chain(error);
        let first = message.lines().next().unwrap_or_default().to_string();
        status.set_message(first).set_type("BadInput").set_description(message);
        let mut suite = TestSuite::new("wasmpod");
        suite.add_test_case(TestCase::new("run", status));
        let mut report = Report::new("wasmpod run");
        report.set_time(self.started.elapsed());
        report.add_test_suite(suite);
        write_report(&self.path, &report)
    }
}

impl Tail {
    fn push(&mut self, line: Vec<u8>) {
        self.bytes += line.len() + 1;
        self.lines.push_back(line);
        while self.bytes > MAX_LOG_BYTES
            && let Some(oldest) = self.lines.pop_front()
        {
            self.bytes -= oldest.len() + 1;
        }
    }

    /// Returns the last `lines` lines.
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
    for status in outcome::container_statuses(pod) {
        let mut case = TestCase::new(status.name.clone(), case_status(status, outcome));
        case.set_classname(name.clone());
        if let Some(time) = run_time(status.state.as_ref()) {
            case.set_time(time);
            longest = longest.max(time);
        }
        if status.restart_count > 0 {
            case.add_property(("restarts", status.restart_count.to_string().as_str()));
        }
        suite.add_test_case(case);
    }
    if let Some(message) = pod.status.as_ref().and_then(|status| status.message.clone()) {
        // A message about the whole pod, for example that the node rejected it.
        let mut status = TestCaseStatus::non_success(NonSuccessKind::Failure);
        let reason = pod.status.as_ref().and_then(|status| status.reason.clone());
        status.set_message(message).set_type(reason.unwrap_or_else(|| pods::phase(pod).into()));
        suite.add_test_case(TestCase::new("pod", status));
    }
    suite.set_time(longest);
    suite
}

/// Returns the result of a container's test case.
fn case_status(status: &ContainerStatus, outcome: Outcome) -> TestCaseStatus {
    let failed = |kind, reason: &str, message: String| {
        let mut status = TestCaseStatus::non_success(kind);
        status.set_type(reason).set_message(message);
        status
    };
    let state = status.state.clone().unwrap_or_default();
    let name = &status.name;
    if let Some(terminated) = state.terminated {
        return match outcome::container_failure_message(status) {
            Some(message) => failed(NonSuccessKind::Failure, terminated.reason.as_deref().unwrap_or("Error"), message),
            None => TestCaseStatus::success(),
        };
    }
    let unfinished = match outcome {
        Outcome::Timeout => Some(("Timeout", "the run timed out (--timeout)")),
        Outcome::Interrupted | Outcome::Terminated | Outcome::HungUp => {
            Some(("Interrupted", "the run was interrupted"))
        }
        Outcome::Success
        | Outcome::PodFailed
        | Outcome::BadInput
        | Outcome::InternalError
        | Outcome::BrokenPipe
        | Outcome::RequestFailed
        | Outcome::Program(_) => None,
    };
    if let Some(waiting) = state.waiting {
        let reason = waiting.reason.unwrap_or_else(|| "Waiting".into());
        let message = waiting.message.map(|message| format!(": {message}")).unwrap_or_default();
        return match reason.as_str() {
            // It was not started because another container failed, which is that container's failure.
            "PodInitializing" | "ContainerCreating" if message.is_empty() && unfinished.is_none() => {
                TestCaseStatus::skipped()
            }
            _ => failed(NonSuccessKind::Failure, &reason, format!("container {name} is waiting: {reason}{message}")),
        };
    }
    match unfinished {
        Some((kind, why)) => {
            failed(NonSuccessKind::Error, kind, format!("container {name} was still running when {why}"))
        }
        None => TestCaseStatus::success(),
    }
}

fn run_time(state: Option<&ContainerState>) -> Option<Duration> {
    let terminated = state?.terminated.as_ref()?;
    let (started, finished) = (terminated.started_at.as_ref()?.0, terminated.finished_at.as_ref()?.0);
    Duration::try_from(finished.duration_since(started)).ok()
}

fn directory(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

fn write_report(path: &Path, report: &Report) -> anyhow::Result<()> {
    let failed = || format!("cannot write report {}", path.display());
    let mut file = tempfile::NamedTempFile::new_in(directory(path)).with_context(failed)?;
    report.serialize(&mut file).with_context(failed)?;
    // Temporary files are private; the report is for all users that can read its directory.
    let public = std::os::unix::fs::PermissionsExt::from_mode(0o644);
    file.as_file().set_permissions(public).with_context(failed)?;
    file.persist(path).with_context(failed)?;
    Ok(())
}
