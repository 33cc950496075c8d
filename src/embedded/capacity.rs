//! The resources that a node offers to its pods.

use std::path::Path;
use std::str::FromStr;

use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

use super::engine;
use crate::model::quantity;
use crate::node::ResourceAmounts;

/// The resources that pods may request in total. Amounts that are not set default to those of the machine.
///
/// ```
/// use wasmpod::Capacity;
///
/// let capacity: Capacity = "cpu=4,memory=8Gi,pods=110,ephemeral-storage=20Gi".parse()?;
/// # Ok::<(), wasmpod::CapacityError>(())
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Capacity {
    cpu_milli: Option<i128>,
    memory: Option<i128>,
    ephemeral_storage: Option<i128>,
    pods: Option<i128>,
}

/// The error of a text that is not a valid [`Capacity`].
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum CapacityError {
    /// An entry is not of the form `NAME=QUANTITY`.
    #[error("expected NAME=QUANTITY, found {0:?}")]
    InvalidEntry(String),
    /// The name of a resource is not known.
    #[error("unknown resource {0:?}; expected cpu, memory, pods or ephemeral-storage")]
    UnknownResource(String),
    /// The quantity of a resource is not valid, or negative.
    #[error("quantity {quantity:?} of {resource} is not valid")]
    InvalidQuantity {
        /// The name of the resource.
        resource: String,
        /// The text of the quantity.
        quantity: String,
    },
}

type ParseQuantity = fn(&Quantity) -> Result<i128, quantity::ParseQuantityError>;

impl FromStr for Capacity {
    type Err = CapacityError;

    fn from_str(text: &str) -> Result<Capacity, CapacityError> {
        let mut capacity = Capacity::default();
        for entry in text.split(',') {
            let (name, quantity) = entry.split_once('=').ok_or_else(|| CapacityError::InvalidEntry(entry.into()))?;
            let name = name.trim();
            let (field, parse): (_, ParseQuantity) = match name {
                "cpu" => (&mut capacity.cpu_milli, quantity::milli),
                "memory" => (&mut capacity.memory, quantity::units),
                "ephemeral-storage" => (&mut capacity.ephemeral_storage, quantity::units),
                "pods" => (&mut capacity.pods, quantity::units),
                other => return Err(CapacityError::UnknownResource(other.into())),
            };
            let invalid = || CapacityError::InvalidQuantity { resource: name.into(), quantity: quantity.into() };
            let amount = parse(&Quantity(quantity.trim().into())).ok().filter(|amount| *amount >= 0);
            *field = Some(amount.ok_or_else(invalid)?);
        }
        Ok(capacity)
    }
}

impl Capacity {
    /// Returns the resources of a node that stores its pods in `directory`. Unset resources are those of the machine.
    /// The process can run `max_containers` containers, which defaults to what its memory maps allow.
    pub(super) fn resources(self, directory: &Path, max_containers: Option<usize>) -> ResourceAmounts {
        let containers = max_containers.unwrap_or_else(engine::max_containers);
        let containers = i128::try_from(containers).unwrap_or(i128::MAX);
        ResourceAmounts {
            cpu_milli: self.cpu_milli.unwrap_or_else(machine_cpu_milli),
            memory: self.memory.unwrap_or_else(machine_memory),
            ephemeral_storage: self.ephemeral_storage.unwrap_or_else(|| file_system_size(directory)),
            pods: self.pods.unwrap_or(containers),
            containers,
        }
    }
}

fn machine_cpu_milli() -> i128 {
    std::thread::available_parallelism().map_or(1000, |count| i128::try_from(count.get()).unwrap_or(1) * 1000)
}

/// Returns the machine's memory in bytes, or the limit of this process's control groups if that is lower.
fn machine_memory() -> i128 {
    let text = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"));
    let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<i128>().ok());
    let groups = std::fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let group_limit = group_memory_limit(Path::new("/sys/fs/cgroup"), &groups);
    // An unknown size does not limit pods.
    let total = kib.map_or(i128::from(i64::MAX), |kib| kib * 1024);
    group_limit.map_or(total, |limit: i128| limit.min(total))
}

/// Returns the lowest memory limit of the control groups in `groups` (/proc/self/cgroup), and of those that contain them,
/// in version 1 or 2 of control groups mounted at `root`.
fn group_memory_limit(root: &Path, groups: &str) -> Option<i128> {
    let limits = groups.lines().filter_map(|line| {
        let mut parts = line.splitn(3, ':');
        let (_, controllers, path) = (parts.next()?, parts.next()?, parts.next()?);
        let (mount, file) = match controllers {
            "" => (root.to_path_buf(), "memory.max"),
            _ if controllers.split(',').any(|name| name == "memory") => (root.join("memory"), "memory.limit_in_bytes"),
            _ => return None,
        };
        let limit = |group: &Path| std::fs::read_to_string(group.join(file)).ok()?.trim().parse::<i128>().ok();
        let group = mount.join(path.trim_start_matches('/'));
        group.ancestors().take_while(|group| group.starts_with(&mount)).filter_map(limit).min()
    });
    limits.min()
}

/// Returns the size in bytes of the file system that contains `directory`.
fn file_system_size(directory: &Path) -> i128 {
    let size = rustix::fs::statvfs(directory).map(|stats| i128::from(stats.f_blocks) * i128::from(stats.f_frsize));
    size.unwrap_or(i128::from(i64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_limits_of_control_groups_are_found() {
        let root = tempfile::tempdir().expect("a directory");
        let write = |path: &str, content: &str| {
            let path = root.path().join(path);
            std::fs::create_dir_all(path.parent().expect("a parent")).expect("made");
            std::fs::write(path, content).expect("written");
        };
        let limit = |groups: &str| group_memory_limit(root.path(), groups);
        assert_eq!(limit("0::/system.slice/wasmpod.service\n"), None);
        write("memory.max", "max\n");
        write("system.slice/memory.max", "1000\n");
        write("system.slice/wasmpod.service/memory.max", "2000\n");
        assert_eq!(limit("0::/system.slice/wasmpod.service\n"), Some(1000), "that of the slice is lower");
        write("system.slice/wasmpod.service/memory.max", "500\n");
        assert_eq!(limit("0::/system.slice/wasmpod.service\n"), Some(500));
        assert_eq!(limit("0::/\n"), None, "in a namespace without a limit");
        write("memory/a/memory.limit_in_bytes", "300\n");
        assert_eq!(limit("5:cpu,memory:/a\n3:pids:/b\n"), Some(300), "version 1");
    }

    #[test]
    fn unset_resources_default_to_the_machine() {
        let dir = tempfile::tempdir().expect("a directory");
        let machine = Capacity::default().resources(dir.path(), Some(7));
        assert!(machine.cpu_milli >= 1000 && machine.memory > 1 << 20 && machine.ephemeral_storage > 1 << 20);
        assert_eq!((machine.pods, machine.containers), (7, 7));
        let capacity: Capacity = "cpu=1500m, memory=1Gi,pods=2".parse().expect("a capacity");
        let expected = ResourceAmounts { cpu_milli: 1500, memory: 1 << 30, pods: 2, ..machine };
        assert_eq!(capacity.resources(dir.path(), Some(7)), expected);
    }

    #[test]
    fn invalid_capacities_are_rejected() {
        for (text, expected) in [
            ("cpu", "expected NAME=QUANTITY, found \"cpu\""),
            ("disk=1", "unknown resource \"disk\"; expected cpu, memory, pods or ephemeral-storage"),
            ("cpu=much", "quantity \"much\" of cpu is not valid"),
            ("memory=-1", "quantity \"-1\" of memory is not valid"),
        ] {
            assert_eq!(text.parse::<Capacity>().map_err(|error| error.to_string()), Err(expected.into()), "{text}");
        }
    }
}
