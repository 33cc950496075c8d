//! Sections of a component: imported interfaces and exported entry points.

use wasmparser::component_types::{ComponentDefinedType, ComponentEntityType, ComponentValType};
use wasmparser::types::Types;
use wasmparser::{
    ComponentAlias, ComponentExternalKind, ComponentImport, ComponentOuterAliasKind, ComponentType, ComponentTypeRef,
    InstanceTypeDeclaration, Payload, TypeBounds,
};

use super::shape::MAX_IMPORTS;
use super::{EntryPoint, Import, ImportKind, NotACommand};

/// An item of an instance type.
type Item = (String, ImportKind);

/// What is known of the sections of the outermost component.
#[derive(Default)]
pub(super) struct ComponentSections {
    /// The component's type index space: the items of instance types, `None` for other types.
    types: Vec<Option<Vec<Item>>>,
    imports: Vec<Import>,
    /// Names of the exported instances.
    exports: Vec<String>,
    /// The end of the last section with imports.
    imports_end: usize,
    /// Whether code or instances come before the end of the imports.
    has_early_code: bool,
    has_code: bool,
}

impl ComponentSections {
    pub(super) fn add(&mut self, payload: Payload<'_>) -> wasmparser::Result<()> {
        match payload {
            Payload::ComponentTypeSection(types) => {
                for ty in types {
                    self.types.push(instance_items(&ty?));
                }
            }
            Payload::ComponentAliasSection(aliases) => {
                for alias in aliases {
                    if is_type_alias(&alias?) {
                        self.types.push(None);
                    }
                }
            }
            Payload::ComponentImportSection(imports) => {
                self.imports_end = imports.range().end;
                self.has_early_code = self.has_code;
                for import in imports {
                    self.add_import(&import?);
                }
            }
            Payload::ComponentExportSection(exports) => {
                self.has_code = true;
                for export in exports {
                    let export = export?;
                    match export.kind {
                        ComponentExternalKind::Instance => self.exports.push(export.name.name.into()),
                        ComponentExternalKind::Type => self.types.push(None),
                        _ => {}
                    }
                }
            }
            Payload::Version { .. } | Payload::CoreTypeSection(_) | Payload::CustomSection(_) => {}
            _ => self.has_code = true,
        }
        Ok(())
    }

    fn add_import(&mut self, import: &ComponentImport<'_>) {
        let name = import.name.name;
        match import.ty {
            ComponentTypeRef::Instance(ty) => {
                let items = self.types.get(ty as usize).and_then(Option::as_deref).unwrap_or_default();
                // More are refused, but not before all are counted.
                let items = items.iter().take((MAX_IMPORTS + 1).saturating_sub(self.imports.len()));
                let import =
                    |(item, kind): &Item| Import { module: Some(name.into()), name: item.clone(), kind: kind.clone() };
                self.imports.extend(items.map(import));
            }
            ty => {
                if matches!(ty, ComponentTypeRef::Type(_)) {
                    self.types.push(None);
                }
                let import = item_kind(ty).map(|kind| Import { module: None, name: name.into(), kind });
                self.imports.extend(import);
            }
        }
    }

    /// Returns the length of the leading bytes that hold all imports, unless there are none or code is among them.
    pub(super) fn imports_end(&self) -> Option<usize> {
        (self.imports_end > 0 && !self.has_early_code).then_some(self.imports_end)
    }

    /// Returns the imports and the entry point.
    pub(super) fn finish(self) -> (Vec<Import>, Result<EntryPoint, NotACommand>) {
        let entry_point = entry_point(&self.exports);
        (self.imports, entry_point)
    }
}

/// Returns the items of an instance type.
fn instance_items(ty: &ComponentType<'_>) -> Option<Vec<Item>> {
    let ComponentType::Instance(declarations) = ty else { return None };
    let item = |declaration: &InstanceTypeDeclaration<'_>| match declaration {
        InstanceTypeDeclaration::Export { name, ty } => Some((name.name.to_string(), item_kind(*ty)?)),
        _ => None,
    };
    Some(declarations.iter().filter_map(item).collect())
}

/// Returns what must be provided for an item; `None` for a name of a type, for which nothing must be.
fn item_kind(ty: ComponentTypeRef) -> Option<ImportKind> {
    match ty {
        ComponentTypeRef::Func(_) => Some(ImportKind::Function(None)),
        ComponentTypeRef::Type(TypeBounds::SubResource) => Some(ImportKind::Resource),
        ComponentTypeRef::Type(TypeBounds::Eq(_)) => None,
        ComponentTypeRef::Module(_)
        | ComponentTypeRef::Value(_)
        | ComponentTypeRef::Instance(_)
        | ComponentTypeRef::Component(_) => Some(ImportKind::Other),
    }
}

fn is_type_alias(alias: &ComponentAlias<'_>) -> bool {
    matches!(
        alias,
        ComponentAlias::InstanceExport { kind: ComponentExternalKind::Type, .. }
            | ComponentAlias::Outer { kind: ComponentOuterAliasKind::Type, .. }
    )
}

/// Chooses the entry point among the exported instances.
fn entry_point(exports: &[String]) -> Result<EntryPoint, NotACommand> {
    let versions = || exports.iter().filter_map(|name| Some((name, name.strip_prefix("wasi:cli/run@")?)));
    let released = |track: &str| {
        let mut found = versions().filter(|(_, version)| version.starts_with(track) && !version.contains('-'));
        found.next().map(|(name, _)| name.clone())
    };
    if let Some(name) = released("0.3.") {
        return Ok(EntryPoint::Run3(name));
    }
    if let Some(name) = released("0.2.") {
        return Ok(EntryPoint::Run2(name));
    }
    Err(match versions().next() {
        Some((name, version)) if version.contains('-') => NotACommand::Draft(name.clone()),
        Some((name, _)) => NotACommand::Version(name.clone()),
        None if exports.iter().any(|name| name.starts_with("wasi:http/")) => NotACommand::Http,
        None => NotACommand::NoRun,
    })
}

/// Checks that the entry point's instance has a function `run` without parameters that returns a `result` without
/// payloads.
///
/// # Errors
/// Fails if it has not.
pub fn check_run(types: &Types, entry_point: &EntryPoint) -> Result<(), NotACommand> {
    let name = match entry_point {
        EntryPoint::Start => return Ok(()),
        EntryPoint::Run2(name) | EntryPoint::Run3(name) => name,
    };
    let run = || {
        let ComponentEntityType::Instance(instance) = types.as_ref().component_item_for_export(name)?.ty else {
            return None;
        };
        let ComponentEntityType::Func(run) = types[instance].exports.get("run")?.ty else { return None };
        let run = &types[run];
        let Some(ComponentValType::Type(result)) = run.result else { return None };
        let is_result = matches!(types[result], ComponentDefinedType::Result { ok: None, err: None, .. });
        (is_result && run.params.is_empty()).then_some(())
    };
    run().ok_or_else(|| NotACommand::RunType(name.clone()))
}
