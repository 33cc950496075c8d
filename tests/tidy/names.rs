//! Names: modules and types that say what they own, predicates that only ask, limits that begin with MAX or MIN.

use crate::source::{Finding, Source};
use crate::tokens::{Token, lex};

const EMPTY_NAMES: &[&str] = &["common", "helper", "helpers", "util", "utils"];

/// First words of constants that are limits.
const SUPERLATIVES: &[&str] = &["LARGEST", "LEAST", "LONGEST", "MOST", "SHORTEST", "SMALLEST"];

/// Finds files, modules and types whose names are empty words.
pub fn empty_names(source: &Source) -> Vec<Finding> {
    let parts = source.path.trim_end_matches(".rs").split('/').filter(|part| EMPTY_NAMES.contains(part));
    let message = |name: &str| format!("`{name}` is an empty name: say what it owns");
    let mut findings: Vec<Finding> = parts.map(|part| Finding::new(1, message(part))).collect();
    for pair in lex(&source.text).windows(2) {
        let [keyword, Token { line, text: name }] = pair else { continue };
        let is_type = ["struct", "enum", "trait", "type", "union"].contains(&keyword.text);
        if keyword.text == "mod" && EMPTY_NAMES.contains(name) || is_type && name.ends_with("Manager") {
            findings.push(Finding::new(*line, message(name)));
        }
    }
    findings
}

/// Finds `is_*` and `has_*` methods that change their object. Methods of traits have the names that the traits give them.
pub fn predicates(source: &Source) -> Vec<Finding> {
    if !source.is_rust() {
        return Vec::new();
    }
    let tokens = lex(&source.text);
    let (mut findings, mut depth, mut trait_impl) = (Vec::new(), 0_usize, None);
    for (at, pair) in tokens.windows(2).enumerate() {
        let [keyword, Token { line, text: name }] = pair else { continue };
        match keyword.text {
            "impl" if trait_impl.is_none() => {
                let mut header = tokens.iter().skip(at).map(|token| token.text).take_while(|text| *text != "{");
                trait_impl = header.any(|text| text == "for").then_some(depth);
            }
            "{" => depth += 1,
            "}" => {
                depth = depth.saturating_sub(1);
                trait_impl = trait_impl.filter(|outside| *outside < depth);
            }
            _ => {}
        }
        if trait_impl.is_none() && keyword.text == "fn" && (name.starts_with("is_") || name.starts_with("has_")) {
            let parameters = tokens.iter().skip(at + 2).map(|token| token.text).skip_while(|text| *text != "(").skip(1);
            let receiver: Vec<&str> =
                parameters.take_while(|text| !matches!(*text, "self" | ")" | ":" | ",")).collect();
            if receiver.first() == Some(&"&") && receiver.last() == Some(&"mut") {
                findings.push(Finding::new(*line, format!("`{name}` takes `&mut self`: a predicate changes nothing")));
            }
        }
    }
    findings
}

/// Finds constants that call a limit by a superlative.
pub fn limits(source: &Source) -> Vec<Finding> {
    if !source.is_rust() {
        return Vec::new();
    }
    let mut findings = Vec::new();
    for pair in lex(&source.text).windows(2) {
        let [keyword, Token { line, text: name }] = pair else { continue };
        let first = name.split('_').next().unwrap_or_default();
        if ["const", "static"].contains(&keyword.text) && SUPERLATIVES.contains(&first) {
            findings.push(Finding::new(*line, format!("`{name}`: limits begin with MAX_ or MIN_")));
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::{empty_names, limits, predicates};
    use crate::source::assert_findings;

    #[test]
    fn empty_names_are_found() {
        let text = "mod helpers; struct PodManager; struct Managers; type X = M;";
        let rows = [("src/node/mod.rs", text, 2), ("src/node/utils.rs", "", 1), ("src/utilities.rs", "", 0)];
        assert_findings(empty_names, &rows);
    }

    #[test]
    fn predicates_that_change_their_object_are_found() {
        let rows = [
            ("src/a.rs", "fn is_over(&mut self, ended: T) {} fn has_run<T>(&'a mut self) {}", 2),
            ("src/a.rs", "fn is_over(&self, it: &mut T) {} fn has(it: &mut T) {} fn is_in(&mut pods: T) {}", 0),
            ("src/a.rs", "fn set_over(&mut self) {} fn is_mine(mut self) {} // fn is_over(&mut self)", 0),
            (
                "src/a.rs",
                "impl Host for T { fn a() { b } fn is_on(&mut self) {} } impl T { fn is_off(&mut self) {} }",
                1,
            ),
            ("README.md", "fn is_over(&mut self)", 0),
        ];
        assert_findings(predicates, &rows);
    }

    #[test]
    fn limits_with_superlatives_are_found() {
        let rows = [
            ("src/a.rs", "const MOST: usize = 1; pub const LONGEST_LINE: usize = 1; static LEAST_X: u8 = 1;", 3),
            ("src/a.rs", "const MAX_LINE: usize = 1; const MOSTLY: u8 = 1; fn f() { LONGEST_LINE }", 0),
        ];
        assert_findings(limits, &rows);
    }
}
