//! A container's probes: when the next attempt is due, and what the attempts so far mean (K56–K58, K64).
//!
//! Ticks go on in the same rhythm from the pod's begin on, whatever its containers do. A tick that
//! finds nothing to probe passes; one that comes while an attempt is under way is made up for once.
//!
//! ```text
//!   verdict   startup  Unknown ──▶ Success │ Failure   held until the container's next attempt
//!             liveness Success ──────────▶ Failure     held until the container's next attempt
//!             readiness Failure ◀────────▶ Success
//! ```

use std::time::Duration;

use k8s_openapi::api::core::v1::{Container, Probe};

/// What is probed for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ProbeKind {
    /// Whether it has started; the others wait for that.
    Startup,
    /// Whether it still works; else it is restarted.
    Liveness,
    /// Whether it can serve now.
    Readiness,
}

impl ProbeKind {
    /// As events write it at the beginning of a sentence.
    pub fn word(self) -> &'static str {
        match self {
            ProbeKind::Startup => "Startup",
            ProbeKind::Liveness => "Liveness",
            ProbeKind::Readiness => "Readiness",
        }
    }

    /// The probe of this kind that `container` has.
    pub fn of(self, container: &Container) -> Option<&Probe> {
        match self {
            ProbeKind::Startup => container.startup_probe.as_ref(),
            ProbeKind::Liveness => container.liveness_probe.as_ref(),
            ProbeKind::Readiness => container.readiness_probe.as_ref(),
        }
    }
}

/// Moments of a period at which probes of many pods meet.
const MARKS: u32 = 32;

/// How an attempt went; with what there is to say about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProbeResult {
    /// Well.
    Success,
    /// Well, but somebody should know.
    Warning(String),
    /// Badly.
    Failure(String),
    /// It could not be made; it says nothing about the container.
    Error(String),
}

/// One probe of a container.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct ProbeState {
    kind: ProbeKind,
    initial_delay: Duration,
    period: Duration,
    successes: u32,
    failures: u32,
    /// How long a container that failed it may take to end, where that is not the pod's.
    pub(super) grace: Option<Duration>,
    /// The next tick; none before the first look at the pod.
    next: Option<Duration>,
    progress: Progress,
    /// What the attempts so far mean; `None` is not known yet.
    verdict: Option<bool>,
    /// The last outcome, and how often it came in a row.
    row: (bool, u32),
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Progress {
    /// Waits for its tick.
    Waiting,
    /// Somebody wants to know, at this time or before.
    Wanted {
        at: Duration,
    },
    UnderWay,
    /// Its verdict stands until the container's next attempt.
    Held,
}

/// What is to be done about a probe.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NextProbe {
    Now,
    At(Duration),
    Never,
}

impl ProbeState {
    fn new(kind: ProbeKind, probe: &Probe) -> ProbeState {
        let seconds = |value: Option<i32>, least: u64| {
            Duration::from_secs(u64::try_from(value.unwrap_or(0)).unwrap_or(0).max(least))
        };
        let times = |value: Option<i32>, default: u32| value.and_then(|v| u32::try_from(v).ok()).unwrap_or(default);
        ProbeState {
            kind,
            initial_delay: seconds(probe.initial_delay_seconds, 0),
            period: probe.period_seconds.map_or(Duration::from_secs(10), |_| seconds(probe.period_seconds, 1)),
            successes: times(probe.success_threshold, 1),
            failures: times(probe.failure_threshold, 3),
            grace: probe.termination_grace_period_seconds.and_then(|s| u64::try_from(s).ok()).map(Duration::from_secs),
            next: None,
            progress: Progress::Waiting,
            verdict: initial(kind),
            row: (true, 0),
        }
    }

    /// The container begins anew.
    fn reset(&mut self) {
        self.progress = Progress::Waiting;
        self.verdict = initial(self.kind);
        self.row = (true, 0);
    }

    /// Begins the rhythm, `part` of a period (in 1/256) earlier than it would. Rhythms that were moved
    /// meet at [`MARKS`], so that the threads are woken for several at once.
    fn begin(&mut self, now: Duration, part: u8) {
        if self.next.is_some() {
            return;
        }
        let next = now + self.period - self.period.mul_f64(f64::from(part) / 256.0);
        let mark = (self.period / MARKS).as_nanos().max(1);
        let past = if part == 0 { 0 } else { u64::try_from(next.as_nanos() % mark).unwrap_or(0) };
        self.next = Some(next - Duration::from_nanos(past));
    }

    /// What is to be done for a container that began at `begun`.
    fn due(&mut self, begun: Duration, now: Duration) -> NextProbe {
        let Some(next) = self.next else { return NextProbe::Never };
        let wanted = match self.progress {
            Progress::UnderWay | Progress::Held => return NextProbe::Never,
            Progress::Waiting => None,
            Progress::Wanted { at } => Some(at),
        };
        let from = begun + self.initial_delay;
        let mut ticked = false;
        if now >= next {
            let coming = self.tick_after(next, now);
            // A tick from before the container began passes unused.
            ticked = coming - self.period >= begun;
            self.next = Some(coming);
        }
        if (ticked || wanted.is_some_and(|at| now >= at)) && now >= from {
            self.progress = Progress::UnderWay;
            return NextProbe::Now;
        }
        if let Some(at) = wanted.filter(|at| *at > now && *at >= from) {
            return NextProbe::At(self.next.map_or(at, |next| if next >= from { next.min(at) } else { at }));
        }
        self.progress = Progress::Waiting;
        // Ticks that come before the initial delay is over pass unused.
        let next = self.next.unwrap_or(next);
        NextProbe::At(if next >= from { next } else { self.tick_after(next, from) - self.whole(from, next) })
    }

    /// The first tick behind `now`.
    fn tick_after(&self, tick: Duration, now: Duration) -> Duration {
        let passed = now.saturating_sub(tick).as_nanos() / self.period.as_nanos().max(1);
        tick + self.period.saturating_mul(u32::try_from(passed + 1).unwrap_or(u32::MAX))
    }

    /// One period if `from` is itself a tick of the rhythm of `next`, else nothing.
    fn whole(&self, from: Duration, next: Duration) -> Duration {
        let exact = from.saturating_sub(next).as_nanos().is_multiple_of(self.period.as_nanos().max(1));
        if exact { self.period } else { Duration::ZERO }
    }

    /// Takes an attempt's outcome; whether the verdict is another now.
    fn observe(&mut self, good: bool) -> bool {
        if self.progress != Progress::UnderWay {
            return false;
        }
        self.progress = Progress::Waiting;
        let times = if self.row.0 == good { self.row.1 + 1 } else { 1 };
        self.row = (good, times);
        if times < if good { self.successes } else { self.failures } {
            return false;
        }
        let changed = self.verdict != Some(good);
        self.verdict = Some(good);
        if self.kind == ProbeKind::Startup || (self.kind == ProbeKind::Liveness && !good) {
            self.progress = Progress::Held;
            self.row.1 = 0;
        }
        changed
    }

    /// An attempt that says nothing.
    fn discard(&mut self) {
        if self.progress == Progress::UnderWay {
            self.progress = Progress::Waiting;
        }
    }
}

/// What is held true before the first attempt (K57).
fn initial(kind: ProbeKind) -> Option<bool> {
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
    pub(super) fn of(container: &Container) -> Probes {
        let kinds = [ProbeKind::Startup, ProbeKind::Liveness, ProbeKind::Readiness];
        Probes { all: kinds.into_iter().filter_map(|kind| Some(ProbeState::new(kind, kind.of(container)?))).collect() }
    }

    pub(super) fn reset(&mut self) {
        self.all.iter_mut().for_each(ProbeState::reset);
    }

    pub(super) fn begin(&mut self, now: Duration, part: u8) {
        self.all.iter_mut().for_each(|probe| probe.begin(now, part));
    }

    fn verdict(&self, kind: ProbeKind, without: bool) -> bool {
        self.all.iter().find(|p| p.kind == kind).map_or(without, |p| p.verdict == Some(true))
    }

    /// Whether the startup probe, if there is one, has succeeded.
    pub(super) fn started(&self) -> bool {
        self.verdict(ProbeKind::Startup, true)
    }

    /// Whether the readiness probe, if there is one, succeeds.
    pub(super) fn ready(&self) -> bool {
        self.verdict(ProbeKind::Readiness, true)
    }

    /// The probe for whose failure the container is to be restarted.
    pub(super) fn failed(&self) -> Option<(ProbeKind, Option<Duration>)> {
        let fatal = |p: &&ProbeState| p.kind != ProbeKind::Readiness && p.verdict == Some(false);
        self.all.iter().find(fatal).map(|p| (p.kind, p.grace))
    }

    /// Readiness is to be known at `at`.
    pub(super) fn want_readiness(&mut self, at: Duration) {
        let waits = |p: &&mut ProbeState| p.kind == ProbeKind::Readiness && p.progress == Progress::Waiting;
        self.all.iter_mut().filter(waits).for_each(|p| p.progress = Progress::Wanted { at });
    }

    /// What is to be done now for a container that began at `begun`: the kinds to probe, and when to
    /// look again. `readiness_alone` for one that is being ended (K64).
    pub(super) fn due(&mut self, begun: Duration, readiness_alone: bool, now: Duration) -> Vec<(ProbeKind, NextProbe)> {
        let started = self.started();
        let counts = |p: &&mut ProbeState| {
            let gated = if p.kind == ProbeKind::Startup { !started } else { started };
            gated && (p.kind == ProbeKind::Readiness || !readiness_alone)
        };
        self.all.iter_mut().filter(counts).map(|p| (p.kind, p.due(begun, now))).collect()
    }

    /// Takes an outcome; whether the verdict of `kind` is another now.
    pub(super) fn observe(&mut self, kind: ProbeKind, probed: &ProbeResult) -> bool {
        let Some(probe) = self.all.iter_mut().find(|p| p.kind == kind) else { return false };
        match probed {
            ProbeResult::Success | ProbeResult::Warning(_) => probe.observe(true),
            ProbeResult::Failure(_) => probe.observe(false),
            ProbeResult::Error(_) => {
                probe.discard();
                false
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secs(n: u64) -> Duration {
        Duration::from_secs(n)
    }

    fn probes(yaml: &str) -> Probes {
        let container: Container = serde_yaml::from_str(&format!("{{name: c, {yaml}}}")).expect("a container");
        let mut probes = Probes::of(&container);
        probes.begin(Duration::ZERO, 0);
        probes
    }

    /// The seconds at which `kind` is probed within a minute, where every attempt ends as `outcome` says.
    fn probed_at(probes: &mut Probes, kind: ProbeKind, begun: u64, outcome: fn(u64) -> ProbeResult) -> Vec<u64> {
        let mut at = Vec::new();
        for second in begun..60 {
            if probes.due(secs(begun), false, secs(second)).contains(&(kind, NextProbe::Now)) {
                at.push(second);
                probes.observe(kind, &outcome(second));
            }
        }
        at
    }

    #[test]
    fn k56_probes_have_kubernetes_defaults() {
        let mut all = probes("livenessProbe: {tcpSocket: {port: 1}}");
        let fails = |_| ProbeResult::Failure(String::new());
        assert_eq!(probed_at(&mut all, ProbeKind::Liveness, 0, fails), [10, 20, 30], "held after three failures");
        assert_eq!(all.failed(), Some((ProbeKind::Liveness, None)));
    }

    #[test]
    fn k57_before_the_first_attempt_it_lives_is_not_ready_and_has_not_started() {
        let all = probes("livenessProbe: {}, readinessProbe: {}, startupProbe: {}");
        assert!(all.failed().is_none() && !all.ready() && !all.started());
        let none = probes("image: x");
        assert!(none.ready() && none.started());
    }

    #[test]
    fn k58_others_wait_for_startup_whose_verdict_holds_until_the_next_attempt() {
        let mut all =
            probes("livenessProbe: {periodSeconds: 1}, startupProbe: {periodSeconds: 1, failureThreshold: 2}");
        let kinds = |due: Vec<(ProbeKind, NextProbe)>| due.into_iter().map(|(kind, _)| kind).collect::<Vec<_>>();
        assert_eq!(kinds(all.due(secs(0), false, secs(1))), [ProbeKind::Startup]);
        assert!(all.observe(ProbeKind::Startup, &ProbeResult::Success));
        assert_eq!(kinds(all.due(secs(0), false, secs(2))), [ProbeKind::Liveness]);
        all.reset();
        assert_eq!(kinds(all.due(secs(3), false, secs(3))), [ProbeKind::Startup]);
        let fails = |_| ProbeResult::Failure(String::new());
        all.observe(ProbeKind::Startup, &fails(3));
        assert_eq!(probed_at(&mut all, ProbeKind::Startup, 4, fails), [4], "the second failure holds");
        assert_eq!(all.failed(), Some((ProbeKind::Startup, None)));
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
    fn rhythms_that_were_moved_meet_at_few_moments_and_one_that_was_not_keeps_its_own() {
        let first = |begun: u64, part: u8| {
            let container = "{name: c, livenessProbe: {periodSeconds: 10}}";
            let mut all = Probes::of(&serde_yaml::from_str(container).expect("a container"));
            all.begin(Duration::from_millis(begun), part);
            all.all[0].next.expect("begun")
        };
        assert_eq!(first(1234, 0), Duration::from_millis(11_234));
        let moments: std::collections::BTreeSet<_> = (0..1000).map(|i| first(i, (i % 255) as u8 + 1)).collect();
        assert!((30..=40).contains(&moments.len()), "{}", moments.len());
        let (least, most) = (moments.first().expect("some"), moments.last().expect("some"));
        assert!(*most - *least > secs(9), "over the whole period: {least:?} to {most:?}");
    }

    #[test]
    fn the_time_to_look_again_is_the_first_tick_that_counts() {
        for (delay, at) in [(0, 5), (5, 5), (6, 10), (10, 10), (11, 15)] {
            let mut all = probes(&format!("livenessProbe: {{periodSeconds: 5, initialDelaySeconds: {delay}}}"));
            assert_eq!(
                all.due(secs(0), false, secs(1)),
                [(ProbeKind::Liveness, NextProbe::At(secs(at)))],
                "delay {delay}"
            );
        }
    }

    #[test]
    fn thresholds_count_in_a_row_and_errors_say_nothing() {
        let mut all = probes("readinessProbe: {periodSeconds: 1, successThreshold: 2, failureThreshold: 2}");
        let mut second = 0;
        let mut ready_after = |probed: ProbeResult| {
            second += 1;
            assert_eq!(all.due(secs(0), false, secs(second)), [(ProbeKind::Readiness, NextProbe::Now)]);
            all.observe(ProbeKind::Readiness, &probed);
            all.ready()
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
    fn a_tick_that_came_during_an_attempt_is_made_up_for_once() {
        let mut all = probes("readinessProbe: {periodSeconds: 1}");
        assert_eq!(all.due(secs(0), false, secs(1)), [(ProbeKind::Readiness, NextProbe::Now)]);
        assert_eq!(all.due(secs(0), false, secs(4)), [(ProbeKind::Readiness, NextProbe::Never)]);
        all.observe(ProbeKind::Readiness, &ProbeResult::Success);
        let late = Duration::from_millis(4500);
        assert_eq!(all.due(secs(0), false, late), [(ProbeKind::Readiness, NextProbe::Now)]);
        all.observe(ProbeKind::Readiness, &ProbeResult::Success);
        assert_eq!(all.due(secs(0), false, late), [(ProbeKind::Readiness, NextProbe::At(secs(5)))]);
    }

    #[test]
    fn a_wanted_readiness_is_probed_when_it_is_wanted() {
        let mut all = probes("readinessProbe: {}");
        all.want_readiness(secs(1));
        assert_eq!(all.due(secs(0), false, secs(0)), [(ProbeKind::Readiness, NextProbe::At(secs(1)))]);
        assert_eq!(all.due(secs(0), false, secs(1)), [(ProbeKind::Readiness, NextProbe::Now)]);
        let mut delayed = probes("readinessProbe: {initialDelaySeconds: 3}");
        delayed.want_readiness(secs(0));
        assert_eq!(delayed.due(secs(0), false, secs(0)), [(ProbeKind::Readiness, NextProbe::At(secs(10)))]);
    }

    #[test]
    fn k64_a_container_that_is_being_ended_is_probed_for_readiness_alone() {
        let mut all = probes("livenessProbe: {periodSeconds: 1}, readinessProbe: {periodSeconds: 1}");
        assert_eq!(all.due(secs(0), true, secs(1)), [(ProbeKind::Readiness, NextProbe::Now)]);
    }

    #[test]
    fn rhythms_can_be_spread() {
        let container: Container = serde_yaml::from_str("{name: c, livenessProbe: {}}").expect("a container");
        let mut all = Probes::of(&container);
        all.begin(secs(100), 64);
        assert_eq!(
            all.due(secs(100), false, secs(100)),
            [(ProbeKind::Liveness, NextProbe::At(Duration::from_millis(107_500)))]
        );
    }
}
