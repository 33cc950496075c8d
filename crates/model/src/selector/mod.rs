//! Label and field selectors of lists and watches.
//!
//! Syntax and error messages are those of `k8s.io/apimachinery` (packages `labels` and `fields`).

mod fields;
mod labels;

pub use fields::{FieldSelector, SelectableField, bool_text};
pub use labels::Selector;

/// The selector is not valid; the message is Kubernetes'.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct SelectorError(String);

impl SelectorError {
    /// The error of a field that a kind without fields of its own cannot be selected by.
    pub fn unknown_field(label: &str, known: &[&str]) -> SelectorError {
        let known: Vec<String> = known.iter().map(|field| format!("{field:?}")).collect();
        SelectorError(format!("{label:?} is not a known field selector: only {}", known.join(", ")))
    }

    /// The error of a field that a kind with fields of its own cannot be selected by.
    pub fn unsupported_label(label: &str) -> SelectorError {
        SelectorError(format!("field label not supported: {label}"))
    }

    /// The same error for a kind of a group other than the core group, in whose words it names the kind.
    pub fn unsupported_label_of(label: &str, kind: &str) -> SelectorError {
        SelectorError(format!("field label {label:?} not supported for {kind}"))
    }
}
