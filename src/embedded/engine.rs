//! The engine that all nodes of this process share, and the number of containers that the process can run.

use std::path::PathBuf;
use std::sync::Arc;

use parking_lot::Mutex;

use crate::runtime::{CacheDirectories, Runtime, RuntimeError};

/// The shared engine. The lock is held while it is created, so that it is created once.
static ENGINE: Mutex<Option<Arc<Runtime>>> = Mutex::new(None);

/// Returns the shared engine, which the first call starts. Compiled programs are cached in the user's cache directory.
///
/// # Errors
///
/// Fails if the engine cannot be started.
pub fn engine() -> Result<Arc<Runtime>, RuntimeError> {
    let mut shared = ENGINE.lock();
    if let Some(engine) = &*shared {
        return Ok(engine.clone());
    }
    let engine = Runtime::new(cache_directories())?;
    *shared = Some(engine.clone());
    Ok(engine)
}

/// Returns wasmpod's directories in the user's XDG cache and state directories.
fn cache_directories() -> Option<CacheDirectories> {
    let directory = |variable: &str, default: &str| {
        let set = std::env::var_os(variable).map(PathBuf::from).filter(|path| path.is_absolute());
        set.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(default))).map(|path| path.join("wasmpod"))
    };
    Some(CacheDirectories {
        cache: directory("XDG_CACHE_HOME", ".cache")?,
        state: directory("XDG_STATE_HOME", ".local/state")?,
    })
}

/// Memory maps of a running container.
const MAPS_PER_CONTAINER: usize = 6;
/// Memory maps of everything else: the executable, threads and compiled code.
const RESERVED_MAPS: usize = 4096;
/// The kernel's default of `vm.max_map_count`.
const DEFAULT_MAX_MAPS: usize = 65530;

/// Returns the number of containers that fit into this process: exceeding `vm.max_map_count` would abort it.
pub fn max_containers() -> usize {
    let limit = std::fs::read_to_string("/proc/sys/vm/max_map_count").ok().and_then(|text| text.trim().parse().ok());
    limit.unwrap_or(DEFAULT_MAX_MAPS).saturating_sub(RESERVED_MAPS) / MAPS_PER_CONTAINER
}
