//! A container's probes: when each one runs next, and what the results mean (K56–K58, K64).
//!
//! Each probe ticks at a fixed interval from the pod's start on, whatever its containers do. A tick without a container
//! to probe is skipped; ticks during a run of the probe lead to one more run after it.
//!
//! ```text
//!   result    startup   Unknown ──▶ Success │ Failure   on hold until the container's next attempt
//!             liveness  Success ──────────▶ Failure     on hold until the container's next attempt
//!             readiness Failure ◀─────────▶ Success
//! ```

use std::time::Duration;

use k8s_openapi::api::core::v1::{Container, Probe};

use super::time::MonoTime;

/// The three probes of a container.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ProbeKind {
    /// Whether the container has started; the other probes wait for it.
    Startup,
    /// Whether the container still works; if not, it restarts.
    Liveness,
    /// Whether the container can serve now.
    Readiness,
}

impl ProbeKind {
    /// Returns the name as events write it at the beginning of a sentence.
    pub fn name(self) -> &'static str {
        match self {
            ProbeKind::Startup => "Startup",
            ProbeKind::Liveness => "Liveness",
            ProbeKind::Readiness => "Readiness",
        }
    }

    /// Returns the probe of this kind that `container` has.
    pub fn probe_of(self, container: &Container) -> Option<&Probe> {
        match self {
            ProbeKind::Startup => container.startup_probe.as_ref(),
            ProbeKind::Liveness => container.liveness_probe.as_ref(),
            ProbeKind::Readiness => container.readiness_probe.as_ref(),
        }
    }
}

/// The number of points in a period at which staggered probes of many pods run.
const STAGGER_POINTS: u32 = 32;

/// The result of one run of a probe.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProbeResult {
    /// The probe succeeded.
    Success,
    /// The probe succeeded, with a warning.
    Warning(String),
    /// The probe failed.
    Failure(String),
    /// The probe could not run, which says nothing about the container.
    Error(String),
}

/// The settings of a probe, which never change.
#[derive(Debug, Clone, PartialEq)]
struct ProbeSettings {
    initial_delay: Duration,
    period: Duration,
    success_threshold: u32,
    failure_threshold: u32,
    /// The grace period of a container that failed the probe; `None` for the pod's.
    grace: Option<Duration>,
}

/// One probe of a container.
#[derive(Debug, Clone, PartialEq)]
struct ProbeState {
    kind: ProbeKind,
    settings: ProbeSettings,
    /// The next tick; `None` before the pod starts.
    next_tick: Option<MonoTime>,
    run: ProbeRun,
    /// Whether the container passes the probe; `None` while unknown.
    result: Option<bool>,
    /// The result of the last run, and how often it came in a row.
    last_result: bool,
    result_run: u32,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum ProbeRun {
    /// Waits for its tick.
    Waiting,
    /// Is to run at this time, or at a tick before.
    Requested {
        at: MonoTime,
    },
    InFlight,
    /// Does not run until the container's next attempt.
    OnHold,
}

/// The time of a probe's next run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NextProbe {
    Now,
    At(MonoTime),
    Never,
}

impl ProbeState {
    fn new(kind: ProbeKind, probe: &Probe) -> ProbeState {
        let seconds =
            |value: Option<i32>, min: u64| Duration::from_secs(u64::try_from(value.unwrap_or(0)).unwrap_or(0).max(min));
        let times = |value: Option<i32>, default: u32| value.and_then(|v| u32::try_from(v).ok()).unwrap_or(default);
        let settings = ProbeSettings {
            initial_delay: seconds(probe.initial_delay_seconds, 0),
            period: probe.period_seconds.map_or(Duration::from_secs(10), |_| seconds(probe.period_seconds, 1)),
            success_threshold: times(probe.success_threshold, 1),
            failure_threshold: times(probe.failure_threshold, 3),
            grace: probe.termination_grace_period_seconds.and_then(|s| u64::try_from(s).ok()).map(Duration::from_secs),
        };
        ProbeState {
            kind,
            settings,
            next_tick: None,
            run: ProbeRun::Waiting,
            result: initial_result(kind),
            last_result: true,
            result_run: 0,
        }
    }

    /// Resets the probe for the container's next attempt; its ticks stay.
    fn reset(&mut self) {
        self.run = ProbeRun::Waiting;
        self.result = initial_result(self.kind);
        self.last_result = true;
        self.result_run = 0;
    }

    /// Starts the ticks, with the first moved forward by `stagger` (in 1/256 of a period). Staggered ticks are
    /// aligned to [`STAGGER_POINTS`] per period, so that one wake-up of a thread serves several probes.
    fn start_ticking(&mut self, now: MonoTime, stagger: u8) {
        if self.next_tick.is_some() {
            return;
        }
        let next = now + self.settings.period - self.settings.period.mul_f64(f64::from(stagger) / 256.0);
        let spacing = (self.settings.period / STAGGER_POINTS).as_nanos().max(1);
        let misaligned = next.since_origin().as_nanos() % spacing;
        let misaligned = if stagger == 0 { 0 } else { u64::try_from(misaligned).unwrap_or(0) };
        self.next_tick = Some(next - Duration::from_nanos(misaligned));
    }

    /// Returns when to run the probe of a container that runs since `started`, and marks it as in flight if that is now.
    fn poll(&mut self, started: MonoTime, now: MonoTime) -> NextProbe {
        let Some(tick) = self.next_tick else { return NextProbe::Never };
        let requested = match self.run {
            ProbeRun::InFlight | ProbeRun::OnHold => return NextProbe::Never,
            ProbeRun::Waiting => None,
            ProbeRun::Requested { at } => Some(at),
        };
        let earliest = started + self.settings.initial_delay;
        let mut has_ticked = false;
        let mut next_tick = tick;
        if now >= tick {
            next_tick = self.tick_after(tick, now);
            // A tick from before the container started is skipped.
            has_ticked = next_tick - self.settings.period >= started;
            self.next_tick = Some(next_tick);
        }
        if (has_ticked || requested.is_some_and(|at| now >= at)) && now >= earliest {
            self.run = ProbeRun::InFlight;
            return NextProbe::Now;
        }
        if let Some(at) = requested.filter(|at| *at > now && *at >= earliest) {
            return NextProbe::At(if next_tick >= earliest { next_tick.min(at) } else { at });
        }
        self.run = ProbeRun::Waiting;
        NextProbe::At(self.tick_from(next_tick, earliest))
    }

    /// Returns the first tick at or after `earliest`: ticks before the initial delay has passed are unused.
    fn tick_from(&self, tick: MonoTime, earliest: MonoTime) -> MonoTime {
        if tick >= earliest {
            return tick;
        }
        let is_tick = (earliest - tick).as_nanos().is_multiple_of(self.settings.period.as_nanos().max(1));
        if is_tick { earliest } else { self.tick_after(tick, earliest) }
    }

    /// Returns the first tick after `now`.
    fn tick_after(&self, tick: MonoTime, now: MonoTime) -> MonoTime {
        let passed = (now - tick).as_nanos() / self.settings.period.as_nanos().max(1);
        tick + self.settings.period.saturating_mul(u32::try_from(passed + 1).unwrap_or(u32::MAX))
    }

    /// Records the result of a run. Returns whether the probe's own result has changed.
    fn record(&mut self, success: bool) -> bool {
        if self.run != ProbeRun::InFlight {
            return false;
        }
        self.run = ProbeRun::Waiting;
        self.result_run = if self.last_result == success { self.result_run + 1 } else { 1 };
        self.last_result = success;
        if self.result_run < if success { self.settings.success_threshold } else { self.settings.failure_threshold } {
            return false;
        }
        let has_changed = self.result != Some(success);
        self.result = Some(success);
        if self.kind == ProbeKind::Startup || (self.kind == ProbeKind::Liveness && !success) {
            self.run = ProbeRun::OnHold;
            self.result_run = 0;
        }
        has_changed
    }

    /// Drops a run without a result.
    fn discard_run(&mut self) {
        if self.run == ProbeRun::InFlight {
            self.run = ProbeRun::Waiting;
        }
    }
}

/// Returns the result before the first run (K57).
fn initial_result(kind: ProbeKind) -> Option<bool> {
    match kind {
        ProbeKind::Startup => None,
        ProbeKind::Liveness => Some(true),
        ProbeKind::Readiness => Some(false),
    }
}

/// All probes of a container.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Probes {
    all: Vec<ProbeState>,
}

impl Probes {
    pub(super) fn from_container(container: &Container) -> Probes {
        let kinds = [ProbeKind::Startup, ProbeKind::Liveness, ProbeKind::Readiness];
        let probes = kinds.into_iter().filter_map(|kind| Some(ProbeState::new(kind, kind.probe_of(container)?)));
        Probes { all: probes.collect() }
    }

    /// Resets all probes for the container's next attempt.
    pub(super) fn reset(&mut self) {
        self.all.iter_mut().for_each(ProbeState::reset);
    }

    /// Starts the ticks of all probes; see [`ProbeState::start_ticking`].
    pub(super) fn start_ticking(&mut self, now: MonoTime, stagger: u8) {
        self.all.iter_mut().for_each(|probe| probe.start_ticking(now, stagger));
    }

    /// Returns whether the container passes the probe of `kind`, or has none.
    fn passes(&self, kind: ProbeKind) -> bool {
        self.all.iter().find(|p| p.kind == kind).is_none_or(|p| p.result == Some(true))
    }

    /// Returns whether the startup probe, if any, has succeeded.
    pub(super) fn has_started(&self) -> bool {
        self.passes(ProbeKind::Startup)
    }

    /// Returns whether the readiness probe, if any, succeeds.
    pub(super) fn is_ready(&self) -> bool {
        self.passes(ProbeKind::Readiness)
    }

    /// Returns the failed probe for which the container is stopped, with the grace period of that probe.
    pub(super) fn failed_probe(&self) -> Option<(ProbeKind, Option<Duration>)> {
        let is_fatal = |p: &&ProbeState| p.kind != ProbeKind::Readiness && p.result == Some(false);
        self.all.iter().find(is_fatal).map(|p| (p.kind, p.settings.grace))
    }

    /// Requests a run of the readiness probe at `at`, without waiting for its tick.
    pub(super) fn request_readiness(&mut self, at: MonoTime) {
        let is_waiting = |p: &&mut ProbeState| p.kind == ProbeKind::Readiness && p.run == ProbeRun::Waiting;
        self.all.iter_mut().filter(is_waiting).for_each(|p| p.run = ProbeRun::Requested { at });
    }

    /// Returns when to run which probes of a container that runs since `started`. A container that is being stopped is
    /// probed for readiness only (K64).
    pub(super) fn poll(&mut self, started: MonoTime, is_stopping: bool, now: MonoTime) -> Vec<(ProbeKind, NextProbe)> {
        let has_started = self.has_started();
        let is_enabled = |p: &&mut ProbeState| {
            let in_phase = if p.kind == ProbeKind::Startup { !has_started } else { has_started };
            in_phase && (p.kind == ProbeKind::Readiness || !is_stopping)
        };
        self.all.iter_mut().filter(is_enabled).map(|p| (p.kind, p.poll(started, now))).collect()
    }

    /// Records the result of one run. Returns whether the probe's own result has changed.
    pub(super) fn record(&mut self, kind: ProbeKind, result: &ProbeResult) -> bool {
        let Some(probe) = self.all.iter_mut().find(|p| p.kind == kind) else { return false };
        match result {
            ProbeResult::Success | ProbeResult::Warning(_) => probe.record(true),
            ProbeResult::Failure(_) => probe.record(false),
            ProbeResult::Error(_) => {
                probe.discard_run();
                false
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secs(n: u64) -> MonoTime {
        MonoTime::from_origin(Duration::from_secs(n))
    }

    fn millis(n: u64) -> MonoTime {
        MonoTime::from_origin(Duration::from_millis(n))
    }

    fn probes(yaml: &str) -> Probes {
        let container: Container = serde_yaml::from_str(&format!("{{name: c, {yaml}}}")).expect("a container");
        let mut probes = Probes::from_container(&container);
        probes.start_ticking(MonoTime::ORIGIN, 0);
        probes
    }

    /// Returns the seconds within a minute at which `kind` is probed, where each run has the result of `result`.
    fn probed_at(probes: &mut Probes, kind: ProbeKind, begun: u64, result: fn(u64) -> ProbeResult) -> Vec<u64> {
        let mut at = Vec::new();
        for second in begun..60 {
            if probes.poll(secs(begun), false, secs(second)).contains(&(kind, NextProbe::Now)) {
                at.push(second);
                probes.record(kind, &result(second));
            }
        }
        at
    }

    #[test]
    fn probes_have_kubernetes_defaults() {
        let mut all = probes("livenessProbe: {tcpSocket: {port: 1}}");
        let fails = |_| ProbeResult::Failure(String::new());
        assert_eq!(probed_at(&mut all, ProbeKind::Liveness, 0, fails), [10, 20, 30], "on hold after three failures");
        assert_eq!(all.failed_probe(), Some((ProbeKind::Liveness, None)));
    }

    #[test]
    fn initial_results_are_live_not_ready_and_not_started() {
        let all = probes("livenessProbe: {}, readinessProbe: {}, startupProbe: {}");
        assert!(all.failed_probe().is_none() && !all.is_ready() && !all.has_started());
        let none = probes("image: x");
        assert!(none.is_ready() && none.has_started());
    }

    #[test]
    fn startup_result_gates_other_probes_until_next_attempt() {
        let mut all =
            probes("livenessProbe: {periodSeconds: 1}, startupProbe: {periodSeconds: 1, failureThreshold: 2}");
        let kinds = |next: Vec<(ProbeKind, NextProbe)>| next.into_iter().map(|(kind, _)| kind).collect::<Vec<_>>();
        assert_eq!(kinds(all.poll(secs(0), false, secs(1))), [ProbeKind::Startup]);
        assert!(all.record(ProbeKind::Startup, &ProbeResult::Success));
        assert_eq!(kinds(all.poll(secs(0), false, secs(2))), [ProbeKind::Liveness]);
        all.reset();
        assert_eq!(kinds(all.poll(secs(3), false, secs(3))), [ProbeKind::Startup]);
        let fails = |_| ProbeResult::Failure(String::new());
        all.record(ProbeKind::Startup, &fails(3));
        assert_eq!(probed_at(&mut all, ProbeKind::Startup, 4, fails), [4], "on hold after the second failure");
        assert_eq!(all.failed_probe(), Some((ProbeKind::Startup, None)));
    }

    #[test]
    fn ticks_keep_their_rhythm_and_wait_for_the_initial_delay() {
        for (delay, begun, first) in [(0, 0, 5), (0, 7, 10), (5, 0, 5), (6, 0, 10), (12, 3, 15), (13, 3, 20)] {
            let mut all = probes(&format!("livenessProbe: {{periodSeconds: 5, initialDelaySeconds: {delay}}}"));
            let at = probed_at(&mut all, ProbeKind::Liveness, begun, |_| ProbeResult::Success);
            assert_eq!(at.first(), Some(&first), "delay {delay}, begun at {begun}");
            assert!(at.windows(2).all(|pair| pair[1] - pair[0] == 5), "{at:?}");
        }
    }

    #[test]
    fn staggered_ticks_align_to_few_points_of_the_period() {
        let first_tick = |begun: u64, stagger: u8| {
            let container = "{name: c, livenessProbe: {periodSeconds: 10}}";
            let mut all = Probes::from_container(&serde_yaml::from_str(container).expect("a container"));
            all.start_ticking(millis(begun), stagger);
            all.all[0].next_tick.expect("begun")
        };
        assert_eq!(first_tick(1234, 0), millis(11_234));
        let moments: std::collections::BTreeSet<_> = (0..1000).map(|i| first_tick(i, (i % 255) as u8 + 1)).collect();
        assert!((30..=40).contains(&moments.len()), "{}", moments.len());
        let (first, last) = (moments.first().expect("some"), moments.last().expect("some"));
        assert!(*last - *first > Duration::from_secs(9), "over the whole period: {first:?} to {last:?}");
    }

    #[test]
    fn next_probe_is_the_first_tick_after_the_initial_delay() {
        for (delay, at) in [(0, 5), (5, 5), (6, 10), (10, 10), (11, 15)] {
            let mut all = probes(&format!("livenessProbe: {{periodSeconds: 5, initialDelaySeconds: {delay}}}"));
            assert_eq!(
                all.poll(secs(0), false, secs(1)),
                [(ProbeKind::Liveness, NextProbe::At(secs(at)))],
                "delay {delay}"
            );
        }
    }

    #[test]
    fn thresholds_count_results_in_a_row_and_ignore_errors() {
        let mut all = probes("readinessProbe: {periodSeconds: 1, successThreshold: 2, failureThreshold: 2}");
        let mut second = 0;
        let mut ready_after = |result: ProbeResult| {
            second += 1;
            assert_eq!(all.poll(secs(0), false, secs(second)), [(ProbeKind::Readiness, NextProbe::Now)]);
            all.record(ProbeKind::Readiness, &result);
            all.is_ready()
        };
        let failure = || ProbeResult::Failure(String::new());
        assert!(!ready_after(ProbeResult::Success));
        assert!(!ready_after(failure()));
        assert!(!ready_after(ProbeResult::Success));
        assert!(!ready_after(ProbeResult::Error(String::new())));
        assert!(ready_after(ProbeResult::Warning(String::new())));
        assert!(ready_after(failure()));
        assert!(ready_after(ProbeResult::Success));
        assert!(ready_after(failure()));
        assert!(!ready_after(failure()));
    }

    #[test]
    fn tick_during_a_run_is_made_up_for_once() {
        let mut all = probes("readinessProbe: {periodSeconds: 1}");
        assert_eq!(all.poll(secs(0), false, secs(1)), [(ProbeKind::Readiness, NextProbe::Now)]);
        assert_eq!(all.poll(secs(0), false, secs(4)), [(ProbeKind::Readiness, NextProbe::Never)]);
        all.record(ProbeKind::Readiness, &ProbeResult::Success);
        let late = millis(4500);
        assert_eq!(all.poll(secs(0), false, late), [(ProbeKind::Readiness, NextProbe::Now)]);
        all.record(ProbeKind::Readiness, &ProbeResult::Success);
        assert_eq!(all.poll(secs(0), false, late), [(ProbeKind::Readiness, NextProbe::At(secs(5)))]);
    }

    #[test]
    fn requested_readiness_is_probed_at_the_requested_time() {
        let mut all = probes("readinessProbe: {}");
        all.request_readiness(secs(1));
        assert_eq!(all.poll(secs(0), false, secs(0)), [(ProbeKind::Readiness, NextProbe::At(secs(1)))]);
        assert_eq!(all.poll(secs(0), false, secs(1)), [(ProbeKind::Readiness, NextProbe::Now)]);
        let mut delayed = probes("readinessProbe: {initialDelaySeconds: 3}");
        delayed.request_readiness(secs(0));
        assert_eq!(delayed.poll(secs(0), false, secs(0)), [(ProbeKind::Readiness, NextProbe::At(secs(10)))]);
    }

    #[test]
    fn stopping_container_is_probed_for_readiness_only() {
        let mut all = probes("livenessProbe: {periodSeconds: 1}, readinessProbe: {periodSeconds: 1}");
        assert_eq!(all.poll(secs(0), true, secs(1)), [(ProbeKind::Readiness, NextProbe::Now)]);
    }

    #[test]
    fn stagger_moves_the_first_tick_forward() {
        let container: Container = serde_yaml::from_str("{name: c, livenessProbe: {}}").expect("a container");
        let mut all = Probes::from_container(&container);
        all.start_ticking(secs(100), 64);
        assert_eq!(all.poll(secs(100), false, secs(100)), [(ProbeKind::Liveness, NextProbe::At(millis(107_500)))]);
    }
}
