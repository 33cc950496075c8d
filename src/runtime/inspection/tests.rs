use super::*;

fn program(name: &str) -> Vec<u8> {
    let path = format!("{}/tests/programs/{name}.wasm", env!("CARGO_MANIFEST_DIR"));
    std::fs::read(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
}

#[test]
fn imports_before_a_fault_are_known() {
    let mut bytes = program("preview0");
    bytes.truncate(bytes.len() - 3);
    let inspection = inspect(&bytes, BinaryFormat::Module);
    assert!(inspection.fault.is_some());
    let names: Vec<_> = inspection.imports.iter().map(|import| import.name.as_str()).collect();
    assert_eq!(names, ["fd_write", "proc_exit"]);
}

#[test]
fn imports_of_interfaces_are_their_functions_and_resources() {
    let inspection = inspect(&program("component_imports"), BinaryFormat::Component);
    let first =
        |name: &str, kind| Import { module: Some("wasi:keyvalue/store@0.2.0-draft".into()), name: name.into(), kind };
    let expected = [first("bucket", ImportKind::Resource), first("open", ImportKind::Function(None))];
    assert_eq!(inspection.imports[..2], expected);
    let last = inspection.imports.last().expect("an import");
    assert_eq!((&last.module, last.name.as_str()), (&None, "plain"));
}

#[test]
fn imports_of_a_component_end_before_its_code() {
    let bytes = program("wrong_import_type");
    let end = inspect(&bytes, BinaryFormat::Component).imports_end.expect("imports");
    let imports = inspect(&bytes[..end], BinaryFormat::Component);
    assert_eq!(imports.imports.len(), 1);
    assert_eq!(inspect(&program("run"), BinaryFormat::Component).imports_end, None);
}

#[test]
fn proposals_beyond_the_engines_are_named() {
    let fault = |name: &str| match validate(&program(name)) {
        Ok(_) => "none".to_string(),
        Err(Fault::Unsupported(proposals)) => proposals.to_string(),
        Err(Fault::Invalid(error)) => error.to_string(),
    };
    assert_eq!(fault("exceptions"), "none");
    let threads = "needs the WebAssembly threads proposal, which wasmpod does not support; build it without threads";
    assert_eq!(fault("threads"), threads);
    let mut bytes = program("threads");
    // The body's last instruction becomes one that does not exist.
    let at = bytes.len() - 2;
    bytes[at] = 0xff;
    assert!(matches!(validate(&bytes), Err(Fault::Invalid(_))), "a fault of the program comes first");
}
