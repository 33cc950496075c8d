//! What of this machine a node's pods may ask for: all that it has, or what its user says.

use std::path::Path;
use std::str::FromStr;

use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

use super::engine;
use crate::model::quantity;
use crate::node::Resources;

/// Amounts that take the place of the machine's own: `cpu=4,memory=8Gi,pods=110,ephemeral-storage=20Gi`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Capacity {
    cpu_milli: Option<i128>,
    memory: Option<i128>,
    ephemeral_storage: Option<i128>,
    pods: Option<i128>,
}

/// A text that names no such amounts.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum CapacityError {
    /// It is not of the form `NAME=AMOUNT,…`.
    #[error("{0:?} is no NAME=AMOUNT")]
    Form(String),
    /// No such resource is counted.
    #[error("{0:?} is not counted: cpu, memory, pods and ephemeral-storage are")]
    Name(String),
    /// The amount is none.
    #[error("{0:?} is no amount of {1}")]
    Amount(String, String),
}

/// How an amount is counted.
type Read = fn(&Quantity) -> Result<i128, quantity::NotAQuantity>;

impl FromStr for Capacity {
    type Err = CapacityError;

    fn from_str(text: &str) -> Result<Capacity, CapacityError> {
        let mut capacity = Capacity::default();
        for part in text.split(',') {
            let (name, amount) = part.split_once('=').ok_or_else(|| CapacityError::Form(part.into()))?;
            let (place, read): (_, Read) = match name.trim() {
                "cpu" => (&mut capacity.cpu_milli, quantity::milli),
                "memory" => (&mut capacity.memory, quantity::units),
                "ephemeral-storage" => (&mut capacity.ephemeral_storage, quantity::units),
                "pods" => (&mut capacity.pods, quantity::units),
                other => return Err(CapacityError::Name(other.into())),
            };
            let wrong = || CapacityError::Amount(amount.into(), name.trim().into());
            let amount = read(&Quantity(amount.trim().into())).ok().filter(|amount| *amount >= 0);
            *place = Some(amount.ok_or_else(wrong)?);
        }
        Ok(capacity)
    }
}

impl Capacity {
    /// The amounts, and this machine's where none are given. Pods' folders lie at `folder`; a process holds no more
    /// than `containers` containers.
    pub(super) fn or_the_machines(self, folder: &Path, containers: Option<usize>) -> Resources {
        let containers = i128::try_from(containers.unwrap_or_else(engine::capacity)).unwrap_or(i128::MAX);
        Resources {
            cpu_milli: self.cpu_milli.unwrap_or_else(processors),
            memory: self.memory.unwrap_or_else(memory),
            ephemeral_storage: self.ephemeral_storage.unwrap_or_else(|| disk(folder)),
            pods: self.pods.unwrap_or(containers),
            containers,
        }
    }
}

fn processors() -> i128 {
    std::thread::available_parallelism().map_or(1000, |count| i128::try_from(count.get()).unwrap_or(1) * 1000)
}

/// What the machine has, or what a control group leaves this process of it.
fn memory() -> i128 {
    let text = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"));
    let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<i128>().ok());
    let group = std::fs::read_to_string("/sys/fs/cgroup/memory.max").ok().and_then(|text| text.trim().parse().ok());
    // A system that does not say has enough.
    let machine = kib.map_or(i128::from(i64::MAX), |kib| kib * 1024);
    group.map_or(machine, |group: i128| group.min(machine))
}

/// The size of the file system that `folder` lies in.
fn disk(folder: &Path) -> i128 {
    let size = rustix::fs::statvfs(folder).map(|disk| i128::from(disk.f_blocks) * i128::from(disk.f_frsize));
    size.unwrap_or(i128::from(i64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_read_and_the_rest_is_the_machines() {
        let folder = tempfile::tempdir().expect("a folder");
        let machine = Capacity::default().or_the_machines(folder.path(), Some(7));
        assert!(machine.cpu_milli >= 1000 && machine.memory > 1 << 20 && machine.ephemeral_storage > 1 << 20);
        assert_eq!((machine.pods, machine.containers), (7, 7));
        let capacity: Capacity = "cpu=1500m, memory=1Gi,pods=2".parse().expect("amounts");
        let mixed = capacity.or_the_machines(folder.path(), Some(7));
        let want = Resources { cpu_milli: 1500, memory: 1 << 30, pods: 2, ..machine };
        assert_eq!(mixed, want);
    }

    #[test]
    fn what_is_no_amount_is_refused_in_words() {
        for (text, want) in [
            ("cpu", "\"cpu\" is no NAME=AMOUNT"),
            ("disk=1", "\"disk\" is not counted: cpu, memory, pods and ephemeral-storage are"),
            ("cpu=much", "\"much\" is no amount of cpu"),
            ("memory=-1", "\"-1\" is no amount of memory"),
        ] {
            assert_eq!(text.parse::<Capacity>().map_err(|error| error.to_string()), Err(want.into()), "{text}");
        }
    }
}
