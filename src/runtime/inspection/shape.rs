//! The shape of a program, which bounds the time and the memory that its compilation takes.
//!
//! The engine has no such bounds: a million empty functions, or components that instantiate each other twice over many
//! levels, fit into a small file and take gigabytes. The limits are far beyond any real program.

/// Maximum number of functions in all modules of a program.
const MAX_FUNCTIONS: u64 = 300_000;
/// Maximum number of types in all modules and components of a program.
const MAX_TYPES: u64 = 200_000;
/// Maximum number of items that a program imports.
pub(super) const MAX_IMPORTS: usize = 20_000;
/// Maximum size of a function's body in bytes.
const MAX_FUNCTION_BYTES: u64 = 2 << 20;
/// Maximum number of modules and components in a program.
const MAX_PARTS: u64 = 1000;
/// Maximum number of instances of all parts, those that components create of each other included.
const MAX_INSTANCES: u64 = 2000;
/// Maximum number of items that all instances of components export and import.
const MAX_INSTANCE_ITEMS: u64 = 300_000;

/// Memory that compiling takes: for the engine itself, and for each of the counts.
const BASE_BYTES: u64 = 16 << 20;
const BYTES_PER_FUNCTION: u64 = 6 << 10;
const BYTES_PER_CODE_BYTE: u64 = 40;
const BYTES_PER_BYTE_OF_LARGEST_FUNCTION: u64 = 500;
const BYTES_PER_INSTANCE_ITEM: u64 = 1 << 10;

/// Counts of a program's parts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Shape {
    pub(super) functions: u64,
    pub(super) types: u64,
    pub(super) imports: u64,
    pub(super) largest_function: u64,
    pub(super) parts: u64,
    pub(super) instances: u64,
    /// Exports and imports of all instances of components.
    pub(super) instance_items: u64,
    /// Size of all function bodies.
    pub(super) code_bytes: u64,
}

/// A program has more of something than wasmpod compiles.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("too large to compile: it has {what} and the maximum is {limit}; split it into several programs")]
pub struct ShapeError {
    what: String,
    limit: u64,
}

impl Shape {
    /// Returns an estimate of the memory that compiling takes, in MiB.
    pub fn compile_memory(&self) -> u32 {
        let parts = [
            (self.functions, BYTES_PER_FUNCTION),
            (self.code_bytes, BYTES_PER_CODE_BYTE),
            (self.largest_function, BYTES_PER_BYTE_OF_LARGEST_FUNCTION),
            (self.instance_items, BYTES_PER_INSTANCE_ITEM),
        ];
        let bytes = parts.iter().fold(BASE_BYTES, |sum, (count, each)| sum.saturating_add(count.saturating_mul(*each)));
        u32::try_from(bytes >> 20).unwrap_or(u32::MAX)
    }

    /// Checks the limits.
    ///
    /// # Errors
    /// Names the first exceeded limit.
    pub(super) fn check(self) -> Result<Shape, ShapeError> {
        let counts = [
            (self.functions, MAX_FUNCTIONS, "functions"),
            (self.types, MAX_TYPES, "types"),
            (self.imports, MAX_IMPORTS as u64, "imports"),
            (self.largest_function, MAX_FUNCTION_BYTES, "bytes in a function"),
            (self.parts, MAX_PARTS, "modules and components"),
            (self.instances, MAX_INSTANCES, "instances of modules and components"),
            (self.instance_items, MAX_INSTANCE_ITEMS, "exports and imports of instances"),
        ];
        match counts.into_iter().find(|(count, limit, _)| count > limit) {
            Some((count, limit, what)) => Err(ShapeError { what: format!("{count} {what}"), limit }),
            None => Ok(self),
        }
    }
}
