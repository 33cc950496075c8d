//! A disk in memory for tests: it can fail, stand still and lose power.

use std::io;
use std::sync::Arc;

use parking_lot::{Condvar, Mutex};
use redb::StorageBackend;

use super::database::{self, Opener};

/// A disk with one file.
#[derive(Debug, Default)]
pub(super) struct FakeDisk {
    state: Mutex<DiskState>,
    resumed: Condvar,
}

#[derive(Debug, Default)]
struct DiskState {
    /// The file as its reader sees it.
    content: Vec<u8>,
    /// The file as it was at the last sync.
    synced: Vec<u8>,
    /// What was done since, in order.
    unsynced: Vec<Change>,
    /// The error of everything that writes.
    failure: Option<i32>,
    /// Whether the next write panics.
    panics: bool,
    is_standing: bool,
    syncs: usize,
}

#[derive(Debug, Clone)]
enum Change {
    Write(usize, Vec<u8>),
    Resize(usize),
}

/// Bytes that are written as a whole or not at all.
const SECTOR: usize = 512;

impl FakeDisk {
    pub(super) fn with_content(content: Vec<u8>) -> Arc<FakeDisk> {
        let state = DiskState { synced: content.clone(), content, ..DiskState::default() };
        Arc::new(FakeDisk { state: Mutex::new(state), resumed: Condvar::new() })
    }

    pub(super) fn opener(self: &Arc<FakeDisk>) -> Opener {
        let disk = self.clone();
        Box::new(move || database::builder().create_with_backend(FakeFile(disk.clone())))
    }

    /// Makes everything fail that writes, with an error number of the operating system.
    pub(super) fn fail_with(&self, error: Option<i32>) {
        self.state.lock().failure = error;
    }

    /// Makes the next write panic, as redb does on inconsistent pages.
    pub(super) fn panic_once(&self) {
        self.state.lock().panics = true;
    }

    /// Makes syncs wait.
    pub(super) fn stand(&self, is_standing: bool) {
        self.state.lock().is_standing = is_standing;
        self.resumed.notify_all();
    }

    pub(super) fn syncs(&self) -> usize {
        self.state.lock().syncs
    }

    pub(super) fn size(&self) -> usize {
        self.state.lock().content.len()
    }

    pub(super) fn content(&self) -> Vec<u8> {
        self.state.lock().content.clone()
    }

    /// Returns what a disk holds that loses power now: of what was not synced, `decide` says of each sector whether it was
    /// written, in any order.
    pub(super) fn after_power_cut(&self, mut decide: impl FnMut() -> bool) -> Vec<u8> {
        let state = self.state.lock();
        let mut content = state.synced.clone();
        for change in &state.unsynced {
            match change {
                Change::Resize(length) => {
                    if decide() {
                        content.resize(*length, 0);
                    }
                }
                Change::Write(offset, data) => {
                    for (index, sector) in data.chunks(SECTOR).enumerate().filter(|_| decide()).collect::<Vec<_>>() {
                        let start = offset + index * SECTOR;
                        content.resize(content.len().max(start + sector.len()), 0);
                        content[start..start + sector.len()].copy_from_slice(sector);
                    }
                }
            }
        }
        content
    }
}

#[derive(Debug)]
struct FakeFile(Arc<FakeDisk>);

impl FakeFile {
    fn change(&self, change: Change) -> io::Result<()> {
        let mut state = self.0.state.lock();
        assert!(!std::mem::take(&mut state.panics), "a panic that the test wants");
        if let Some(error) = state.failure {
            return Err(io::Error::from_raw_os_error(error));
        }
        match &change {
            Change::Resize(length) => state.content.resize(*length, 0),
            Change::Write(offset, data) => state.content[*offset..offset + data.len()].copy_from_slice(data),
        }
        state.unsynced.push(change);
        Ok(())
    }
}

impl StorageBackend for FakeFile {
    fn len(&self) -> io::Result<u64> {
        Ok(self.0.state.lock().content.len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let offset = usize::try_from(offset).expect("small");
        let state = self.0.state.lock();
        let bytes = state.content.get(offset..offset + out.len()).ok_or(io::ErrorKind::UnexpectedEof)?;
        out.copy_from_slice(bytes);
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.change(Change::Resize(usize::try_from(len).expect("small")))
    }

    fn sync_data(&self) -> io::Result<()> {
        let mut state = self.0.state.lock();
        while state.is_standing {
            self.0.resumed.wait(&mut state);
        }
        if let Some(error) = state.failure {
            return Err(io::Error::from_raw_os_error(error));
        }
        state.syncs += 1;
        state.synced = state.content.clone();
        state.unsynced.clear();
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.change(Change::Write(usize::try_from(offset).expect("small"), data.to_vec()))
    }
}
