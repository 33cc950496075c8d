use super::*;

fn program(name: &str) -> Vec<u8> {
    let path = format!("{}/tests/programs/{name}.wasm", env!("CARGO_MANIFEST_DIR"));
    std::fs::read(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Returns a component that contains `parts`, each with its section's number.
fn component(parts: &[(u8, Vec<u8>)]) -> Vec<u8> {
    let mut bytes = b"\0asm\x0d\0\x01\0".to_vec();
    for (id, content) in parts {
        bytes.push(*id);
        bytes.extend(leb(content.len()));
        bytes.extend(content);
    }
    bytes
}

fn leb(mut value: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    while value >= 0x80 {
        bytes.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
    bytes
}

const COMPONENT: u8 = 4;
const INSTANCE: u8 = 5;
const ALIAS: u8 = 6;
const EXPORT: u8 = 11;

/// Returns a component of `levels` components, each of which instantiates the previous one twice.
fn doubling(levels: u8) -> Vec<u8> {
    let mut parts = vec![(COMPONENT, component(&[]))];
    for level in 0..levels {
        // (alias outer 1 LEVEL (component)) (instance (instantiate 0)) (instance (instantiate 0))
        let outer = (ALIAS, vec![1, 4, 2, 1, level]);
        let twice = (INSTANCE, vec![2, 0, 0, 0, 0, 0, 0]);
        parts.push((COMPONENT, component(&[outer, twice])));
    }
    component(&parts)
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
    assert_eq!(imports.shape.expect("small").parts, 1);
    assert_eq!(inspect(&program("run"), BinaryFormat::Component).imports_end, None);
}

#[test]
fn shape_counts_nested_parts() {
    let shape = inspect(&program("run"), BinaryFormat::Component).shape.expect("small");
    assert_eq!((shape.parts, shape.functions, shape.instances, shape.types), (3, 1, 3, 3));
    assert!(shape.code_bytes > 0 && shape.code_bytes == shape.largest_function);
}

#[test]
fn instances_of_instances_are_counted() {
    let instances = |levels| inspect(&doubling(levels), BinaryFormat::Component).shape.map(|shape| shape.instances);
    assert_eq!(instances(1), Ok(3));
    assert_eq!(instances(4), Ok(31));
    let error = instances(60).expect_err("too many").to_string();
    assert!(error.starts_with("too large to compile: it has 2305843009213693951 instances of"), "{error}");
    assert!(instances(100).is_err(), "no overflow");
}

#[test]
fn exports_of_all_instances_are_counted() {
    // A component with so many exports, of which so many instances are created.
    let exports = |count: usize| [leb(count), [0, 1, b'a', 1, 0, 0].repeat(count)].concat();
    let instances = |count: usize| [leb(count), [0, 0, 0].repeat(count)].concat();
    let program = |exported, created| {
        let part = component(&[(EXPORT, exports(exported))]);
        component(&[(COMPONENT, part), (INSTANCE, instances(created))])
    };
    let items = |bytes: &[u8]| inspect(bytes, BinaryFormat::Component).shape.map(|shape| shape.instance_items);
    assert_eq!(items(&program(50, 100)), Ok(5000));
    // 55 KB that took four gigabytes.
    let error = items(&program(5000, 900)).expect_err("too many").to_string();
    let expected = "too large to compile: it has 4500000 exports and imports of instances and the maximum is 300000; ";
    assert!(error.starts_with(expected), "{error}");
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
