//! Counts the parts of a program while its sections are read.

use wasmparser::{
    ComponentAlias, ComponentExternalKind, ComponentInstance, ComponentOuterAliasKind, ComponentTypeRef, Payload,
};

use super::shape::{Shape, ShapeError};

/// What an instance of a component creates, itself included.
#[derive(Debug, Clone, Copy, Default)]
struct Created {
    instances: u64,
    /// Exports and imports of the instances.
    items: u64,
}

impl Created {
    /// A component that is known at run time only.
    const UNKNOWN: Created = Created { instances: 1, items: 0 };

    fn add(&mut self, other: Created) {
        self.instances = self.instances.saturating_add(other.instances);
        self.items = self.items.saturating_add(other.items);
    }
}

/// A component whose sections are being read.
struct Scope {
    /// The component index space.
    components: Vec<Created>,
    created: Created,
}

/// The counts of the parts that were read.
#[derive(Default)]
pub struct Measure {
    shape: Shape,
    /// The components around the current section, the innermost last; modules have no scope.
    scopes: Vec<Scope>,
    /// Whether each open part is a component.
    parts: Vec<bool>,
}

impl Measure {
    /// Adds a section, or another part of the program.
    ///
    /// # Errors
    /// Fails if the section cannot be read.
    pub fn add(&mut self, payload: &Payload<'_>) -> wasmparser::Result<()> {
        match payload {
            Payload::Version { encoding, .. } => self.open(*encoding == wasmparser::Encoding::Component),
            Payload::End(_) => self.close(),
            Payload::TypeSection(section) => self.shape.types += u64::from(section.count()),
            Payload::CoreTypeSection(section) => self.shape.types += u64::from(section.count()),
            Payload::ComponentTypeSection(section) => self.shape.types += u64::from(section.count()),
            Payload::ImportSection(section) => self.shape.imports += u64::from(section.count()),
            Payload::FunctionSection(section) => self.shape.functions += u64::from(section.count()),
            Payload::CodeSectionEntry(body) => {
                let bytes = body.range().len() as u64;
                self.shape.code_bytes += bytes;
                self.shape.largest_function = self.shape.largest_function.max(bytes);
            }
            Payload::InstanceSection(section) => self.create(u64::from(section.count()), 0),
            _ => self.add_of_component(payload)?,
        }
        Ok(())
    }

    fn add_of_component(&mut self, payload: &Payload<'_>) -> wasmparser::Result<()> {
        match payload {
            Payload::ComponentInstanceSection(section) => {
                for instance in section.clone() {
                    self.add_instance(&instance?);
                }
            }
            Payload::ComponentImportSection(section) => {
                self.create(0, u64::from(section.count()));
                for import in section.clone() {
                    if let ComponentTypeRef::Component(_) = import?.ty {
                        self.define(Created::UNKNOWN);
                    }
                }
            }
            Payload::ComponentAliasSection(section) => {
                for alias in section.clone() {
                    self.add_alias(&alias?);
                }
            }
            Payload::ComponentExportSection(section) => {
                self.create(0, u64::from(section.count()));
                for export in section.clone() {
                    let export = export?;
                    if export.kind == ComponentExternalKind::Component {
                        self.define(self.component(0, export.index));
                    }
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn add_instance(&mut self, instance: &ComponentInstance<'_>) {
        match instance {
            ComponentInstance::Instantiate { component_index, args } => {
                let created = self.component(0, *component_index);
                self.create(created.instances, created.items.saturating_add(args.len() as u64));
            }
            ComponentInstance::FromExports(exports) => self.create(1, exports.len() as u64),
        }
    }

    fn add_alias(&mut self, alias: &ComponentAlias<'_>) {
        match alias {
            ComponentAlias::Outer { kind: ComponentOuterAliasKind::Component, count, index } => {
                self.define(self.component(*count as usize, *index));
            }
            ComponentAlias::InstanceExport { kind: ComponentExternalKind::Component, .. } => {
                self.define(Created::UNKNOWN);
            }
            _ => {}
        }
    }

    fn open(&mut self, is_component: bool) {
        self.shape.parts += 1;
        self.parts.push(is_component);
        if is_component {
            self.scopes.push(Scope { components: Vec::new(), created: Created { instances: 1, items: 0 } });
        }
    }

    fn close(&mut self) {
        if self.parts.pop() != Some(true) {
            return;
        }
        let Some(Scope { created, .. }) = self.scopes.pop() else { return };
        self.record(created);
        self.define(created);
    }

    fn record(&mut self, created: Created) {
        self.shape.instances = self.shape.instances.max(created.instances);
        self.shape.instance_items = self.shape.instance_items.max(created.items);
    }

    /// Adds a component to the innermost component's index space.
    fn define(&mut self, created: Created) {
        if let Some(scope) = self.scopes.last_mut() {
            scope.components.push(created);
        }
    }

    /// Returns what an instance of a component creates. The component belongs to the scope `outward` steps around the
    /// innermost one.
    fn component(&self, outward: usize, index: u32) -> Created {
        let scope = self.scopes.iter().rev().nth(outward);
        scope.and_then(|scope| scope.components.get(index as usize)).copied().unwrap_or(Created::UNKNOWN)
    }

    fn create(&mut self, instances: u64, items: u64) {
        if let Some(scope) = self.scopes.last_mut() {
            scope.created.add(Created { instances, items });
        }
    }

    /// Returns the counts, with `imports` imported items of the whole program.
    ///
    /// # Errors
    /// Names a limit that the program exceeds.
    pub fn finish(mut self, imports: usize) -> Result<Shape, ShapeError> {
        // Components of a program whose end is missing count as well.
        while let Some(scope) = self.scopes.pop() {
            self.record(scope.created);
        }
        Shape { imports: self.shape.imports.max(imports as u64), ..self.shape }.check()
    }
}
