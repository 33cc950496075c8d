//! Phrases that STYLE bans from comments, strings and documents, because plain words say the same.

use crate::source::{Finding, Source, read};
use crate::tokens::prose;

/// The banned phrases in lower case, each with what to write instead.
const BANNED: &[(&str, &str)] = &[
    ("are told of", "report, record, log, emit"),
    ("folder", "directory"),
    ("is no ", "is not a, is not valid"),
    ("is told of", "reports, records, logs, emits"),
    ("so far", "yet, until now"),
    ("what there is", "name the thing"),
    ("where nothing is said", "defaults to"),
    ("whoever", "name the subject"),
];

/// Words after `is no ` with which it is plain English.
const FINE_AFTER_IS_NO: &[&str] = &["longer", "more"];

const LIST: &str = "tests/tidy/kubernetes-texts.txt";

/// Texts that Kubernetes prints, in which banned phrases are allowed.
pub struct KubernetesTexts(Vec<(usize, String)>);

impl KubernetesTexts {
    /// Reads the list: a text per line below a comment (`# …`) that names its source.
    pub fn read() -> KubernetesTexts {
        KubernetesTexts::parse(&read(LIST))
    }

    fn parse(list: &str) -> KubernetesTexts {
        let (mut texts, mut has_source) = (Vec::new(), false);
        for (line, text) in (1..).zip(list.lines()) {
            match text.strip_prefix('#') {
                Some(comment) => has_source = !comment.trim().is_empty(),
                None if text.trim().is_empty() => has_source = false,
                None => {
                    assert!(has_source, "{LIST}:{line}: name the source in a comment above the text");
                    texts.push((line, text.trim().to_ascii_lowercase()));
                }
            }
        }
        KubernetesTexts(texts)
    }

    /// Blanks the listed texts in a paragraph, whose length stays.
    fn blank(&self, mut paragraph: String) -> String {
        for (_, text) in &self.0 {
            paragraph = paragraph.replace(text, &"#".repeat(text.len()));
        }
        paragraph
    }

    /// Finds listed texts that no paragraph contains.
    pub fn unused(&self, paragraphs: &[String]) -> Vec<Finding> {
        let unused = self.0.iter().filter(|(_, text)| !paragraphs.iter().any(|paragraph| paragraph.contains(text)));
        unused.map(|(line, text)| Finding::new(*line, format!("no source prints {text:?}"))).collect()
    }
}

/// Returns the prose that is checked, as texts of numbered lines: documents whole, comments and strings of the crates'
/// own sources, the guests and the examples, but not those of tests and benchmarks.
fn texts(source: &Source) -> Vec<Vec<(usize, String)>> {
    let mut parts = source.path.split('/');
    let is_own = match parts.next() {
        Some("build.rs" | "src" | "guests" | "wasm-examples") => true,
        Some("crates") => parts.nth(1) == Some("src"),
        _ => false,
    };
    if source.is_rust() {
        return if is_own { prose(&source.text) } else { Vec::new() };
    }
    vec![(1..).zip(source.text.lines().map(|line| line.trim().to_string())).collect()]
}

/// Returns the lines of a text as one string in lower case, joined by spaces.
fn joined(lines: &[(usize, String)]) -> String {
    lines.iter().map(|(_, line)| line.to_ascii_lowercase()).collect::<Vec<_>>().join(" ")
}

/// Returns the checked prose of a source, one string per text.
pub fn paragraphs(source: &Source) -> Vec<String> {
    texts(source).iter().map(|lines| joined(lines)).collect()
}

/// Finds banned phrases, also across the line breaks of a wrapped text.
pub fn banned(source: &Source, kubernetes_texts: &KubernetesTexts) -> Vec<Finding> {
    let mut findings = Vec::new();
    for lines in texts(source) {
        let text = kubernetes_texts.blank(joined(&lines));
        for (phrase, better) in BANNED {
            for (at, _) in text.match_indices(phrase).filter(|(at, _)| is_banned(&text, *at, phrase)) {
                let message = format!("“{}”: write {better}", phrase.trim());
                findings.push(Finding::new(line_at(&lines, at), message));
            }
        }
    }
    findings
}

/// Decides whether the phrase at this position stands for itself.
fn is_banned(text: &str, at: usize, phrase: &str) -> bool {
    let (before, after) = (text.get(..at).unwrap_or_default(), text.get(at + phrase.len()..).unwrap_or_default());
    let is_inside_word = before.ends_with(|c: char| c.is_alphanumeric())
        || !phrase.ends_with(' ') && after.starts_with(|c: char| c.is_alphanumeric());
    match phrase {
        // In all forms and compounds.
        "folder" => true,
        "is no " => {
            let next = after.split(|c: char| !c.is_alphanumeric()).next().unwrap_or_default();
            !is_inside_word && !before.ends_with("there ") && !FINE_AFTER_IS_NO.contains(&next)
        }
        _ => !is_inside_word,
    }
}

/// Returns the line of a position in the joined text.
fn line_at(lines: &[(usize, String)], at: usize) -> usize {
    let mut end = 0;
    for (line, text) in lines {
        end += text.len() + 1;
        if at < end {
            return *line;
        }
    }
    0
}

#[cfg(test)]
mod tests {
    use super::{KubernetesTexts, banned, paragraphs};
    use crate::source::{Source, assert_findings};

    fn none() -> KubernetesTexts {
        KubernetesTexts::parse("")
    }

    #[test]
    fn banned_phrases_are_found_in_prose() {
        let rows = [
            ("src/a.rs", "/// It is told of once. Whoever asks sees what there is.", 3),
            ("src/a.rs", "// A log that is\n// no file, so\n// far. FOLDERS", 3),
            ("src/a.rs", "fn f(folder: T) -> T { \"subfolder is no \\\n    directory\" }", 2),
            (
                "src/a.rs",
                "// There is no pod; it is no longer there, is no more; this no one; solo far; so farther.",
                0,
            ),
            ("src/a.rs", "let is_no = 1; // one is\nlet no = 2; // no", 0),
            ("crates/model/src/a.rs", "/* Where nothing\n * is said. */", 1),
            ("crates/model/tests/a.rs", "// folder", 0),
            ("build.rs", "// folder", 1),
            ("wasm-examples/hello/src/main.rs", "// folder", 1),
            ("tests/all/a.rs", "// folder", 0),
            ("guests/a/src/a.rs", "// folder", 1),
            ("docs/a.md", "Errors are told\n   of in a folder.\n\n- is\n\n  no paragraph", 2),
        ];
        assert_findings(|source| banned(source, &none()), &rows);
    }

    #[test]
    fn findings_have_the_line_where_the_phrase_begins() {
        let source = Source::new("src/a.rs", "\n// one\n// is told\n// of, whoever\nfn f() {}\n");
        let lines: Vec<usize> = banned(&source, &none()).iter().map(|finding| finding.line).collect();
        assert_eq!(lines, [3, 4]);
    }

    #[test]
    fn listed_kubernetes_texts_are_allowed() {
        let texts = KubernetesTexts::parse("# kubelet.go\nIt is no pod\n\n# kubectl\nno such folder\n");
        let source = Source::new("src/a.rs", "f(\"error: it is\n    no pod\", \"it is no node\")");
        assert_eq!(banned(&source, &texts).len(), 1);
        let unused: Vec<usize> = texts.unused(&paragraphs(&source)).iter().map(|finding| finding.line).collect();
        assert_eq!(unused, [5]);
    }

    #[test]
    #[should_panic(expected = "name the source")]
    fn listed_kubernetes_texts_need_a_source() {
        KubernetesTexts::parse("# kubelet.go\nIt is no pod\n\nno such folder\n");
    }
}
