use super::*;

fn texts(entries: &[Entry]) -> Vec<String> {
    let text = |e: &Entry| match e {
        Entry::Line(line) => String::from_utf8_lossy(&line.text).into_owned(),
        Entry::Gap(n) => format!("gap of {n}"),
    };
    entries.iter().map(text).collect()
}

/// All that was written so far and not read yet.
async fn rest(reader: &mut Reader) -> Vec<Entry> {
    reader.end_here();
    let mut all = Vec::new();
    while let Some(entries) = reader.next().await {
        all.extend(entries);
    }
    all
}

#[tokio::test]
async fn lines_are_put_together_per_stream() {
    let log = Log::new();
    let at = Timestamp::UNIX_EPOCH;
    log.write(Stream::Stdout, b"one\ntw", at);
    log.write(Stream::Stderr, b"err", at);
    log.write(Stream::Stdout, b"o\n\n", at);
    let mut reader = log.reader();
    assert_eq!(texts(&rest(&mut reader).await), ["one", "two", ""]);
    log.close(at);
    assert_eq!(texts(&rest(&mut reader).await), ["err"], "the end of an unfinished line");
}

#[test]
fn long_lines_are_cut() {
    let log = Log::new();
    log.write(Stream::Stdout, &[b'x'; MAX_LINE * 2 + 1], Timestamp::UNIX_EPOCH);
    log.write(Stream::Stdout, b"\n", Timestamp::UNIX_EPOCH);
    let lines: Vec<_> = log.tail(9).iter().map(|l| (l.text.len(), l.complete)).collect();
    assert_eq!(lines, [(MAX_LINE, false), (MAX_LINE, false), (1, true)]);
}

#[tokio::test]
async fn the_oldest_lines_go_and_a_slow_reader_is_told() {
    let log = Log::new();
    let mut reader = log.reader();
    for _ in 0..3000 {
        log.write(Stream::Stdout, &[b"y".repeat(999), b"\n".to_vec()].concat(), Timestamp::UNIX_EPOCH);
    }
    let entries = rest(&mut reader).await;
    assert_eq!(entries.first(), Some(&Entry::Gap(log.dropped())));
    assert_eq!(entries.len() as u64 - 1 + log.dropped(), 3000);
    let held: usize = log.tail(usize::MAX).iter().map(|l| l.text.len()).sum();
    assert!(held < CAPACITY && held > CAPACITY / 2, "{held} bytes held");
}

#[tokio::test]
async fn a_follower_sees_lines_as_they_come_and_the_end() {
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
        log.write(Stream::Stdout, text.as_bytes(), Timestamp::UNIX_EPOCH);
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

    use super::super::files::Limits;
    use super::*;

    const UID: &str = "7c9a7b0e-5b1d-4f0e-9a3c-2f1f0a9d8e7b";
    const ENDLESS: Limits = Limits { file: u64::MAX, files: 5 };

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + second).expect("a time")
    }

    /// A folder, and a log in it that holds little in memory.
    fn small(limits: Limits, room: usize) -> (TempDir, Arc<Spool>, Arc<Log>) {
        let folder = tempfile::tempdir().expect("a folder");
        let spool = Arc::new(Spool::with(folder.path().into(), 1000, room, limits));
        let log = spool.pod("ns", "pod", UID).attempt("c", 0);
        (folder, spool, log)
    }

    fn work(spool: &Spool) {
        while spool.has_work() {
            spool.work();
        }
    }

    /// The names of the files in the container's folder, sorted.
    fn names(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder.join(format!("ns_pod_{UID}/c"))).into_iter().flatten().flatten();
        let mut names: Vec<String> = entries.map(|e| e.file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        names
    }

    #[tokio::test]
    async fn what_memory_has_dropped_is_read_from_the_files_without_gap_or_repetition() {
        let (_folder, spool, log) = small(ENDLESS, usize::MAX);
        let mut follower = log.reader();
        let mut seen = Vec::new();
        for i in 0..500 {
            log.write(Stream::Stdout, format!("line {i}\n").as_bytes(), at(i));
            match i % 50 {
                20 => work(&spool),
                40 => seen.extend(texts(&rest(&mut follower).await)),
                _ => {}
            }
        }
        work(&spool);
        seen.extend(texts(&rest(&mut follower).await));
        let all: Vec<String> = (0..500).map(|i| format!("line {i}")).collect();
        assert_eq!(seen, all, "by one who follows");
        assert!(log.dropped() > 400, "memory holds only {} on", log.dropped());
        assert_eq!(texts(&rest(&mut log.reader()).await), all, "by one who comes late");
        assert_eq!(spool.lost(), 0);
    }

    #[tokio::test]
    async fn a_reader_begins_where_it_is_told_to_across_files_and_memory() {
        let (_folder, spool, log) = small(Limits { file: 2000, files: 50 }, usize::MAX);
        for i in 0..500 {
            log.write(Stream::Stdout, format!("line {i}\n").as_bytes(), at(i));
            work(&spool);
        }
        for count in [0, 1, 5, 40, 499, 500, 900] {
            let mut reader = log.reader();
            reader.skip_to_last(count).await;
            let want: Vec<String> =
                (0..500).skip(500_usize.saturating_sub(count)).map(|i| format!("line {i}")).collect();
            assert_eq!(texts(&rest(&mut reader).await), want, "the last {count}");
        }
        for since in [0, 3, 250, 499] {
            let mut reader = log.reader();
            reader.skip_towards(at(since)).await;
            let entries = rest(&mut reader).await;
            let is_wanted = |entry: &&Entry| matches!(entry, Entry::Line(line) if line.at >= at(since));
            let wanted = entries.iter().filter(is_wanted).count();
            assert_eq!(wanted as i64, 500 - since, "since {since}");
            assert!(entries.len() - wanted < 120, "it does not read all: {} for {since}", entries.len());
        }
    }

    #[tokio::test]
    async fn full_files_get_kubelets_names_and_the_oldest_goes() {
        let (folder, spool, log) = small(Limits { file: 1000, files: 3 }, usize::MAX);
        for i in 0..100 {
            log.write(Stream::Stderr, format!("line {i:02}\n").as_bytes(), at(i / 50));
        }
        work(&spool);
        // 20 lines of 47 bytes are a file.
        assert_eq!(names(folder.path()), ["0.log", "0.log.20270115-080002", "0.log.20270115-080003"]);
        let container = folder.path().join(format!("ns_pod_{UID}/c"));
        for (path, mode) in [(container.clone(), 0o700), (container.join("0.log"), 0o600)] {
            let found = fs::metadata(&path).expect("it is there").permissions().mode() & 0o777;
            assert_eq!(found, mode, "{path:?}");
        }
        let text = fs::read_to_string(container.join("0.log")).expect("text");
        assert_eq!(text.lines().last(), Some("2027-01-15T08:00:01.000000000Z stderr F line 99"));
        let entries = rest(&mut log.reader()).await;
        let Some(Entry::Gap(lost)) = entries.first() else { panic!("{entries:?}") };
        let want: Vec<String> = (*lost..100).map(|i| format!("line {i:02}")).collect();
        assert!((40..70).contains(&want.len()), "{} lines are left", want.len());
        assert_eq!(texts(&entries[1..]), want);
    }

    #[tokio::test]
    async fn a_disk_that_cannot_be_written_costs_lines_of_the_files_alone() {
        let (folder, spool, log) = small(ENDLESS, 10_000);
        let mut follower = log.reader();
        let in_the_way = folder.path().join(format!("ns_pod_{UID}"));
        fs::write(&in_the_way, "").expect("a file where the folder should be");
        for i in 0..100 {
            log.write(Stream::Stdout, format!("lost {i}\n").as_bytes(), at(i));
            spool.work();
        }
        assert_eq!(spool.lost(), 100);
        let seen = texts(&rest(&mut follower).await);
        assert!(seen.len() > 10 && seen.last().is_some_and(|last| last == "lost 99"), "memory still tells: {seen:?}");

        fs::remove_file(&in_the_way).expect("removed");
        for i in 0..100 {
            log.write(Stream::Stdout, format!("kept {i}\n").as_bytes(), at(i));
            spool.work();
        }
        assert_eq!(spool.lost(), 100);
        let all = texts(&rest(&mut log.reader()).await);
        assert_eq!((all.len(), all[0].as_str(), all[1].as_str()), (101, "gap of 100", "kept 0"));
    }

    #[tokio::test]
    async fn a_writer_that_the_disk_cannot_follow_goes_on_and_the_missing_lines_are_counted() {
        let (_folder, spool, log) = small(ENDLESS, 5_000);
        for i in 0..1000 {
            log.write(Stream::Stdout, format!("line {i}\n").as_bytes(), at(i));
        }
        let dropped = log.dropped();
        assert!(dropped > 800, "memory is bounded");
        work(&spool);
        assert_eq!(spool.lost(), dropped);
        let all = texts(&rest(&mut log.reader()).await);
        assert_eq!((all.len() as u64, all[0].clone()), (1001 - dropped, format!("gap of {dropped}")));
    }

    #[tokio::test]
    async fn files_that_others_have_changed_are_put_right_and_what_is_missing_is_told() {
        let (folder, spool, log) = small(ENDLESS, usize::MAX);
        let file = folder.path().join(format!("ns_pod_{UID}/c/0.log"));
        let write = |from: i64| {
            (from..from + 100).for_each(|i| log.write(Stream::Stdout, format!("line {i}\n").as_bytes(), at(i)));
            work(&spool);
        };
        write(0);
        fs::OpenOptions::new().write(true).open(&file).expect("open").set_len(10).expect("cut");
        write(100);
        let all = texts(&rest(&mut log.reader()).await);
        assert_eq!((all[0].as_str(), all[1].as_str(), all.len()), ("gap of 100", "line 100", 101));
        fs::write(&file, [fs::read(&file).expect("read"), b"nonsense".to_vec()].concat()).expect("written");
        write(200);
        assert_eq!(texts(&rest(&mut log.reader()).await).len(), 201);
        fs::remove_file(&file).expect("removed");
        write(300);
        let all = texts(&rest(&mut log.reader()).await);
        assert_eq!((all[0].as_str(), all[1].as_str(), all.len()), ("gap of 300", "line 300", 101));
    }

    #[tokio::test]
    async fn removed_files_stay_removed_and_other_pods_keep_theirs() {
        let (folder, spool, log) = small(ENDLESS, usize::MAX);
        let other = spool.pod("ns", "other", UID).attempt("c", 0);
        let next = spool.pod("ns", "pod", UID).attempt("c", 1);
        for log in [&log, &next, &other] {
            log.write(Stream::Stdout, b"a line\n", at(0));
        }
        work(&spool);
        assert_eq!(names(folder.path()), ["0.log", "1.log"]);
        spool.pod("ns", "pod", UID).remove([&log]);
        work(&spool);
        assert_eq!(names(folder.path()), ["1.log"]);
        spool.pod("ns", "pod", UID).remove_all([&next]);
        log.write(Stream::Stdout, b"a late line\n", at(1));
        next.write(Stream::Stdout, b"a late line\n", at(1));
        work(&spool);
        assert!(!folder.path().join(format!("ns_pod_{UID}")).exists());
        assert!(folder.path().join(format!("ns_other_{UID}/c/0.log")).exists());
        assert_eq!(texts(&rest(&mut next.reader()).await), ["a line", "a late line"], "memory has them");
    }

    #[tokio::test(start_paused = true)]
    async fn the_task_removes_what_earlier_nodes_left_writes_what_comes_and_cleans_up() {
        let folder = tempfile::tempdir().expect("a folder");
        let logs = folder.path().join("logs");
        let spool = Spool::new(&logs).expect("a spool");
        for left in [format!("default_old_{UID}/c"), "not-ours".into()] {
            fs::create_dir_all(logs.join(left)).expect("made");
        }
        let task = tokio::spawn(spool.clone().run());
        let log = spool.pod("ns", "pod", UID).attempt("c", 0);
        log.write(Stream::Stdout, b"hello\n", at(0));
        let before = tokio::time::Instant::now();
        // It tells readers when it has written, too.
        log.changed.notified().await;
        assert!(before.elapsed() >= std::time::Duration::from_millis(90), "lines are gathered");
        assert_eq!(names(&logs), ["0.log"]);
        let open = fs::read_dir("/proc/self/fd").expect("descriptors").flatten();
        let open = open.filter(|fd| fs::read_link(fd.path()).is_ok_and(|path| path.starts_with(&logs)));
        assert_eq!(open.count(), 0, "nothing stays open");
        let there = |name: String| logs.join(name).exists();
        assert_eq!((there(format!("default_old_{UID}")), there("not-ours".into())), (false, true));
        task.abort();
        spool.end();
        log.write(Stream::Stdout, b"late\n", at(1));
        spool.work();
        assert_eq!((there(format!("ns_pod_{UID}")), there("not-ours".into())), (true, true), "for whoever reads them");
        assert_eq!(names(&logs), ["0.log"]);
    }

    /// What may happen to a log, in any order.
    #[derive(Debug, Clone)]
    enum Step {
        Write(bool, Vec<u8>),
        Work,
        Read,
    }

    fn step() -> impl Strategy<Value = Step> {
        let text = prop::collection::vec(prop_oneof![Just(b'\n'), Just(b'x'), any::<u8>()], 0..120);
        prop_oneof![
            6 => (any::<bool>(), text).prop_map(|(out, text)| Step::Write(out, text)),
            1 => Just(Step::Write(true, vec![b'l'; MAX_LINE + 5])),
            2 => Just(Step::Work),
            1 => Just(Step::Read),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn what_is_read_is_what_was_written_whatever_was_rotated_between(
            steps in prop::collection::vec(step(), 0..80),
            file in prop_oneof![Just(100_u64), Just(1000), Just(100_000)],
            last in 0_usize..60,
        ) {
            let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
            let (_folder, spool, log) = small(Limits { file, files: usize::MAX }, usize::MAX);
            let mut whole = Ring::new(usize::MAX);
            let mut follower = log.reader();
            let mut followed = Vec::new();
            for (i, step) in (0..).zip(steps) {
                match step {
                    Step::Write(out, text) => {
                        let stream = if out { Stream::Stdout } else { Stream::Stderr };
                        log.write(stream, &text, at(i));
                        whole.write(stream, &text, at(i));
                    }
                    Step::Work => spool.work(),
                    Step::Read => followed.extend(runtime.block_on(rest(&mut follower))),
                }
            }
            log.close(at(0));
            whole.close(at(0));
            let want: Vec<Entry> = whole.lines().cloned().map(Entry::Line).collect();
            followed.extend(runtime.block_on(rest(&mut follower)));
            prop_assert_eq!(&followed, &want, "followed");
            prop_assert_eq!(&runtime.block_on(rest(&mut log.reader())), &want, "read afterwards");
            let mut reader = log.reader();
            runtime.block_on(reader.skip_to_last(last));
            // Where lines begin, counted from the end.
            let begins = |i: &usize| *i == 0 || whole.lines().nth(i - 1).is_some_and(|line| line.complete);
            let from = (0..want.len()).rev().filter(begins).take(last).last().unwrap_or(want.len());
            prop_assert_eq!(&runtime.block_on(rest(&mut reader)), &want[from..], "the last {}", last);
        }
    }
}
