//! Properties of accounts, and tables for quotas and weights.

use std::sync::Arc;

use proptest::prelude::*;

use super::{
    Account, AccountLimits, AccountResource, CPU_PERIOD_NANOS, Charge, LimitExceeded, MIN_WEIGHT, MemoryAllowance,
    cpu_weight,
};

fn memory(limit: u64) -> AccountLimits {
    AccountLimits { memory: Some(limit), ..AccountLimits::NONE }
}

fn quota(millis: u64) -> AccountLimits {
    AccountLimits { cpu_millis: Some(millis), ..AccountLimits::NONE }
}

#[test]
fn charge_counts_at_all_levels_or_none() {
    let node = Account::root(memory(100));
    let pod = node.child(memory(60));
    let (one, two) = (pod.child(memory(50)), pod.child(memory(50)));
    let held = one.charge(AccountResource::Memory, 40).expect("it fits");
    let refused = |above, limit| LimitExceeded { resource: AccountResource::Memory, level: above, limit };
    assert_eq!(one.charge(AccountResource::Memory, 11).err(), Some(refused(0, 50)));
    assert_eq!(two.charge(AccountResource::Memory, 21).err(), Some(refused(1, 60)));
    let other = node.child(AccountLimits::NONE).charge(AccountResource::Memory, 60).expect("the node has room");
    assert_eq!(two.charge(AccountResource::Memory, 1).err(), Some(refused(2, 100)));
    assert_eq!((node.usage().memory, pod.usage().memory, two.usage().memory), (100, 40, 0));
    let allowance = |limit, used, available| MemoryAllowance { limit, used, available };
    assert_eq!((one.memory(), two.memory()), (allowance(50, 40, 0), allowance(50, 0, 0)));
    drop(other);
    assert_eq!((one.memory(), two.memory()), (allowance(50, 40, 10), allowance(50, 0, 20)));
    drop(held);
    assert_eq!((node.usage().memory, pod.usage().memory, one.usage().memory), (0, 0, 0));
    assert_eq!((node.usage().memory_peak, pod.usage().memory_peak, one.usage().memory_peak), (100, 40, 40));
}

#[test]
fn limits_change_while_charges_are_held() {
    let account = Account::root(memory(10));
    let mut held = account.charge(AccountResource::Memory, 10).expect("it fits");
    account.set_limits(memory(5));
    assert!(held.grow(1).is_err());
    assert_eq!(account.usage().memory, 10);
    account.set_limits(memory(12));
    assert!(held.grow(2).is_ok());
    assert_eq!(held.amount(), 12);
}

#[test]
fn weights_are_kubernetes_cpu_shares() {
    for (millis, shares) in [(0, 2), (1, 2), (2, 2), (100, 102), (250, 256), (1000, 1024), (4000, 4096)] {
        assert_eq!(cpu_weight(millis), shares, "{millis}m");
    }
    assert_eq!(MIN_WEIGHT, 2);
}

/// Returns the time that a guest that always computes gets in `periods`, measured once per `tick`.
fn used_time(account: &Arc<Account>, tick: u64, periods: u64) -> u64 {
    let (mut now, mut used) = (7 * CPU_PERIOD_NANOS, 0);
    let end = now + periods * CPU_PERIOD_NANOS;
    while now < end {
        match account.throttled_until(now) {
            Some(until) => now = until,
            None => {
                now += tick;
                used += tick;
                account.record_cpu(tick, now);
            }
        }
    }
    used
}

#[test]
fn mean_usage_is_the_quota_for_any_tick() {
    for millis in [10, 50, 100, 250, 500, 950, 1000] {
        for tick in [1_000_000, 3_700_000, 40_000_000] {
            let account = Account::root(quota(millis));
            let used = used_time(&account, tick, 1000) as f64 / (1000 * CPU_PERIOD_NANOS) as f64;
            let quota = millis as f64 / 1000.0;
            assert!((used - quota).abs() < 0.005, "{millis}m at ticks of {tick} ns: {used}");
        }
    }
}

#[test]
fn pod_quota_covers_all_containers_and_debt_is_forgivable() {
    let pod = Account::root(quota(100));
    let (one, two) = (pod.child(AccountLimits::NONE), pod.child(AccountLimits::NONE));
    assert!(one.has_quota());
    let now = 50 * CPU_PERIOD_NANOS;
    // More than the quota of two periods, since accounts begin their periods at different times.
    one.record_cpu(CPU_PERIOD_NANOS / 4, now);
    assert!(two.throttled_until(now).is_some());
    assert_eq!(two.usage().cpu.used_nanos, 0);
    pod.forgive_cpu_debt();
    assert_eq!(two.throttled_until(now), None);
    one.record_cpu(CPU_PERIOD_NANOS, now);
    assert!(one.throttled_until(now).is_some_and(|until| until >= now + 8 * CPU_PERIOD_NANOS));
    pod.set_limits(AccountLimits::NONE);
    assert_eq!(one.throttled_until(now), None);
    assert!(!one.has_quota());
}

#[derive(Debug, Clone)]
enum Step {
    Charge { container: usize, amount: u64 },
    Grow { charge: usize, amount: u64 },
    Drop { charge: usize },
    Limit { container: usize, limit: u64 },
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        (0..6_usize, 0..50_u64).prop_map(|(container, amount)| Step::Charge { container, amount }),
        (0..20_usize, 0..50_u64).prop_map(|(charge, amount)| Step::Grow { charge, amount }),
        (0..20_usize).prop_map(|charge| Step::Drop { charge }),
        (0..6_usize, 0..80_u64).prop_map(|(container, limit)| Step::Limit { container, limit }),
    ];
    prop::collection::vec(step, 0..200)
}

proptest! {
    #[test]
    fn charges_never_exceed_limits_and_are_released(steps in steps()) {
        let node = Account::root(memory(200));
        let pods: Vec<_> = [90, 120].map(|limit| node.child(memory(limit))).into();
        let containers: Vec<_> = (0..6).map(|i| pods[i % 2].child(memory(40))).collect();
        let mut limits = [40; 6];
        let mut charges: Vec<(usize, Charge)> = Vec::new();
        for step in steps {
            let held = |charges: &[(usize, Charge)], container| -> u64 {
                charges.iter().filter(|(c, _)| *c == container).map(|(_, charge)| charge.amount()).sum()
            };
            let all = |charges: &[(usize, Charge)]| (0..6).map(|c| held(charges, c)).collect::<Vec<_>>();
            let before = all(&charges);
            let (container, amount, accepted) = match step {
                Step::Charge { container, amount } => {
                    let charge = containers[container].charge(AccountResource::Memory, amount);
                    let accepted = charge.is_ok();
                    charges.extend(charge.ok().map(|charge| (container, charge)));
                    (container, amount, accepted)
                }
                Step::Grow { charge, amount } if !charges.is_empty() => {
                    let at = charge % charges.len();
                    (charges[at].0, amount, charges[at].1.grow(amount).is_ok())
                }
                Step::Drop { charge } if !charges.is_empty() => {
                    drop(charges.swap_remove(charge % charges.len()));
                    continue;
                }
                Step::Limit { container, limit } => {
                    containers[container].set_limits(memory(limit));
                    limits[container] = limit;
                    continue;
                }
                Step::Grow { .. } | Step::Drop { .. } => continue,
            };
            let used_by_pod = |held: &[u64], pod: usize| held.iter().skip(pod).step_by(2).sum::<u64>();
            // Whether a charge fits depends only on the sums at each level.
            let fits = before[container] + amount <= limits[container]
                && used_by_pod(&before, container % 2) + amount <= [90, 120][container % 2]
                && before.iter().sum::<u64>() + amount <= 200;
            prop_assert_eq!(accepted, fits);
            let after = all(&charges);
            for (container, held) in after.iter().enumerate() {
                prop_assert_eq!(containers[container].usage().memory, *held);
            }
            for (pod, account) in pods.iter().enumerate() {
                prop_assert_eq!(account.usage().memory, used_by_pod(&after, pod));
            }
            prop_assert_eq!(node.usage().memory, after.iter().sum::<u64>());
        }
        drop(charges);
        for account in containers.iter().chain(&pods).chain([&node]) {
            prop_assert_eq!(account.usage().memory, 0);
        }
    }
}

#[test]
fn concurrent_charges_never_exceed_limits() {
    let pod = Account::root(AccountLimits { instances: Some(50), ..memory(1000) });
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                let container = pod.child(AccountLimits { instances: Some(10), ..memory(300) });
                for round in 0..2000_u64 {
                    let mut held = Vec::new();
                    for i in 0..20 {
                        held.extend(container.charge(AccountResource::Instances, 1));
                        held.extend(container.charge(AccountResource::Memory, (round * 7 + i * 13) % 60));
                        let (all, own) = (pod.usage(), container.usage());
                        assert!(all.memory <= 1000 && all.instances <= 50, "{all:?}");
                        assert!(own.memory <= 300 && own.instances <= 10, "{own:?}");
                    }
                }
            });
        }
    });
    let left = pod.usage();
    assert_eq!((left.memory, left.instances), (0, 0));
}
