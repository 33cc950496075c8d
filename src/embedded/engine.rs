//! What this process has once, whatever the number of its nodes: the engine and the limits.

use std::path::PathBuf;
use std::sync::Arc;

use parking_lot::Mutex;

use crate::runtime::{CacheDirectories, Runtime, RuntimeError};

/// Protects the making of the engine, which is made once.
static ENGINE: Mutex<Option<Arc<Runtime>>> = Mutex::new(None);

/// The guests' engine, started when it is first asked for. Compiled programs are kept in the
/// user's own cache.
pub fn engine() -> Result<Arc<Runtime>, RuntimeError> {
    let mut made = ENGINE.lock();
    if let Some(engine) = &*made {
        return Ok(engine.clone());
    }
    let engine = Runtime::new(cache_folders())?;
    *made = Some(engine.clone());
    Ok(engine)
}

/// XDG's places for caches and state.
fn cache_folders() -> Option<CacheDirectories> {
    let place = |variable: &str, default: &str| {
        let set = std::env::var_os(variable).map(PathBuf::from).filter(|path| path.is_absolute());
        set.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(default))).map(|path| path.join("wasmpod"))
    };
    Some(CacheDirectories {
        cache: place("XDG_CACHE_HOME", ".cache")?,
        state: place("XDG_STATE_HOME", ".local/state")?,
    })
}

/// Memory maps that a running container takes.
const MAPS_PER_CONTAINER: usize = 6;
/// Maps for everything else: this program, its threads, compiled code.
const MAPS_RESERVED: usize = 4096;
/// The kernel's own default.
const DEFAULT_MAX_MAPS: usize = 65530;

/// Containers that this process can map; one more would end it, so they are refused before.
pub fn capacity() -> usize {
    let limit = std::fs::read_to_string("/proc/sys/vm/max_map_count").ok().and_then(|text| text.trim().parse().ok());
    limit.unwrap_or(DEFAULT_MAX_MAPS).saturating_sub(MAPS_RESERVED) / MAPS_PER_CONTAINER
}
