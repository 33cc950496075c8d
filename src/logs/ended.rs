//! The logs of ended attempts that are in memory: they count against the memory that the node retains.
//!
//! While memory is scarce, the lines of the logs that ended first are dropped from memory. Lines that are in files are read
//! from there; without files, readers get a [`LogEntry::Gap`](super::LogEntry::Gap).

use std::collections::BTreeMap;
use std::sync::{Arc, Weak};

use parking_lot::Mutex;

use super::Log;
use crate::budget::{RetainedCharge, RetainedKind, RetainedMemory};

/// The ended logs of a node.
pub struct EndedLogs {
    memory: Arc<RetainedMemory>,
    /// Protects the logs with lines in memory.
    queue: Mutex<EndedQueue>,
}

#[derive(Default)]
struct EndedQueue {
    next_number: u64,
    /// The logs by the order in which they ended.
    logs: BTreeMap<u64, Weak<Log>>,
}

/// Membership of a log in [`EndedLogs`], from its end on.
pub(super) struct EndedEntry {
    ended: Arc<EndedLogs>,
    /// Protects the number in the queue; `None` before the log ends and after its lines were dropped.
    number: Mutex<Option<u64>>,
}

impl EndedEntry {
    /// Returns a charge for the lines of the log.
    pub fn charge(&self) -> RetainedCharge {
        self.ended.memory.charge(RetainedKind::Logs)
    }

    /// Adds the log, which has just ended.
    pub fn add(&self, log: Weak<Log>) {
        let number = {
            let mut queue = self.ended.queue.lock();
            queue.next_number += 1;
            let number = queue.next_number;
            queue.logs.insert(number, log);
            number
        };
        *self.number.lock() = Some(number);
        self.ended.drop_excess();
    }
}

impl Drop for EndedEntry {
    fn drop(&mut self) {
        if let Some(number) = self.number.get_mut().take() {
            self.ended.queue.lock().logs.remove(&number);
        }
    }
}

impl EndedLogs {
    /// Returns an empty set, whose logs count against `memory`.
    pub fn new(memory: Arc<RetainedMemory>) -> Arc<EndedLogs> {
        Arc::new(EndedLogs { memory, queue: Mutex::default() })
    }

    /// Counts the lines of `log` from its end on.
    pub fn track(self: &Arc<EndedLogs>, log: &Log) {
        // A log has one node, which tracks it once.
        let _ = log.ended.set(EndedEntry { ended: self.clone(), number: Mutex::new(None) });
    }

    /// Drops lines from memory while it is scarce, those of the log first that ended first. Lines stay that are not in
    /// their file yet.
    pub fn drop_excess(&self) {
        let mut after = 0;
        while self.memory.excess(RetainedKind::Logs) > 0 {
            // The log may be dropped here, which takes the lock as well.
            let Some((number, log)) = self.next_after(after) else { return };
            after = number;
            if log.upgrade().is_some_and(|log| log.drop_lines()) {
                self.queue.lock().logs.remove(&number);
                self.memory.count_dropped(RetainedKind::Logs, 1);
            }
        }
    }

    fn next_after(&self, number: u64) -> Option<(u64, Weak<Log>)> {
        self.queue.lock().logs.range(number + 1..).next().map(|(number, log)| (*number, log.clone()))
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::logs::{LogEntry, LogId, LogReader, LogStreamType, PodLogs, Spool};

    const LINES: u64 = 100;

    fn write(log: &Log) {
        let line = [&[b'x'; 999][..], b"\n"].concat();
        for _ in 0..LINES {
            log.write(LogStreamType::Stdout, &line, Timestamp::UNIX_EPOCH);
        }
    }

    /// Returns the account of a node whose ended logs may take as much as `logs` of [`write`].
    fn memory_for(logs: u64) -> Arc<RetainedMemory> {
        let log = Log::new();
        write(&log);
        // History has an eighth.
        RetainedMemory::new(log.memory_bytes() as u64 * logs * 8 / 7)
    }

    fn used(memory: &RetainedMemory) -> (u64, u64) {
        let usage = memory.usage()[2];
        (usage.bytes, usage.dropped)
    }

    async fn counts(mut reader: LogReader) -> (u64, u64) {
        let (mut lines, mut lost) = (0, 0);
        while let Some(entries) = reader.next().await {
            for entry in entries {
                match entry {
                    LogEntry::Line(_) => lines += 1,
                    LogEntry::Gap(count) => lost += count,
                }
            }
        }
        (lines, lost)
    }

    #[tokio::test]
    async fn lines_of_the_logs_that_ended_first_are_dropped() {
        let memory = memory_for(2);
        let ended = EndedLogs::new(memory.clone());
        let logs = [Log::new(), Log::new(), Log::new(), Log::new()];
        for log in &logs {
            ended.track(log);
            write(log);
        }
        let bytes = logs[0].memory_bytes() as u64;
        assert_eq!(used(&memory), (0, 0), "running attempts do not count");
        [2, 0, 1].into_iter().for_each(|index: usize| logs[index].close(Timestamp::UNIX_EPOCH));
        assert_eq!(used(&memory), (2 * bytes, 1));
        assert_eq!(counts(logs[2].reader()).await, (0, LINES));
        assert_eq!(counts(logs[0].reader()).await, (LINES, 0));
        let [first, ..] = logs;
        drop(first);
        assert_eq!((used(&memory), ended.queue.lock().logs.len()), ((bytes, 1), 1));
    }

    #[tokio::test]
    async fn lines_in_files_stay_readable() {
        let directory = tempfile::tempdir().expect("a directory");
        let spool = Spool::new(directory.path()).expect("a spool");
        let pod: PodLogs = spool.pod_logs("ns", "pod", "7c9a7b0e-5b1d-4f0e-9a3c-2f1f0a9d8e7b");
        let log = pod.create_log(LogId { container: "c", container_id: "wasmpod://a", restarts: 0 });
        let memory = RetainedMemory::new(0);
        let ended = EndedLogs::new(memory.clone());
        ended.track(&log);
        write(&log);
        log.close(Timestamp::UNIX_EPOCH);
        assert_eq!(used(&memory), (log.memory_bytes() as u64, 0), "the lines are not in the file yet");
        while spool.has_work() {
            spool.process_queue();
        }
        ended.drop_excess();
        assert_eq!((used(&memory), log.memory_bytes()), ((0, 1), 0));
        assert_eq!(counts(log.reader()).await, (LINES, 0));
    }
}
