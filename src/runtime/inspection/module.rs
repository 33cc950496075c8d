//! Sections of a core module: imports and `_start`.

use std::fmt;

use wasmparser::{CompositeInnerType, ExternalKind, FuncType, Payload, TypeRef};

use super::shape::MAX_IMPORTS;
use super::{EntryPoint, Import, ImportKind, NotACommand};

/// The types of a function's parameters and results, as they are written in WebAssembly's text format.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Signature {
    parameters: Vec<String>,
    results: Vec<String>,
}

impl Signature {
    /// Returns the signature with these types.
    pub fn new(
        parameters: impl IntoIterator<Item: fmt::Display>,
        results: impl IntoIterator<Item: fmt::Display>,
    ) -> Signature {
        Signature {
            parameters: parameters.into_iter().map(|ty| ty.to_string()).collect(),
            results: results.into_iter().map(|ty| ty.to_string()).collect(),
        }
    }
}

impl fmt::Display for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "({}) -> ({})", self.parameters.join(", "), self.results.join(", "))
    }
}

/// What is known of a module's sections.
#[derive(Default)]
pub(super) struct ModuleSections {
    /// `None` for types that are not of functions.
    types: Vec<Option<FuncType>>,
    /// Indices of the functions' types.
    functions: Vec<u32>,
    imports: Vec<Import>,
    start: Option<(ExternalKind, u32)>,
}

impl ModuleSections {
    pub(super) fn add(&mut self, payload: Payload<'_>) -> wasmparser::Result<()> {
        match payload {
            Payload::TypeSection(groups) => {
                for group in groups {
                    self.types.extend(group?.into_types().map(|ty| match ty.composite_type.inner {
                        CompositeInnerType::Func(ty) => Some(ty),
                        CompositeInnerType::Array(_) | CompositeInnerType::Struct(_) | CompositeInnerType::Cont(_) => {
                            None
                        }
                    }));
                }
            }
            Payload::ImportSection(imports) => {
                for import in imports.into_imports() {
                    self.add_import(&import?);
                }
            }
            Payload::FunctionSection(functions) => {
                for ty in functions {
                    self.functions.push(ty?);
                }
            }
            Payload::ExportSection(exports) => {
                for export in exports {
                    let export = export?;
                    if export.name == "_start" {
                        self.start = Some((export.kind, export.index));
                    }
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn add_import(&mut self, import: &wasmparser::Import<'_>) {
        let kind = match import.ty {
            TypeRef::Func(ty) | TypeRef::FuncExact(ty) => {
                self.functions.push(ty);
                ImportKind::Function(self.signature(ty))
            }
            TypeRef::Table(_) | TypeRef::Memory(_) | TypeRef::Global(_) | TypeRef::Tag(_) => ImportKind::Other,
        };
        // More are refused, but not before all are counted.
        if self.imports.len() <= MAX_IMPORTS {
            self.imports.push(Import { module: Some(import.module.into()), name: import.name.into(), kind });
        }
    }

    fn signature(&self, ty: u32) -> Option<Signature> {
        let ty = self.types.get(ty as usize)?.as_ref()?;
        Some(Signature::new(ty.params(), ty.results()))
    }

    /// Returns the imports and the entry point.
    pub(super) fn finish(self) -> (Vec<Import>, Result<EntryPoint, NotACommand>) {
        let entry_point = match self.start {
            None => Err(NotACommand::NoStart),
            Some((ExternalKind::Func | ExternalKind::FuncExact, index)) => {
                let signature = self.functions.get(index as usize).and_then(|ty| self.signature(*ty));
                match signature {
                    // An unknown function is a fault, which validation reports.
                    None => Ok(EntryPoint::Start),
                    Some(signature) if signature == Signature::default() => Ok(EntryPoint::Start),
                    Some(signature) => Err(NotACommand::StartType(format!("a function {signature}"))),
                }
            }
            Some((kind, _)) => Err(NotACommand::StartType(format!("a {}", kind_name(kind)))),
        };
        (self.imports, entry_point)
    }
}

fn kind_name(kind: ExternalKind) -> &'static str {
    match kind {
        ExternalKind::Func | ExternalKind::FuncExact => "function",
        ExternalKind::Table => "table",
        ExternalKind::Memory => "memory",
        ExternalKind::Global => "global",
        ExternalKind::Tag => "tag",
    }
}
