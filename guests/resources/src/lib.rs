//! The container's memory and file systems (`wasmpod:resources/resources`).

#[allow(missing_docs)]
mod bindings {
    wit_bindgen::generate!({
        path: "../../wit/resources",
        world: "wasmpod:resources/imports",
        generate_all,
    });
}

pub use bindings::wasmpod::resources::resources::{Memory, Mount};

/// Returns the memory of the container.
pub fn memory() -> Memory {
    bindings::wasmpod::resources::resources::get_memory()
}

/// Returns the mounts in the order of their paths.
pub fn mounts() -> Vec<Mount> {
    bindings::wasmpod::resources::resources::list_mounts()
}
