//! A container sees its environment, its arguments and its files, and nothing else of the host.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use serde_json::Value;

use crate::support::{ProcessOutput, container_status, pod, run, scripts, test_file};

/// Returns a pod that runs a shell script, with further fields of its container and its spec.
fn shell(script: &str, container: &str, spec: &str) -> String {
    let command = Value::from(script);
    let container = format!("{{name: c, image: busybox, command: [sh, -c, {command}], {container}}}");
    pod("p", &format!("restartPolicy: Never, containers: [{container}], {spec}"))
}

/// Runs a shell script with the directory `dir` mounted at /v.
fn with_directory(script: &str, dir: &Path, mount: &str) -> ProcessOutput {
    let mount = format!("volumeMounts: [{{name: v, mountPath: /v, {mount}}}]");
    let volume = format!("volumes: [{{name: v, hostPath: {{path: {}}}}}]", Value::from(dir.to_string_lossy()));
    run().manifest(&shell(script, &mount, &volume)).output()
}

#[test]
fn environment_comes_from_the_manifest() {
    let env = "env: [{name: A, value: x}, {name: B, value: '$(A)-$(LATER)-$$(A)'}, {name: LATER, value: later}, {name: EMPTY}, \
        {name: POD, valueFrom: {fieldRef: {fieldPath: metadata.name}}}, \
        {name: NS, valueFrom: {fieldRef: {fieldPath: metadata.namespace}}}, \
        {name: NODE, valueFrom: {fieldRef: {fieldPath: spec.nodeName}}}, \
        {name: IP, valueFrom: {fieldRef: {fieldPath: status.podIP}}}], \
        args: [_, '$(A)', '$(NOPE)', '$$(A)', 'a b']";
    let script = r#"echo "[$A][$B][$LATER][${EMPTY-unset}][$POD][$NS][$NODE][$HOSTNAME][$(hostname)][$HOME]"
        [ -n "$IP" ] && echo ip; echo "[$1][$2][$3][$4] $#""#;
    let output = run().manifest(&shell(script, env, "")).output().expect_code(0);
    let want = "[x][x-$(LATER)-$(A)][later][][p][default][wasmpod][p][p][/root]\nip\n[x][$(NOPE)][$(A)][a b] 4\n";
    assert_eq!(output.log("p/c"), want);
}

#[test]
fn working_directory_and_host_name_come_from_the_manifest() {
    let script = "pwd; echo $HOSTNAME; echo x > f; ls /w/d";
    let mount = "workingDir: /w/d, volumeMounts: [{name: v, mountPath: /w/d}]";
    let output = run()
        .manifest(&shell(script, mount, "hostname: other, volumes: [{name: v, emptyDir: {}}]"))
        .output()
        .expect_code(0);
    assert_eq!(output.log("p/c"), "/w/d\nother\nf\n");
}

#[test]
fn missing_working_directory_is_created() {
    let output =
        run().manifest(&shell("pwd; echo x > f && cat f", "workingDir: /not/there", "")).output().expect_code(0);
    assert_eq!(output.log("p/c"), "/not/there\nx\n");
}

#[test]
fn empty_dir_is_shared_only_within_its_pod() {
    let pod = |name: &str| {
        let mounted = |c: &str, script: &str| {
            format!(
                "{{name: {c}, image: busybox, command: [sh, -c, '{script}'], volumeMounts: [{{name: v, mountPath: /{c}}}]}}"
            )
        };
        let spec = format!(
            "restartPolicy: Never, volumes: [{{name: v, emptyDir: {{}}}}], initContainers: [{}], containers: [{}, {}]",
            mounted("i", "ls /i; echo from init in $HOSTNAME > /i/f"),
            mounted("a", "cat /a/f; echo more > /a/g"),
            mounted("b", "until [ -e /b/g ]; do sleep 0.02; done; cat /b/f /b/g"),
        );
        pod(name, &spec)
    };
    let output = run().manifest(&format!("{}---\n{}", pod("one"), pod("two"))).output().expect_code(0);
    for name in ["one", "two"] {
        let log = |c: &str| output.log(&format!("{name}/{c}"));
        assert_eq!(
            (log("i"), log("a"), log("b")),
            (String::new(), format!("from init in {name}\n"), format!("from init in {name}\nmore\n"),)
        );
    }
}

#[test]
fn host_paths_are_mounted_by_type_and_written_through() {
    let dir = tempfile::tempdir().expect("a directory");
    fs::write(dir.path().join("given"), "from the host\n").expect("written");
    let output = with_directory("cat /v/given; echo from the guest > /v/made", dir.path(), "").expect_code(0);
    assert_eq!(output.log("p/c"), "from the host\n");
    assert_eq!(fs::read_to_string(dir.path().join("made")).expect("the guest's file"), "from the guest\n");

    let path = dir.path().join("new/deep");
    let volume = format!("volumes: [{{name: v, hostPath: {{path: {path:?}, type: DirectoryOrCreate}}}}]");
    let yaml = shell("echo x > /v/f", "volumeMounts: [{name: v, mountPath: /v}]", &volume);
    run().manifest(&yaml).output().expect_code(0);
    assert!(path.join("f").exists());
}

#[test]
fn read_only_mount_rejects_writes() {
    let dir = tempfile::tempdir().expect("a directory");
    fs::write(dir.path().join("f"), "content\n").expect("written");
    fs::create_dir(dir.path().join("d")).expect("created");
    let tries = [
        "echo x > /v/new",
        "echo x > /v/f",
        "echo x >> /v/f",
        "rm /v/f",
        "mkdir /v/n",
        "rmdir /v/d",
        "mv /v/f /v/g",
        "ln -s f /v/l",
        "touch /v/f",
        "touch /v/d/f",
        "mv /tmp/mine /v/mine",
    ];
    let script = format!(
        "cat /v/f; echo mine > /tmp/mine; {}",
        tries.map(|t| format!("({t}) 2>> /tmp/errors && echo '{t}'")).join("; ")
    );
    let script = format!("{script}; grep -v 'Read-only file system' /tmp/errors; wc -l < /tmp/errors");
    let output = with_directory(&script, dir.path(), "readOnly: true").expect_code(0);
    assert_eq!(output.log("p/c"), format!("content\n{}\n", tries.len()), "a write went through, or in other words");
    assert_eq!(fs::read_to_string(dir.path().join("f")).expect("the file"), "content\n");
}

#[test]
fn sub_path_mounts_part_of_a_volume() {
    let dir = tempfile::tempdir().expect("a directory");
    fs::create_dir_all(dir.path().join("a/b")).expect("created");
    fs::write(dir.path().join("a/b/f"), "deep\n").expect("written");
    let output = with_directory("cat /v/f; ls /v; cat /v/../a 2> /dev/null || echo no", dir.path(), "subPath: a/b")
        .expect_code(0);
    assert_eq!(output.log("p/c"), "deep\nf\nno\n");
    with_directory("echo x > /v/f", dir.path(), "subPath: made/on/demand").expect_code(0);
    assert!(dir.path().join("made/on/demand/f").exists());
}

/// Returns a directory with a secret, and a directory in it to mount.
fn directory_with_secret() -> (tempfile::TempDir, std::path::PathBuf) {
    let dir = tempfile::tempdir().expect("a directory");
    let inside = dir.path().join("inside");
    fs::create_dir(&inside).expect("created");
    fs::write(dir.path().join("secret"), "the secret\n").expect("written");
    (dir, inside)
}

#[track_caller]
fn sees_no_secret(script: &str, inside: &Path) {
    for mount in ["", "readOnly: true"] {
        let output = with_directory(&format!("({script}) 2>&1; echo end"), inside, mount).expect_code(0);
        let log = output.log("p/c");
        assert!(log.ends_with("end\n") && !log.contains("the secret"), "{log}");
    }
}

#[test]
fn dot_dot_cannot_leave_a_mount() {
    let (_dir, inside) = directory_with_secret();
    sees_no_secret(
        "cat /v/../secret; cd /v; cat ../secret; cat ./../secret; cat x/../../secret; mkdir -p d; cat d/../../secret",
        &inside,
    );
}

#[test]
fn absolute_paths_cannot_leave_a_mount() {
    let (dir, inside) = directory_with_secret();
    let secret = dir.path().join("secret");
    sees_no_secret(
        &format!("cat {0}; cat /v{0}; cat /v//{0}; ls {1}", secret.display(), dir.path().display()),
        &inside,
    );
}

#[test]
fn absolute_links_cannot_leave_a_mount() {
    let (dir, inside) = directory_with_secret();
    let secret = dir.path().join("secret");
    symlink(&secret, inside.join("link")).expect("a link");
    symlink(dir.path(), inside.join("dir")).expect("a link");
    sees_no_secret(&format!("cat /v/link; cat /v/dir/secret; ln -s {} /v/own; cat /v/own", secret.display()), &inside);
}

#[test]
fn links_with_dot_dot_cannot_leave_a_mount() {
    let (_dir, inside) = directory_with_secret();
    symlink("../secret", inside.join("link")).expect("a link");
    symlink("..", inside.join("dir")).expect("a link");
    sees_no_secret(
        "cat /v/link; cat /v/dir/secret; ln -s ../secret /v/own; cat /v/own; ls /v/dir | grep secret && cat /v/dir/secret",
        &inside,
    );
}

#[test]
fn hard_links_and_renames_cannot_leave_a_mount() {
    let (dir, inside) = directory_with_secret();
    sees_no_secret(
        "ln /v/../secret /v/hard; cat /v/hard; mv /v/../secret /v/moved; cat /v/moved; mv ../secret /v/m; cat /v/m",
        &inside,
    );
    assert!(dir.path().join("secret").exists());
    with_directory(
        "echo x > /v/f; mv /v/f /v/../out; mkdir /v/d; mv /v/d /v/../d; cp /v/f /v/../copy; exit 0",
        &inside,
        "",
    )
    .expect_code(0);
    for name in ["out", "d", "copy"] {
        assert!(!dir.path().join(name).exists(), "{name} is outside");
    }
}

#[test]
fn host_files_are_invisible() {
    let yaml = scripts(
        "p",
        &[("c", "ls /etc/shadow /proc /sys /home /usr/lib; cat /proc/self/environ /proc/1/cmdline; true")],
    );
    let output = run().manifest(&yaml).env("HOST_SECRET", "the secret").output().expect_code(0);
    assert!(!output.stdout.contains("the secret") && !output.stdout.contains("shadow\n"), "{}", output.stdout);
    assert!(
        !run()
            .manifest(&scripts("q", &[("c", "env")]))
            .env("HOST_SECRET", "x")
            .output()
            .expect_code(0)
            .stdout
            .contains("HOST_SECRET")
    );
}

#[test]
fn images_are_files_beside_the_manifest_or_named_by_flag() {
    let dir = tempfile::tempdir().expect("a directory");
    let program = crate::support::guest("wasm32-wasip2", "busybox");
    fs::copy(program, dir.path().join("app.wasm")).expect("a copy");
    let yaml = |image: &str| {
        pod(
            "p",
            &format!("restartPolicy: Never, containers: [{{name: c, image: {image}, command: [sh, -c, 'echo ran']}}]"),
        )
    };
    fs::write(dir.path().join("pod.yaml"), yaml("./app.wasm")).expect("written");
    let output = run().arg(dir.path().join("pod.yaml")).args(["-o", "json"]).output().expect_code(0);
    let id = container_status(&output.object(), "c")["imageID"].as_str().unwrap_or_default().to_string();
    assert!(id.starts_with("app.wasm@sha256:"), "{id}");
    let named = run().manifest(&yaml("registry.example/web:1")).args(["--image", "registry.example/web:1=app.wasm"]);
    assert_eq!(named.dir(dir.path()).output().expect_code(0).log("p/c"), "ran\n");
}

#[test]
fn bare_program_sees_what_its_flags_grant() {
    let dir = tempfile::tempdir().expect("a directory");
    fs::write(dir.path().join("f"), "content\n").expect("written");
    fs::write(dir.path().join("vars"), "# a comment\nA=from file\nB=from file\n\n").expect("written");
    let volume = |mode: &str| format!("{}:/data{mode}", dir.path().display());
    let script = "echo \"$A,$B,$1\"; cat /data/f; cat; echo x > /data/g; exit 42";
    let bare = |mode: &str| {
        let shell = run().arg(crate::support::guest("wasm32-wasip2", "busybox")).args([
            "--volume",
            &volume(mode),
            "--env",
            "B=from flag",
        ]);
        shell
            .arg("--env-file")
            .arg(dir.path().join("vars"))
            .args(["--", "sh", "-c", script, "sh", "arg"])
            .stdin("input\n")
            .output()
    };
    let output = bare(":ro").expect_code(42);
    assert_eq!(output.stdout, "from file,from flag,arg\ncontent\ninput\n");
    assert!(!dir.path().join("g").exists());
    bare("").expect_code(42);
    assert!(dir.path().join("g").exists());
}

#[test]
fn pod_reads_a_config_map_of_the_same_manifest() {
    let manifest = std::fs::read_to_string(test_file("manifests/config-volume.yaml")).expect("the manifest");
    let output = run().manifest(&manifest).output().expect_code(0);
    assert!(output.stdout.contains("Corefile") && output.stdout.contains(".:53 {"), "{}", output.stdout);
    assert!(!output.stdout.contains("other") && output.stdout.contains("read-only"), "{}", output.stdout);
    let env = "env: [{name: A, valueFrom: {configMapKeyRef: {name: m, key: a}}}], envFrom: [{prefix: P_, secretRef: {name: s}}]";
    let configs = "{apiVersion: v1, kind: ConfigMap, metadata: {name: m}, data: {a: x}}\n---\n\
                   {apiVersion: v1, kind: Secret, metadata: {name: s}, stringData: {b: z}}\n---\n";
    let output = run().manifest(&format!("{configs}{}", shell("echo $A $P_b", env, ""))).output().expect_code(0);
    assert_eq!(output.log("p/c"), "x z\n");
}

#[test]
fn pod_resolves_its_own_name_and_host_aliases() {
    let script = "grep -v ^# /etc/hosts | tail -n 3; cat /etc/hostname";
    let aliases = "hostAliases: [{ip: 1.2.3.4, hostnames: [foo, bar]}]";
    let output = run().manifest(&shell(script, "", aliases)).output().expect_code(0);
    let log = output.log("p/c");
    assert!(log.ends_with("\tp\n\n1.2.3.4\tfoo\tbar\np\n"), "{log}");
}
