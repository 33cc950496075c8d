use super::*;

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(ToString::to_string).collect()
}

fn local(dir: &Path) -> Image {
    std::fs::write(dir.join("app.wasm"), b"\0asm").expect("written");
    let images = Images::new(BTreeMap::new(), true);
    Arc::into_inner(images.find("./app.wasm", dir).expect("found")).expect("the only one")
}

#[test]
fn command_and_args_replace_entrypoint_and_cmd_as_in_kubernetes() {
    let dir = tempfile::tempdir().expect("a folder");
    let image = Image { entrypoint: words(&["app", "a"]), cmd: words(&["b"]), ..local(dir.path()) };
    for (command, args, argv) in [
        (&[][..], &[][..], &["app", "a", "b"][..]),
        (&[], &["x"], &["app", "a", "x"]),
        (&["app"], &[], &["app"]),
        (&["app"], &["x"], &["app", "x"]),
    ] {
        let run = image.command(&words(command), &words(args)).expect("a command");
        assert_eq!(run.argv, words(argv), "{command:?} {args:?}");
    }
}

#[test]
fn an_unknown_image_lists_the_ways_to_one() {
    let images = Images::new(BTreeMap::new(), true);
    let error = images.find("redis", Path::new("/")).expect_err("unknown");
    assert_eq!(error.reason(), "ErrImagePull");
    for way in ["./app.wasm", "--image redis=FILE", "busybox"] {
        assert!(error.to_string().contains(way), "{error}");
    }
    assert_eq!(images.find("A b", Path::new("/")).expect_err("no name").reason(), "InvalidImageName");
}

#[test]
fn names_given_by_the_user_come_before_built_in_ones() {
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("mine.wasm");
    std::fs::write(&path, b"\0asm").expect("written");
    let images = Images::new([("nginx".to_string(), path.clone())].into(), true);
    let image = images.find("nginx", Path::new("/")).expect("found");
    assert!(image.id.starts_with("mine.wasm@sha256:") && image.notice.is_none(), "{}", image.id);
    std::fs::write(&path, b"\0asm changed").expect("written");
    assert_ne!(images.find("nginx", Path::new("/")).expect("found").id, image.id, "the file has changed");
}

#[test]
fn an_images_httpd_is_busyboxs_and_the_web_server_is_called_nginx() {
    let images = Images::new(BTreeMap::new(), true);
    let program = |image: &str, command: &[&str]| {
        let command: Vec<String> = command.iter().map(ToString::to_string).collect();
        images.find(image, Path::new("/")).expect("found").command(&command, &[]).expect("a program").program.digest
    };
    let (busybox, nginx) = (program("busybox", &["sh"]), program("nginx", &[]));
    assert_ne!(busybox, nginx);
    assert_eq!(program("busybox", &["httpd", "-f", "-p", "8080"]), busybox);
    assert_eq!(program("nginx", &["/usr/sbin/nginx", "-g", "daemon off;"]), nginx);
}

#[test]
fn applets_are_sorted_so_that_they_are_found() {
    assert!(APPLETS.is_sorted());
}

#[test]
fn held_files_stay_as_they_were_read_until_something_newer_is_adopted() {
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("app.wasm");
    std::fs::write(&path, b"\0asm old").expect("written");
    let images = Images::new(BTreeMap::new(), true).held();
    let id = || images.find("./app.wasm", dir.path()).expect("found").id.clone();
    let old = id();
    std::fs::write(&path, b"\0asm newer").expect("written");
    assert_eq!(id(), old, "what is on disk may be half written");
    std::fs::remove_file(&path).expect("removed");
    assert_eq!(id(), old, "or gone for the moment");
    let file = images.file("./app.wasm", dir.path()).expect("a file");
    images.adopt(&file, Executable::new(Bytes::from_static(b"\0asm newer")));
    assert_ne!(id(), old);
    assert_eq!(images.file("busybox", dir.path()), None);
}

#[test]
fn a_program_given_as_bytes_is_called_after_its_image() {
    let images = Images::new(BTreeMap::new(), true).with("example.org/team/web:v1", b"\0asm");
    let image = images.find("example.org/team/web:v1", Path::new("/")).expect("found");
    assert_eq!(image.command(&[], &[]).expect("a command").argv, ["web"]);
    assert_eq!(images.find("example.org/team/web:v2", Path::new("/")).expect_err("another").reason(), "ErrImagePull");
}
