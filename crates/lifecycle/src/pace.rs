//! How fast a kubelet reacts: the waits that are part of what users see.

use std::time::Duration;

/// The period of a kubelet's pod lifecycle event generator. A pod whose sandbox has just become ready, and a pod
/// whose container was just killed, is looked at again after it (K34).
pub(super) const RELIST_PERIOD: Duration = Duration::from_secs(1);
/// The wait before a kubelet retries a start that failed for a reason that may pass: its ten seconds and half of
/// the jitter that it adds to them (K34).
pub(super) const SYNC_RETRY: Duration = Duration::from_millis(12_500);
/// The time for which a status shows a container as terminated before it shows the back-off: a kubelet looks once
/// a second (K34).
pub(super) const TERMINATED_VISIBLE_FOR: Duration = Duration::from_secs(1);
/// The wait before the first readiness probe of a container that runs, whatever the probe's period. A kubelet probes
/// once within its first second, and a probe that comes before the container listens would be repeated only a
/// period later.
pub(super) const FIRST_READINESS_DELAY: Duration = Duration::from_millis(500);
/// The minimum between the request to terminate and the kill, as in a kubelet.
pub(super) const MIN_GRACE_PERIOD: Duration = Duration::from_secs(2);
/// The time that a container has to exit when its node stops at once.
pub(super) const IMMEDIATE_GRACE_PERIOD: Duration = Duration::from_millis(500);
/// A pod's grace period where its spec has none.
pub(super) const DEFAULT_GRACE_PERIOD: Duration = Duration::from_secs(30);
/// The wait before the first retry of a sandbox that could not be set up; it doubles with each failure.
pub(super) const MIN_SANDBOX_RETRY: Duration = Duration::from_millis(500);
/// The maximum wait before a retry of the sandbox.
pub(super) const MAX_SANDBOX_RETRY: Duration = Duration::from_secs(122);
