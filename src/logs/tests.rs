use super::*;

fn texts(entries: &[Entry]) -> Vec<String> {
    let text = |e: &Entry| match e {
        Entry::Line(line) => String::from_utf8_lossy(&line.text).into_owned(),
        Entry::Gap(n) => format!("gap of {n}"),
    };
    entries.iter().map(text).collect()
}

#[test]
fn lines_are_put_together_per_stream() {
    let log = Log::new();
    let at = Timestamp::UNIX_EPOCH;
    log.write(Stream::Stdout, b"one\ntw", at);
    log.write(Stream::Stderr, b"err", at);
    log.write(Stream::Stdout, b"o\n\n", at);
    let mut reader = log.reader();
    assert_eq!(texts(&reader.take_now()), ["one", "two", ""]);
    log.close(at);
    assert_eq!(texts(&reader.take_now()), ["err"], "the end of an unfinished line");
}

#[test]
fn long_lines_are_cut() {
    let log = Log::new();
    log.write(Stream::Stdout, &[b'x'; MAX_LINE * 2 + 1], Timestamp::UNIX_EPOCH);
    log.write(Stream::Stdout, b"\n", Timestamp::UNIX_EPOCH);
    let lines: Vec<_> = log.tail(9).iter().map(|l| (l.text.len(), l.complete)).collect();
    assert_eq!(lines, [(MAX_LINE, false), (MAX_LINE, false), (1, true)]);
}

#[test]
fn the_oldest_lines_go_and_a_slow_reader_is_told() {
    let log = Log::new();
    let mut reader = log.reader();
    for _ in 0..3000 {
        log.write(Stream::Stdout, &[b"y".repeat(999), b"\n".to_vec()].concat(), Timestamp::UNIX_EPOCH);
    }
    let entries = reader.take_now();
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
