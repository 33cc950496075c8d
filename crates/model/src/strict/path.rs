//! Paths to fields of a document.

use std::fmt;

/// Path from the root to a node; formatted only for a diagnostic.
pub enum Path<'p> {
    Root,
    Field(&'p Path<'p>, &'p str),
    Index(&'p Path<'p>, usize),
}

/// One step of a path.
#[derive(Debug, Clone, Copy)]
pub enum Step<'p> {
    Field(&'p str),
    Index(usize),
}

impl<'p> Path<'p> {
    /// Returns the steps from the root.
    pub fn steps(&self) -> Vec<Step<'p>> {
        let (parent, last) = match self {
            Path::Root => return Vec::new(),
            Path::Field(parent, name) => (parent, Step::Field(name)),
            Path::Index(parent, i) => (parent, Step::Index(*i)),
        };
        let mut steps = parent.steps();
        steps.push(last);
        steps
    }

    /// Returns the name of the last field; empty for an item of a list.
    pub fn name(&self) -> &str {
        match self {
            Path::Field(_, name) => name,
            Path::Root | Path::Index(..) => "",
        }
    }
}

impl fmt::Display for Path<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Path::Root => Ok(()),
            Path::Field(Path::Root, name) => f.write_str(name),
            Path::Field(parent, name) => write!(f, "{parent}.{name}"),
            Path::Index(parent, i) => write!(f, "{parent}[{i}]"),
        }
    }
}
