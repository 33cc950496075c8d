use super::*;

fn texts(entries: &[LogEntry]) -> Vec<String> {
    let text = |e: &LogEntry| match e {
        LogEntry::Line(line) => String::from_utf8_lossy(&line.text).into_owned(),
        LogEntry::Gap(n) => format!("gap of {n}"),
    };
    entries.iter().map(text).collect()
}

/// Reads the entries up to the current end of the log.
async fn read_available(reader: &mut LogReader) -> Vec<LogEntry> {
    reader.stop_at_current_end();
    let mut all = Vec::new();
    while let Some(entries) = reader.next().await {
        all.extend(entries);
    }
    all
}

#[tokio::test]
async fn lines_are_assembled_per_stream() {
    let log = Log::new();
    let at = Timestamp::UNIX_EPOCH;
    log.write(LogStreamType::Stdout, b"one\ntw", at);
    log.write(LogStreamType::Stderr, b"err", at);
    log.write(LogStreamType::Stdout, b"o\n\n", at);
    let mut reader = log.reader();
    assert_eq!(texts(&read_available(&mut reader).await), ["one", "two", ""]);
    log.close(at);
    assert_eq!(texts(&read_available(&mut reader).await), ["err"], "an unfinished line is finished on close");
}

#[test]
fn long_lines_are_split() {
    let log = Log::new();
    log.write(LogStreamType::Stdout, &[b'x'; MAX_LINE_BYTES * 2 + 1], Timestamp::UNIX_EPOCH);
    log.write(LogStreamType::Stdout, b"\n", Timestamp::UNIX_EPOCH);
    let lines: Vec<_> = log.tail(9).iter().map(|l| (l.text.len(), l.complete)).collect();
    assert_eq!(lines, [(MAX_LINE_BYTES, false), (MAX_LINE_BYTES, false), (1, true)]);
}

#[tokio::test]
async fn slow_reader_gets_a_gap_for_dropped_lines() {
    let log = Log::new();
    let mut reader = log.reader();
    for _ in 0..3000 {
        log.write(LogStreamType::Stdout, &[b"y".repeat(999), b"\n".to_vec()].concat(), Timestamp::UNIX_EPOCH);
    }
    let entries = read_available(&mut reader).await;
    assert_eq!(entries.first(), Some(&LogEntry::Gap(log.dropped_lines())));
    assert_eq!(entries.len() as u64 - 1 + log.dropped_lines(), 3000);
    let in_memory: usize = log.tail(usize::MAX).iter().map(|l| l.text.len()).sum();
    assert!(in_memory < RING_CAPACITY && in_memory > RING_CAPACITY / 2, "{in_memory} bytes in memory");
}

#[tokio::test]
async fn follower_reads_new_lines_and_the_end() {
    let log = Log::new();
    let mut reader = log.reader();
    let follower = tokio::spawn(async move {
        let mut seen = Vec::new();
        while let Some(entries) = reader.next().await {
            seen.extend(texts(&entries));
        }
        seen
    });
    for text in ["a\n", "b\n"] {
        log.write(LogStreamType::Stdout, text.as_bytes(), Timestamp::UNIX_EPOCH);
        tokio::task::yield_now().await;
    }
    log.close(Timestamp::UNIX_EPOCH);
    assert_eq!(follower.await.expect("joined"), ["a", "b"]);
}

mod in_files {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;
    use std::path::Path;

    use proptest::prelude::*;
    use tempfile::TempDir;

    use super::super::files::RotationLimits;
    use super::*;

    const UID: &str = "7c9a7b0e-5b1d-4f0e-9a3c-2f1f0a9d8e7b";
    const UNLIMITED: RotationLimits = limits(u64::MAX, 5);

    const fn limits(max_file_bytes: u64, max_files: usize) -> RotationLimits {
        RotationLimits { max_file_bytes, max_files }
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + second).expect("valid timestamp")
    }

    /// Returns a directory and a log in it that has only 1000 bytes of memory.
    fn small_log(limits: RotationLimits, buffer_budget: usize) -> (TempDir, Arc<Spool>, Arc<Log>) {
        let directory = tempfile::tempdir().expect("temporary directory");
        let spool = Arc::new(Spool::with_limits(directory.path().into(), 1000, buffer_budget, limits));
        let log = spool.pod_logs("ns", "pod", UID).create_log(id(0));
        (directory, spool, log)
    }

    fn id(restarts: u32) -> LogId<'static> {
        LogId { container: "c", container_id: ["wasmpod://a", "wasmpod://b"][restarts as usize], restarts }
    }

    fn process_all(spool: &Spool) {
        while spool.has_work() {
            spool.process_queue();
        }
    }

    /// Returns the names of the files in the container's directory, sorted.
    fn file_names(directory: &Path) -> Vec<String> {
        let entries = fs::read_dir(directory.join(format!("ns_pod_{UID}/c"))).into_iter().flatten().flatten();
        let mut names: Vec<String> = entries.map(|e| e.file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        names
    }

    #[tokio::test]
    async fn dropped_lines_are_read_from_files_exactly_once() {
        let (_directory, spool, log) = small_log(UNLIMITED, usize::MAX);
        let mut follower = log.reader();
        let mut seen = Vec::new();
        for i in 0..500 {
            log.write(LogStreamType::Stdout, format!("line {i}\n").as_bytes(), at(i));
            match i % 50 {
                20 => process_all(&spool),
                40 => seen.extend(texts(&read_available(&mut follower).await)),
                _ => {}
            }
        }
        process_all(&spool);
        seen.extend(texts(&read_available(&mut follower).await));
        let all: Vec<String> = (0..500).map(|i| format!("line {i}")).collect();
        assert_eq!(seen, all, "read by a follower");
        assert!(log.dropped_lines() > 400, "memory dropped only {} lines", log.dropped_lines());
        assert_eq!(texts(&read_available(&mut log.reader()).await), all, "read from the beginning");
        assert_eq!(spool.lost_lines(), 0);
    }

    #[tokio::test]
    async fn reader_skips_to_a_line_across_files_and_memory() {
        let (_directory, spool, log) = small_log(limits(2000, 50), usize::MAX);
        for i in 0..500 {
            log.write(LogStreamType::Stdout, format!("line {i}\n").as_bytes(), at(i));
            process_all(&spool);
        }
        for count in [0, 1, 5, 40, 499, 500, 900] {
            let mut reader = log.reader();
            reader.skip_to_last(count).await;
            let expected: Vec<String> =
                (0..500).skip(500_usize.saturating_sub(count)).map(|i| format!("line {i}")).collect();
            assert_eq!(texts(&read_available(&mut reader).await), expected, "the last {count}");
        }
        for since in [0, 3, 250, 499] {
            let mut reader = log.reader();
            reader.skip_towards(at(since)).await;
            let entries = read_available(&mut reader).await;
            let is_recent = |entry: &&LogEntry| matches!(entry, LogEntry::Line(line) if line.timestamp >= at(since));
            let recent = entries.iter().filter(is_recent).count();
            assert_eq!(recent as i64, 500 - since, "since {since}");
            assert!(entries.len() - recent < 120, "{} entries read since {since}", entries.len());
        }
    }

    #[tokio::test]
    async fn full_files_are_rotated_as_by_kubelet() {
        let (directory, spool, log) = small_log(limits(1000, 3), usize::MAX);
        for i in 0..100 {
            log.write(LogStreamType::Stderr, format!("line {i:02}\n").as_bytes(), at(i / 50));
        }
        process_all(&spool);
        // A file holds 20 lines of 47 bytes.
        assert_eq!(file_names(directory.path()), ["0.log", "0.log.20270115-080002", "0.log.20270115-080003"]);
        let container = directory.path().join(format!("ns_pod_{UID}/c"));
        for (path, mode) in [(container.clone(), 0o755), (container.join("0.log"), 0o640)] {
            let actual = fs::metadata(&path).expect("existing file").permissions().mode() & 0o777;
            assert_eq!(actual, mode, "{path:?}");
        }
        let text = fs::read_to_string(container.join("0.log")).expect("text");
        assert_eq!(text.lines().last(), Some("2027-01-15T08:00:01.000000000Z stderr F line 99"));
        let entries = read_available(&mut log.reader()).await;
        let Some(LogEntry::Gap(lost)) = entries.first() else { panic!("{entries:?}") };
        let expected: Vec<String> = (*lost..100).map(|i| format!("line {i:02}")).collect();
        assert!((40..70).contains(&expected.len()), "{} lines are left", expected.len());
        assert_eq!(texts(&entries[1..]), expected);
    }

    #[tokio::test]
    async fn write_errors_lose_lines_in_files_only() {
        let (directory, spool, log) = small_log(UNLIMITED, 10_000);
        let mut follower = log.reader();
        let obstacle = directory.path().join(format!("ns_pod_{UID}"));
        fs::write(&obstacle, "").expect("file in place of the directory");
        for i in 0..100 {
            log.write(LogStreamType::Stdout, format!("lost {i}\n").as_bytes(), at(i));
            spool.process_queue();
        }
        assert_eq!(spool.lost_lines(), 100);
        let seen = texts(&read_available(&mut follower).await);
        assert!(
            seen.len() > 10 && seen.last().is_some_and(|last| last == "lost 99"),
            "the lines are in memory: {seen:?}"
        );

        fs::remove_file(&obstacle).expect("removed");
        for i in 0..100 {
            log.write(LogStreamType::Stdout, format!("kept {i}\n").as_bytes(), at(i));
            spool.process_queue();
        }
        assert_eq!(spool.lost_lines(), 100);
        let all = texts(&read_available(&mut log.reader()).await);
        assert_eq!((all.len(), all[0].as_str(), all[1].as_str()), (101, "gap of 100", "kept 0"));
    }

    #[tokio::test]
    async fn slow_disk_never_blocks_writers_and_lost_lines_are_counted() {
        let (_directory, spool, log) = small_log(UNLIMITED, 5_000);
        for i in 0..1000 {
            log.write(LogStreamType::Stdout, format!("line {i}\n").as_bytes(), at(i));
        }
        let dropped = log.dropped_lines();
        assert!(dropped > 800, "memory is bounded");
        process_all(&spool);
        assert_eq!(spool.lost_lines(), dropped);
        let all = texts(&read_available(&mut log.reader()).await);
        assert_eq!((all.len() as u64, all[0].clone()), (1001 - dropped, format!("gap of {dropped}")));
    }

    #[tokio::test]
    async fn files_changed_by_others_are_repaired_with_gaps() {
        let (directory, spool, log) = small_log(UNLIMITED, usize::MAX);
        let file = directory.path().join(format!("ns_pod_{UID}/c/0.log"));
        let write = |from: i64| {
            (from..from + 100)
                .for_each(|i| _ = log.write(LogStreamType::Stdout, format!("line {i}\n").as_bytes(), at(i)));
            process_all(&spool);
        };
        write(0);
        fs::OpenOptions::new().write(true).open(&file).expect("open").set_len(10).expect("cut");
        write(100);
        let all = texts(&read_available(&mut log.reader()).await);
        assert_eq!((all[0].as_str(), all[1].as_str(), all.len()), ("gap of 100", "line 100", 101));
        fs::write(&file, [fs::read(&file).expect("read"), b"nonsense".to_vec()].concat()).expect("written");
        write(200);
        assert_eq!(texts(&read_available(&mut log.reader()).await).len(), 201);
        fs::remove_file(&file).expect("removed");
        write(300);
        let all = texts(&read_available(&mut log.reader()).await);
        assert_eq!((all[0].as_str(), all[1].as_str(), all.len()), ("gap of 300", "line 300", 101));
    }

    #[tokio::test]
    async fn removed_files_stay_removed_and_other_pods_keep_theirs() {
        let (directory, spool, log) = small_log(UNLIMITED, usize::MAX);
        let other = spool.pod_logs("ns", "other", UID).create_log(id(0));
        let next = spool.pod_logs("ns", "pod", UID).create_log(id(1));
        for log in [&log, &next, &other] {
            log.write(LogStreamType::Stdout, b"a line\n", at(0));
        }
        process_all(&spool);
        assert_eq!(file_names(directory.path()), ["0.log", "1.log"]);
        spool.pod_logs("ns", "pod", UID).remove_files([&log]);
        process_all(&spool);
        assert_eq!(file_names(directory.path()), ["1.log"]);
        spool.pod_logs("ns", "pod", UID).remove_directory([&next]);
        log.write(LogStreamType::Stdout, b"a late line\n", at(1));
        next.write(LogStreamType::Stdout, b"a late line\n", at(1));
        process_all(&spool);
        assert!(!directory.path().join(format!("ns_pod_{UID}")).exists());
        assert!(directory.path().join(format!("ns_other_{UID}/c/0.log")).exists());
        assert_eq!(
            texts(&read_available(&mut next.reader()).await),
            ["a line", "a late line"],
            "memory has both lines"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn task_writes_lines_until_shutdown_and_other_pods_are_removed() {
        let directory = tempfile::tempdir().expect("temporary directory");
        let logs = directory.path().join("logs");
        let spool = Spool::new(&logs).expect("spool");
        for left in [format!("default_old_{UID}/c"), format!("default_kept_{UID}/c"), "not-ours".into()] {
            fs::create_dir_all(logs.join(left)).expect("created");
        }
        let pod = spool.pod_logs("default", "kept", UID);
        let mut kept = KeptLogs::default();
        kept.add_pod(&pod);
        kept.add_log(&pod, id(0));
        fs::create_dir(logs.join("containers")).expect("created");
        for link in ["kept_default_c-a.log", "kept_default_c-b.log", "old_default_c-a.log"] {
            std::os::unix::fs::symlink("../nowhere", logs.join("containers").join(link)).expect("linked");
        }
        spool.remove_others(kept).await;
        let links = fs::read_dir(logs.join("containers")).expect("a directory").flatten();
        assert_eq!(links.map(|link| link.file_name()).collect::<Vec<_>>(), ["kept_default_c-a.log"]);
        let task = tokio::spawn(spool.clone().run());
        let log = spool.pod_logs("ns", "pod", UID).create_log(id(0));
        log.write(LogStreamType::Stdout, b"hello\n", at(0));
        let before = tokio::time::Instant::now();
        // The task also wakes readers once it has written the line.
        log.changed.notified().await;
        assert!(before.elapsed() >= std::time::Duration::from_millis(90), "the line waits for others");
        assert_eq!(file_names(&logs), ["0.log"]);
        let open = fs::read_dir("/proc/self/fd").expect("descriptors").flatten();
        let open = open.filter(|fd| fs::read_link(fd.path()).is_ok_and(|path| path.starts_with(&logs)));
        assert_eq!(open.count(), 0, "no file stays open");
        let exists = |name: String| logs.join(name).exists();
        let left = ["old", "kept"].map(|pod| exists(format!("default_{pod}_{UID}")));
        assert_eq!((left, exists("not-ours".into())), ([false, true], true));
        task.abort();
        spool.shut_down();
        log.write(LogStreamType::Stdout, b"late\n", at(1));
        spool.process_queue();
        assert_eq!((exists(format!("ns_pod_{UID}")), exists("not-ours".into())), (true, true), "the files stay");
        assert_eq!(file_names(&logs), ["0.log"]);
    }

    #[tokio::test]
    async fn stored_log_is_read_like_the_live_one() {
        let (directory, spool, log) = small_log(limits(2000, 4), usize::MAX);
        for i in 0..500 {
            log.write(LogStreamType::Stdout, format!("line {i}\n").as_bytes(), at(i));
            process_all(&spool);
        }
        // The power failed while a line was written.
        let current = directory.path().join(format!("ns_pod_{UID}/c/0.log"));
        let text = [fs::read(&current).expect("read"), b"2027-01-15T08:00:00.000000000Z stdout F to".to_vec()].concat();
        fs::write(&current, text).expect("written");
        let stored = || spool.pod_logs("ns", "pod", UID).stored_log(id(0));
        let all = texts(&read_available(&mut stored().reader()).await);
        let first: usize = all[0].strip_prefix("line ").and_then(|n| n.parse().ok()).expect("a number");
        assert!((300..480).contains(&first), "{first}");
        let lines = |from: usize| (from..500).map(|i| format!("line {i}")).collect::<Vec<_>>();
        assert_eq!(all, lines(first));
        for (last, from) in [(0, 500), (1, 499), (60, 440.max(first)), (900, first)] {
            let mut reader = stored().reader();
            reader.skip_to_last(last).await;
            assert_eq!(texts(&read_available(&mut reader).await), lines(from), "the last {last}");
        }
        let mut reader = stored().reader();
        reader.skip_towards(at(490)).await;
        let towards = texts(&read_available(&mut reader).await);
        assert!(towards.len() < all.len() && towards.ends_with(&lines(490)), "{towards:?}");
        let empty = spool.pod_logs("ns", "pod", UID).stored_log(id(1));
        assert_eq!(empty.reader().next().await, None, "without files, the log is empty");

        spool.pod_logs("ns", "pod", UID).remove_files([&stored()]);
        process_all(&spool);
        assert_eq!(file_names(directory.path()), [] as [String; 0], "files that were not read are removed, too");
    }

    /// An operation on a log.
    #[derive(Debug, Clone)]
    enum Step {
        Write { stdout: bool, output: Vec<u8> },
        Flush,
        Read,
    }

    fn step() -> impl Strategy<Value = Step> {
        let output = prop::collection::vec(prop_oneof![Just(b'\n'), Just(b'x'), any::<u8>()], 0..120);
        prop_oneof![
            6 => (any::<bool>(), output).prop_map(|(stdout, output)| Step::Write { stdout, output }),
            1 => Just(Step::Write { stdout: true, output: vec![b'l'; MAX_LINE_BYTES + 5] }),
            2 => Just(Step::Flush),
            1 => Just(Step::Read),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn read_lines_equal_written_lines_across_rotations(
            steps in prop::collection::vec(step(), 0..80),
            file in prop_oneof![Just(100_u64), Just(1000), Just(100_000)],
            last in 0_usize..60,
        ) {
            let runtime = tokio::runtime::Builder::new_current_thread().build().expect("runtime");
            let (_directory, spool, log) = small_log(limits(file, usize::MAX), usize::MAX);
            let mut unbounded = Ring::new(usize::MAX);
            let mut follower = log.reader();
            let mut followed = Vec::new();
            for (i, step) in (0..).zip(steps) {
                match step {
                    Step::Write { stdout, output } => {
                        let stream = if stdout { LogStreamType::Stdout } else { LogStreamType::Stderr };
                        log.write(stream, &output, at(i));
                        unbounded.write(stream, &output, at(i));
                    }
                    Step::Flush => spool.process_queue(),
                    Step::Read => followed.extend(runtime.block_on(read_available(&mut follower))),
                }
            }
            log.close(at(0));
            unbounded.close(at(0), None);
            let expected: Vec<LogEntry> = unbounded.lines().cloned().map(LogEntry::Line).collect();
            followed.extend(runtime.block_on(read_available(&mut follower)));
            prop_assert_eq!(&followed, &expected, "read by a follower");
            prop_assert_eq!(&runtime.block_on(read_available(&mut log.reader())), &expected, "read from the beginning");
            let mut reader = log.reader();
            runtime.block_on(reader.skip_to_last(last));
            // Parts of a split line count as one.
            let begins_line = |i: &usize| *i == 0 || unbounded.lines().nth(i - 1).is_some_and(|line| line.complete);
            let from = (0..expected.len()).rev().filter(begins_line).take(last).last().unwrap_or(expected.len());
            prop_assert_eq!(&runtime.block_on(read_available(&mut reader)), &expected[from..], "the last {}", last);
        }
    }
}
