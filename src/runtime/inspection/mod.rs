//! What a program needs and offers, read from its bytes before it is compiled.
//!
//! Compiling a large program takes many seconds. A program that cannot run is therefore refused after a pass over its
//! sections: its imports, its entry point, its shape and the proposals of WebAssembly that it needs.

mod component;
mod features;
mod measure;
mod missing;
mod module;
mod shape;

use wasmparser::{Parser, Payload};

pub(super) use component::check_run;
pub use features::UnsupportedProposals;
pub(super) use features::{FEATURES, Fault, validate};
pub use missing::MissingImports;
pub(super) use module::Signature;
pub use shape::{Shape, ShapeError};

use component::ComponentSections;
use module::ModuleSections;

/// An imported item.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Import {
    /// Name of the module or interface; `None` for an item that a component imports by itself.
    pub(super) module: Option<String>,
    pub(super) name: String,
    pub(super) kind: ImportKind,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum ImportKind {
    /// A function; the signature of a core module's.
    Function(Option<Signature>),
    /// A resource type of a component.
    Resource,
    /// A memory, table, global, tag, module or component, none of which wasmpod provides.
    Other,
}

/// The entry point of a program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum EntryPoint {
    /// `_start` of a core module.
    Start,
    /// `wasi:cli/run` of WASI 0.2; carries the name with its version.
    Run2(String),
    /// `wasi:cli/run` of WASI 0.3; carries the name with its version.
    Run3(String),
}

/// The reason for which a program has no entry point.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotACommand {
    /// A core module without `_start`.
    #[error("exports no `_start` function: it is a library; build a command instead")]
    NoStart,
    /// `_start` is not a function without parameters and results; carries what it is.
    #[error("exports `_start` as {0} instead of a function () -> (); build a command instead")]
    StartType(String),
    /// `run` of a component's entry point has another type than WASI's; carries the entry point's name.
    #[error("exports `{0}`, but its `run` is not a function () -> (result); build a command instead")]
    RunType(String),
    /// A component without `wasi:cli/run`.
    #[error("exports no `wasi:cli/run`: it is a library; build a command instead")]
    NoRun,
    /// A component that serves HTTP requests.
    #[error("wasi:http components are not supported yet; build a command instead")]
    Http,
    /// A component for a draft of WASI; carries the name of its entry point.
    #[error("exports `{0}`, a draft of WASI; rebuild it with tools for WASI 0.2 (`--target wasm32-wasip2`)")]
    Draft(String),
    /// `wasi:cli/run` of a version that wasmpod does not know; carries its name.
    #[error("exports `{0}`, but wasmpod runs `wasi:cli/run` of WASI 0.2 and 0.3 only; build it for one of them")]
    Version(String),
}

/// The two formats of WebAssembly programs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum BinaryFormat {
    Module,
    Component,
}

/// The sections of a program that tell whether it can run.
#[derive(Debug)]
pub(super) struct Inspection {
    pub(super) imports: Vec<Import>,
    pub(super) entry_point: Result<EntryPoint, NotACommand>,
    pub(super) shape: Result<Shape, ShapeError>,
    /// The leading bytes of a component that hold all of its imports, and nothing that must be compiled.
    pub(super) imports_end: Option<usize>,
    /// The fault at which reading stopped; imports before it are known.
    pub(super) fault: Option<wasmparser::Error>,
}

/// Reads the sections of a program. Reads no function bodies.
pub(super) fn inspect(bytes: &[u8], format: BinaryFormat) -> Inspection {
    let (mut module, mut component) = (ModuleSections::default(), ComponentSections::default());
    let mut shape = measure::Measure::default();
    let fault = read(bytes, |payload, depth| {
        shape.add(&payload)?;
        match format {
            BinaryFormat::Module => module.add(payload),
            BinaryFormat::Component if depth == 0 => component.add(payload),
            BinaryFormat::Component => Ok(()),
        }
    });
    let imports_end = component.imports_end();
    let (imports, entry_point) = match format {
        BinaryFormat::Module => module.finish(),
        BinaryFormat::Component => component.finish(),
    };
    let shape = shape.finish(imports.len());
    Inspection { imports, entry_point, shape, imports_end, fault: fault.err() }
}

/// Passes each part of the program to `add`, with the number of components and modules around it.
fn read<'b>(
    bytes: &'b [u8],
    mut add: impl FnMut(Payload<'b>, usize) -> wasmparser::Result<()>,
) -> wasmparser::Result<()> {
    let mut depth = 0_usize;
    for payload in Parser::new(0).parse_all(bytes) {
        let payload = payload?;
        let nests = matches!(payload, Payload::ModuleSection { .. } | Payload::ComponentSection { .. });
        // The end of a nested part belongs to that part.
        let ends = matches!(payload, Payload::End(_));
        add(payload, depth)?;
        depth = if nests { depth + 1 } else { depth.saturating_sub(usize::from(ends)) };
    }
    Ok(())
}

#[cfg(test)]
mod tests;
