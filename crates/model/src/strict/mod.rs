//! Typed objects from a document tree, with every unknown field and every wrong type reported at once.
//!
//! serde stops at the first error, and the types of k8s-openapi ignore unknown fields. This
//! deserializer therefore learns the field names of each struct from `deserialize_struct`, reports
//! fields that do not belong, and hands the visitor an empty value in place of a wrong one, so that
//! reading continues. A document with errors yields no object: the empty values never leave this
//! module.

mod deserializer;
mod misplaced;
mod path;
mod reporter;

use std::collections::HashSet;

use serde::Deserialize;

pub use self::deserializer::IntegerSyntax;
use self::deserializer::{NodeDeserializer, ReadError};
use self::path::Path;
use self::reporter::Reporter;
use super::diagnostic::{Diagnostic, DiagnosticSink, Rule};
use super::kinds::KindType;
use super::tree::YamlNode;

/// Maximum number of values that their own types may reject before reading stops.
const MAX_REJECTED_VALUES: usize = 20;

/// Reads `node` as a `T`, whose schema is that of `kind`. Returns no object if there are errors.
pub fn read<'de, T: Deserialize<'de>>(
    node: &'de YamlNode<'de>,
    kind: &'static KindType,
) -> (Option<T>, DiagnosticSink) {
    read_with(DiagnosticSink::has_errors, node, Some(kind), IntegerSyntax::IntegralNumber)
}

/// Reads an object as [`read`] does, but unknown and duplicate fields do not prevent an object; the last duplicate
/// wins.
pub fn read_lenient<'de, T: Deserialize<'de>>(
    node: &'de YamlNode<'de>,
    integer_syntax: IntegerSyntax,
) -> (Option<T>, DiagnosticSink) {
    read_with(DiagnosticSink::has_fatal_errors, node, None, integer_syntax)
}

fn read_with<'de, T: Deserialize<'de>>(
    is_fatal: fn(&DiagnosticSink) -> bool,
    node: &'de YamlNode<'de>,
    kind: Option<&'static KindType>,
    integer_syntax: IntegerSyntax,
) -> (Option<T>, DiagnosticSink) {
    let mut object = None;
    let sink = read_repeatedly(is_fatal, node, kind, &mut |reporter| {
        let deserializer = NodeDeserializer { node, path: &Path::Root, reporter, integer_syntax };
        T::deserialize(deserializer).map(|read| object = Some(read))
    });
    match sink {
        Ok(sink) => (object, sink),
        Err(sink) => (None, sink),
    }
}

/// Calls `read` until it succeeds or has reported all errors, which are returned as `Err`.
fn read_repeatedly<'de>(
    is_fatal: fn(&DiagnosticSink) -> bool,
    node: &'de YamlNode<'de>,
    kind: Option<&'static KindType>,
    read: &mut dyn FnMut(&Reporter<'_>) -> Result<(), ReadError>,
) -> Result<DiagnosticSink, DiagnosticSink> {
    // A type's own error, such as a malformed time, aborts the whole read. It is recorded, and the document is read
    // again with null in its place, so that later errors are reported as well.
    let (mut rejected, mut rejections) = (HashSet::new(), Vec::new());
    loop {
        let reporter = Reporter::new(node, kind, &rejected);
        let error = match read(&reporter) {
            Ok(()) if rejections.is_empty() && !reporter.has_fatal(is_fatal) => return Ok(reporter.into_sink()),
            Ok(()) => None,
            Err(error) => Some(error),
        };
        let mut sink = reporter.into_sink();
        match error {
            Some(ReadError::Placed(diagnostic, position))
                if rejections.len() < MAX_REJECTED_VALUES && rejected.insert(position) =>
            {
                rejections.push(*diagnostic);
            }
            error => {
                match error {
                    Some(ReadError::Placed(diagnostic, _)) => sink.push(*diagnostic),
                    Some(ReadError::Unplaced(message)) => sink.push(document_error(node, message)),
                    None => {}
                }
                rejections.into_iter().for_each(|diagnostic| sink.push(diagnostic));
                return Err(sink);
            }
        }
    }
}

fn document_error(node: &YamlNode<'_>, message: String) -> Diagnostic {
    Diagnostic { rule: Rule::WrongType, path: String::new(), position: Some(node.position), message, hint: None }
}
