//! The amounts of memory and disk below which a node evicts pods (kubelet's `--eviction-hard`).

use std::fmt;
use std::path::Path;
use std::str::FromStr;

use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

use crate::model::quantity;

/// The thresholds of a node. What has none never leads to an eviction.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct EvictionThresholds {
    /// Memory that must be available.
    pub memory: Option<Threshold>,
    /// Bytes that must be available on the file system of the node's directory.
    pub disk: Option<Threshold>,
    /// Inodes that must be free there.
    pub inodes: Option<Threshold>,
}

/// An amount, or a part of the capacity.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Threshold {
    /// An amount.
    Amount(u64),
    /// Percent of the capacity.
    Percent(f64),
    /// An amount, or percent of a small capacity.
    AtMost(u64, f64),
}

impl Threshold {
    /// Returns the amount for a capacity.
    pub fn amount(self, capacity: u64) -> u64 {
        let part = |percent: f64| (capacity as f64 * percent / 100.0) as u64;
        match self {
            Threshold::Amount(amount) => amount,
            Threshold::Percent(percent) => part(percent),
            Threshold::AtMost(amount, percent) => amount.min(part(percent)),
        }
    }
}

/// Kubernetes' threshold for memory; a small node keeps a tenth.
const MEMORY: Threshold = Threshold::AtMost(100 << 20, 10.0);
/// Kubernetes' threshold for the disk, but never more than a gibibyte.
const DISK: Threshold = Threshold::AtMost(1 << 30, 10.0);
/// Kubernetes' threshold for inodes.
const INODES: Threshold = Threshold::Percent(5.0);

impl EvictionThresholds {
    /// Those of a node that watches its memory only, such as that of a run: its disk is the user's business.
    pub const MEMORY_ONLY: EvictionThresholds = EvictionThresholds { memory: Some(MEMORY), disk: None, inodes: None };
    /// Those of a node that runs by itself.
    pub const NODE: EvictionThresholds =
        EvictionThresholds { memory: Some(MEMORY), disk: Some(DISK), inodes: Some(INODES) };
}

/// The names of the thresholds, as kubelet's.
const SIGNALS: &str = "memory.available, nodefs.available or nodefs.inodesFree";

/// A list of thresholds cannot be used.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum ThresholdError {
    /// It is not of the form `SIGNAL<AMOUNT`.
    #[error("expected SIGNAL<AMOUNT, such as memory.available<100Mi or nodefs.available<10%, found {0:?}")]
    Form(String),
    /// No such threshold.
    #[error("unknown signal {0:?}; expected {SIGNALS}")]
    Signal(String),
    /// The amount is neither a quantity nor a percentage.
    #[error("amount {amount:?} of {signal} is neither a quantity, such as 100Mi, nor a percentage up to 100%")]
    Amount {
        /// Name of the threshold.
        signal: String,
        /// The given text.
        amount: String,
    },
}

impl FromStr for EvictionThresholds {
    type Err = ThresholdError;

    /// Parses thresholds as kubelet's `--eviction-hard` has them; those that are not named do not apply.
    fn from_str(text: &str) -> Result<EvictionThresholds, ThresholdError> {
        let mut thresholds = EvictionThresholds { memory: None, disk: None, inodes: None };
        for entry in text.split(',').map(str::trim).filter(|entry| !entry.is_empty()) {
            let (signal, amount) = entry.split_once('<').ok_or_else(|| ThresholdError::Form(entry.into()))?;
            let field = match signal.trim() {
                "memory.available" => &mut thresholds.memory,
                "nodefs.available" => &mut thresholds.disk,
                "nodefs.inodesFree" => &mut thresholds.inodes,
                other => return Err(ThresholdError::Signal(other.into())),
            };
            let invalid = || ThresholdError::Amount { signal: signal.trim().into(), amount: amount.trim().into() };
            *field = Some(parse_amount(amount.trim()).ok_or_else(invalid)?);
        }
        Ok(thresholds)
    }
}

fn parse_amount(text: &str) -> Option<Threshold> {
    match text.strip_suffix('%') {
        Some(percent) => {
            let percent = percent.parse().ok().filter(|percent| (0.0..=100.0).contains(percent));
            percent.map(Threshold::Percent)
        }
        None => quantity::units(&Quantity(text.into())).ok()?.try_into().ok().map(Threshold::Amount),
    }
}

/// What a file system has left.
#[derive(Debug, Clone, Copy)]
pub struct FileSystem {
    pub bytes: Supply,
    pub inodes: Supply,
}

/// How much there is of something, and how much of it is available.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Supply {
    pub available: u64,
    pub capacity: u64,
}

impl FileSystem {
    /// Returns what the file system of `directory` has left; `None` if it cannot be asked.
    pub fn of(directory: &Path) -> Option<FileSystem> {
        let stats = rustix::fs::statvfs(directory).ok()?;
        let bytes = Supply { available: stats.f_bavail * stats.f_frsize, capacity: stats.f_blocks * stats.f_frsize };
        Some(FileSystem { bytes, inodes: Supply { available: stats.f_favail, capacity: stats.f_files } })
    }
}

/// A resource of which a node lacks some, as messages name it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ScarceResource {
    Memory,
    EphemeralStorage,
    Inodes,
}

impl fmt::Display for ScarceResource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            ScarceResource::Memory => "memory",
            ScarceResource::EphemeralStorage => "ephemeral-storage",
            ScarceResource::Inodes => "inodes",
        })
    }
}

/// A supply that is below its threshold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shortage {
    pub resource: ScarceResource,
    pub threshold: u64,
    pub available: u64,
}

impl EvictionThresholds {
    /// Returns whether memory is low.
    pub fn memory_shortage(&self, supply: Supply) -> Option<Shortage> {
        shortage(ScarceResource::Memory, self.memory, supply)
    }

    /// Returns what the file system lacks, which is asked only if there is a threshold. File systems without a table of
    /// inodes report none.
    pub fn disk_shortage(&self, file_system: impl FnOnce() -> Option<FileSystem>) -> Option<Shortage> {
        self.disk.or(self.inodes)?;
        let FileSystem { bytes, inodes } = file_system()?;
        let inodes = (inodes.capacity > 0).then_some(inodes);
        let inodes = || shortage(ScarceResource::Inodes, self.inodes, inodes?);
        shortage(ScarceResource::EphemeralStorage, self.disk, bytes).or_else(inodes)
    }
}

fn shortage(resource: ScarceResource, threshold: Option<Threshold>, supply: Supply) -> Option<Shortage> {
    let Supply { available, capacity } = supply;
    let threshold = threshold?.amount(capacity);
    (available < threshold).then_some(Shortage { resource, threshold, available })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thresholds_are_spelled_as_kubelets() {
        let parsed: EvictionThresholds = "memory.available<100Mi, nodefs.available<10%".parse().expect("valid");
        let expected = EvictionThresholds {
            memory: Some(Threshold::Amount(100 << 20)),
            disk: Some(Threshold::Percent(10.0)),
            inodes: None,
        };
        assert_eq!(parsed, expected);
        for (text, error) in [
            (
                "memory.available",
                "expected SIGNAL<AMOUNT, such as memory.available<100Mi or nodefs.available<10%, found \"memory.available\"",
            ),
            (
                "pid.available<10",
                "unknown signal \"pid.available\"; expected memory.available, nodefs.available or nodefs.inodesFree",
            ),
            (
                "nodefs.available<110%",
                "amount \"110%\" of nodefs.available is neither a quantity, such as 100Mi, nor a percentage up to 100%",
            ),
            (
                "memory.available<much",
                "amount \"much\" of memory.available is neither a quantity, such as 100Mi, nor a percentage up to 100%",
            ),
        ] {
            assert_eq!(text.parse::<EvictionThresholds>().expect_err("invalid").to_string(), error);
        }
    }

    #[test]
    fn shortages_are_below_their_thresholds() {
        const MIB: u64 = 1 << 20;
        let node = EvictionThresholds::NODE;
        let supply = |available, capacity| Supply { available, capacity };
        let memory = |available, capacity| node.memory_shortage(supply(available * MIB, capacity * MIB)).is_some();
        assert_eq!(
            [memory(99, 4096), memory(100, 4096), memory(50, 64)],
            [true, false, false],
            "a small node keeps a tenth"
        );
        let disk = |bytes, inodes| {
            let found = node.disk_shortage(|| Some(FileSystem { bytes, inodes }));
            found.map(|shortage| (shortage.resource, shortage.threshold))
        };
        let (plenty, none) = (supply(900, 1000), supply(0, 0));
        assert_eq!(disk(supply(1023 * MIB, 1 << 40), plenty), Some((ScarceResource::EphemeralStorage, 1 << 30)));
        assert_eq!(disk(supply(1024 * MIB, 1 << 40), plenty), None, "a large disk keeps a gibibyte");
        assert_eq!(disk(supply(9, 100), plenty), Some((ScarceResource::EphemeralStorage, 10)));
        assert_eq!(disk(supply(10, 100), supply(49, 1000)), Some((ScarceResource::Inodes, 50)));
        assert_eq!(disk(supply(10, 100), none), None, "a file system without a table of inodes");
        assert_eq!(EvictionThresholds::MEMORY_ONLY.disk_shortage(|| unreachable!("it is not asked")), None);
    }
}
