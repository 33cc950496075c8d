use super::*;

fn strings(words: &[&str]) -> Vec<String> {
    words.iter().map(ToString::to_string).collect()
}

fn local_image(dir: &Path) -> Image {
    std::fs::write(dir.join("app.wasm"), b"\0asm").expect("written");
    let images = Images::new(BTreeMap::new(), true);
    Arc::into_inner(images.find("./app.wasm", dir).expect("found")).expect("sole reference")
}

#[test]
fn command_and_args_replace_entrypoint_and_cmd() {
    let dir = tempfile::tempdir().expect("temporary directory");
    let image = Image { entrypoint: strings(&["app", "a"]), cmd: strings(&["b"]), ..local_image(dir.path()) };
    for (command, args, argv) in [
        (&[][..], &[][..], &["app", "a", "b"][..]),
        (&[], &["x"], &["app", "a", "x"]),
        (&["app"], &[], &["app"]),
        (&["app"], &["x"], &["app", "x"]),
    ] {
        let run = image.command(&strings(command), &strings(args)).expect("runnable");
        assert_eq!(run.argv, strings(argv), "{command:?} {args:?}");
    }
}

#[test]
fn unknown_image_error_lists_the_image_sources() {
    let images = Images::new(BTreeMap::new(), true);
    let error = images.find("redis", Path::new("/")).expect_err("unknown");
    assert_eq!(error.reason(), "ErrImagePull");
    for source in ["./app.wasm", "--image redis=FILE", "busybox"] {
        assert!(error.to_string().contains(source), "{error}");
    }
    assert_eq!(images.find("A b", Path::new("/")).expect_err("invalid name").reason(), "InvalidImageName");
}

#[test]
fn disabled_built_in_image_error_names_the_flag() {
    let images = Images::new(BTreeMap::new(), false);
    let error = images.find("nginx:1.27", Path::new("/")).expect_err("disabled");
    assert_eq!(error.reason(), "ErrImagePull");
    assert!(error.to_string().contains("`--builtin-images`"), "{error}");
}

#[test]
fn named_files_override_built_in_images() {
    let dir = tempfile::tempdir().expect("temporary directory");
    let path = dir.path().join("mine.wasm");
    std::fs::write(&path, b"\0asm").expect("written");
    let images = Images::new([("nginx".to_string(), path.clone())].into(), true);
    let image = images.find("nginx", Path::new("/")).expect("found");
    assert!(image.id.starts_with("mine.wasm@sha256:") && image.notice.is_none(), "{}", image.id);
    std::fs::write(&path, b"\0asm changed").expect("written");
    assert_ne!(images.find("nginx", Path::new("/")).expect("found").id, image.id, "the file has changed");
}

#[test]
fn httpd_is_a_busybox_applet_and_nginx_the_web_server() {
    let images = Images::new(BTreeMap::new(), true);
    let program = |image: &str, command: &[&str]| {
        let image = images.find(image, Path::new("/")).expect("found");
        image.command(&strings(command), &[]).expect("runnable").program.digest
    };
    let (busybox, nginx) = (program("busybox", &["sh"]), program("nginx", &[]));
    assert_ne!(busybox, nginx);
    assert_eq!(program("busybox", &["httpd", "-f", "-p", "8080"]), busybox);
    assert_eq!(program("nginx", &["/usr/sbin/nginx", "-g", "daemon off;"]), nginx);
}

#[test]
fn applets_are_sorted_for_binary_search() {
    assert!(APPLETS.is_sorted());
}

#[test]
fn pinned_files_change_only_when_replaced() {
    let dir = tempfile::tempdir().expect("temporary directory");
    let path = dir.path().join("app.wasm");
    std::fs::write(&path, b"\0asm old").expect("written");
    let images = Images::new(BTreeMap::new(), true).with_pinned_files();
    let id = || images.find("./app.wasm", dir.path()).expect("found").id.clone();
    let old = id();
    std::fs::write(&path, b"\0asm newer").expect("written");
    assert_eq!(id(), old, "the file on disk may be incomplete");
    std::fs::remove_file(&path).expect("removed");
    assert_eq!(id(), old, "the file may be missing temporarily");
    let file = images.local_file("./app.wasm", dir.path()).expect("local file");
    images.replace_program(&file, Executable::new(Bytes::from_static(b"\0asm newer")));
    assert_ne!(id(), old);
    assert_eq!(images.local_file("busybox", dir.path()), None);
}

#[test]
fn program_from_bytes_is_named_after_its_image() {
    let images = Images::new(BTreeMap::new(), true).with_image("example.org/team/web:v1", b"\0asm");
    let image = images.find("example.org/team/web:v1", Path::new("/")).expect("found");
    assert_eq!(image.command(&[], &[]).expect("runnable").argv, ["web"]);
    assert_eq!(
        images.find("example.org/team/web:v2", Path::new("/")).expect_err("another tag").reason(),
        "ErrImagePull"
    );
}
