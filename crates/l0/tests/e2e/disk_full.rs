//! The disk under the data directory is full: a clean error, nothing half there, and nothing lost that was acknowledged.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::json;

use crate::common::http::Connection;
use crate::common::instance::Instance;
use crate::common::run::run;

/// A small file system of the test's own.
struct SmallDisk {
    place: tempfile::TempDir,
}

impl SmallDisk {
    #[track_caller]
    fn new(mebibytes: u32) -> Self {
        let place = tempfile::TempDir::new().expect("a directory to mount at");
        let size = format!("size={mebibytes}m");
        let said = run(Command::new("mount").args(["-t", "tmpfs", "-o", &size, "tmpfs"]).arg(place.path()), b"");
        assert_eq!(
            said.code,
            Some(0),
            "this test mounts a small file system and needs to be root for that: {}",
            said.all()
        );
        Self { place }
    }

    fn path(&self) -> &Path {
        self.place.path()
    }

    fn used(&self) -> u64 {
        let said = run(Command::new("df").args(["--output=used", "-k"]).arg(self.path()), b"").ok();
        said.out.lines().nth(1).and_then(|line| line.trim().parse().ok()).expect("a number of KiB")
    }

    /// Writes zeros until nothing fits, and says where.
    fn fill(&self) -> PathBuf {
        let path = self.path().join("filler");
        let mut file = std::fs::File::create(&path).expect("room for a name");
        for size in [1024 * 1024, 4096, 1] {
            let zeros = vec![0; size];
            while file.write_all(&zeros).is_ok() {}
        }
        path
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        drop(Command::new("umount").arg("--lazy").arg(self.path()).status());
    }
}

/// Bytes that no two of are alike.
fn noise(length: usize, seed: u32) -> Vec<u8> {
    (0..u32::try_from(length).expect("small"))
        .map(|at| (at.wrapping_add(seed).wrapping_mul(2_654_435_761) >> 13) as u8)
        .collect()
}

fn digest(bytes: &[u8]) -> String {
    let said = run(Command::new("sha256sum").arg("-"), bytes).ok();
    format!("sha256:{}", said.out.split(' ').next().expect("a sum"))
}

/// Uploads a blob in one piece; the status of the last answer and its body.
fn upload(instance: &Instance, bytes: &[u8]) -> (u16, String) {
    let begun = instance.api("POST", "/v2/demo/app/blobs/uploads/", b"").expect("an answer");
    assert_eq!(begun.status, 202, "{begun:?}");
    let sum = digest(bytes);
    // The monolithic upload of the specification, to the place that the first answer named.
    let place = begun.header("location").expect("a location").to_owned();
    let place = place.split_once(&instance.address()).map_or(place.as_str(), |(_, path)| path).to_owned();
    let joiner = if place.contains('?') { '&' } else { '?' };
    let headers = format!(
        "Authorization: Basic {}\r\nContent-Type: application/octet-stream\r\nConnection: close\r\n",
        instance.credential()
    );
    let mut connection = Connection::open(&instance.address()).expect("a connection");
    match connection.request("PUT", &format!("{place}{joiner}digest={sum}"), &headers, bytes) {
        Ok(answer) => (answer.status, answer.body),
        Err(why) => panic!("the connection was cut instead of answered: {why}"),
    }
}

#[test]
fn a_full_disk_loses_nothing() {
    let disk = SmallDisk::new(24);
    let mut instance = Instance::prepared(&["--engine", "fake"]).with_data(&disk.path().join("data"));
    instance.server_start();
    instance.l0(&["repository", "create", "demo/app"]).ok();
    instance.l0(&["environment", "create", "before"]).ok();
    let small = noise(1024 * 1024, 1);
    assert_eq!(upload(&instance, &small).0, 201);
    let exists = |instance: &Instance, bytes: &[u8]| {
        instance.api("GET", &format!("/v2/demo/app/blobs/{}", digest(bytes)), b"").expect("an answer").status
    };
    assert_eq!(exists(&instance, &small), 200);
    let used = disk.used();

    // More than fits: refused in the form of the specification, nothing of it visible, its space given back.
    let large = noise(32 * 1024 * 1024, 2);
    let (status, body) = upload(&instance, &large);
    assert!((500..600).contains(&status) && body.contains("\"errors\""), "{status} {body}");
    assert!(body.contains("space") || body.contains("full"), "the cause is not told: {body}");
    assert_eq!(exists(&instance, &large), 404);
    crate::common::until::until("the space of the refused blob", || {
        let now = disk.used();
        if now <= used + 1024 { Ok(()) } else { Err(format!("{used} KiB before, {now} KiB now")) }
    });
    assert_eq!(exists(&instance, &small), 200);

    // Nothing at all fits: what can't be kept is refused, what is there can be read.
    let filler = disk.fill();
    let mut acknowledged = Vec::new();
    let mut refused = None;
    for number in 0..500 {
        let name = format!("during{number}");
        let body = format!("{{\"environment_name\":\"{name}\",\"operating_system\":\"linux\"}}");
        let answer = instance.api("POST", "/environment", body.as_bytes()).expect("an answer");
        if answer.status == 201 {
            acknowledged.push(name);
        } else {
            refused = Some(answer);
            break;
        }
    }
    let refused = refused.expect("a full disk refuses at some time");
    assert_eq!(refused.status, 507, "{refused:?}");
    instance.l0(&["environment", "create", "during"]).exits(1).says("disk");
    instance.l0(&["environment", "get", "before"]).ok().says("before");
    instance.l0(&["repository", "list"]).ok().says("demo/app");
    assert_eq!(exists(&instance, &small), 200);
    assert_eq!(crate::common::http::get(&instance.address(), "/health").expect("an answer").status, 200);

    // Room again: everything works, without a restart and after one.
    std::fs::remove_file(filler).expect("our own file");
    instance.l0(&["environment", "create", "after"]).ok();
    let other = noise(1024 * 1024, 3);
    assert_eq!(upload(&instance, &other).0, 201);
    instance.server_kill();
    instance.server_start();
    acknowledged.extend(["before".to_owned(), "after".to_owned()]);
    let there = instance.l0(&["environment", "list"]).ok().out;
    for name in acknowledged {
        assert!(
            there.lines().any(|line| line.split_whitespace().nth(1) == Some(name.as_str())),
            "{name} is lost:\n{there}"
        );
    }
    assert!(!there.contains(" during "), "what was refused is there:\n{there}");
    assert_eq!((exists(&instance, &small), exists(&instance, &other)), (200, 200));
}

/// Asks the registry; status and body.
fn registry(instance: &Instance, method: &str, path: &str, body: &str) -> (u16, String) {
    let headers =
        format!("Authorization: Basic {}\r\nContent-Type: {MANIFEST}\r\nConnection: close\r\n", instance.credential());
    let mut connection = Connection::open(&instance.address()).expect("a connection");
    let answer = connection.request(method, path, &headers, body.as_bytes()).expect("an answer");
    (answer.status, answer.body)
}

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

/// Mounts, manifests and tags write to the store only: what it has no room for is refused as a whole. Deletes are done.
#[test]
fn a_full_disk_refuses_mounts_and_manifests_as_a_whole_and_deletes() {
    let disk = SmallDisk::new(24);
    let mut instance = Instance::prepared(&["--engine", "fake"]).with_data(&disk.path().join("data"));
    instance.server_start();
    for name in ["demo/app", "demo/other"] {
        instance.l0(&["repository", "create", name]).ok();
    }
    let (config, layer) = (b"{}".to_vec(), noise(100_000, 7));
    for content in [&config, &layer] {
        assert_eq!(upload(&instance, content).0, 201);
    }
    let part = |content: &[u8]| json!({ "mediaType": "application/vnd.oci.image.layer.v1.tar", "digest": digest(content), "size": content.len() });
    let image = |annotation: &str| {
        json!({ "schemaVersion": 2, "mediaType": MANIFEST, "config": part(&config), "layers": [part(&layer)],
            "annotations": { "filler": annotation } })
        .to_string()
    };
    let put = |instance: &Instance, tag: &str, manifest: &str| {
        registry(instance, "PUT", &format!("/v2/demo/app/manifests/{tag}"), manifest)
    };
    assert_eq!(put(&instance, "first", &image("first")).0, 201);
    let filler = disk.fill();
    // Room for a few.
    let file = std::fs::File::options().write(true).open(&filler).expect("our own file");
    file.set_len(file.metadata().expect("it is there").len() - 512 * 1024).expect("it gets shorter");
    drop(file);

    // Large manifests until there is no room for one, then small ones, then tags.
    let mut certain = vec![("/v2/demo/app/manifests/first".to_owned(), Some(image("first")))];
    let mut refused = Vec::new();
    for (kind, size) in [("large", 60_000), ("small", 100), ("tag", 0)] {
        for number in 0.. {
            assert!(number < 20_000, "there is always room for a {kind} one");
            let text = format!("{kind}{number}").repeat(1 + size / 8);
            let manifest = if kind == "tag" { image("first") } else { image(&text) };
            let path = format!("/v2/demo/app/manifests/{kind}{number}");
            let (status, body) = put(&instance, &format!("{kind}{number}"), &manifest);
            if status == 201 {
                certain.push((path, Some(manifest)));
                continue;
            }
            assert!(status == 507 && body.contains("\"errors\"") && body.contains("full"), "{status} {body}");
            refused.push((path, None));
            break;
        }
    }
    assert!(refused.len() == 3 && certain.len() > 2, "{} were taken", certain.len());
    // What comes to be: done, or refused and nothing of it. What goes is gone.
    let mounted = format!("/v2/demo/other/blobs/{}", digest(&layer));
    let mount = format!("/v2/demo/other/blobs/uploads/?mount={}&from=demo/app", digest(&layer));
    let (status, body) = registry(&instance, "POST", &mount, "");
    assert!(status == 201 || (status == 507 && body.contains("full")), "{status} {body}");
    let is_mounted = status == 201;
    let (tag, _) = certain.pop().expect("the last one");
    let (status, body) = registry(&instance, "DELETE", &tag, "");
    assert_eq!(status, 202, "{body}");
    certain.push((tag.clone(), None));

    let check = |instance: &Instance| {
        for (path, wanted) in certain.iter().chain(&refused) {
            let (status, body) = registry(instance, "GET", path, "");
            let found = (status == 200).then_some(body);
            assert!([200, 404].contains(&status) && found == *wanted, "{path}: {status}");
        }
        assert_eq!(registry(instance, "GET", &mounted, "").0, if is_mounted { 200 } else { 404 });
    };
    check(&instance);
    // A full disk does not keep the server from coming back.
    instance.server_kill();
    instance.server_start();
    check(&instance);
    std::fs::remove_file(filler).expect("our own file");
    instance.server_kill();
    instance.server_start();
    check(&instance);

    // With room, all of it works.
    assert_eq!(put(&instance, "after", &image("after")).0, 201);
    assert_eq!(registry(&instance, "POST", &mount, "").0, 201);
    assert_eq!(registry(&instance, "DELETE", &tag, "").0, 404);
    instance.l0(&["admin", "verify"]).ok();
}

/// Pushes have filled the disk, to the last byte: whoever deletes what he does not need can push again.
#[test]
fn on_a_full_disk_deletes_make_room_for_pushes() {
    let disk = SmallDisk::new(40);
    let mut instance =
        Instance::prepared(&["--engine", "fake", "--registry-gc-every", "0"]).with_data(&disk.path().join("data"));
    instance.server_start();
    for name in ["demo/app", "demo/kept"] {
        instance.l0(&["repository", "create", name]).ok();
    }
    instance.l0(&["environment", "create", "goes"]).ok();
    let kept = noise(100_000, 7);
    assert_eq!(upload(&instance, &kept).0, 201);
    let mount = format!("/v2/demo/kept/blobs/uploads/?mount={}&from=demo/app", digest(&kept));
    assert_eq!(registry(&instance, "POST", &mount, "").0, 201);
    // Of the two images the rule keeps the last one.
    for word in ["old", "new"] {
        let manifest = json!({ "schemaVersion": 2, "mediaType": MANIFEST, "layers": [], "annotations": { "word": word },
            "config": { "mediaType": "application/vnd.oci.empty.v1+json", "digest": digest(&kept), "size": kept.len() } });
        let (status, body) =
            registry(&instance, "PUT", &format!("/v2/demo/kept/manifests/{word}"), &manifest.to_string());
        assert_eq!(status, 201, "{body}");
    }
    instance.l0(&["repository", "retention", "add", "demo/kept", "--tags", "*", "--keep-last", "1"]).ok();
    let full = |instance: &Instance, seed: u32| {
        (0..100).find(|number| upload(instance, &noise(2 * 1024 * 1024, seed + number)).0 == 507)
    };
    let count = full(&instance, 100).expect("pushes fill the disk");
    assert!(count > 5, "there was room for {count}");
    disk.fill();
    assert_eq!(full(&instance, 300), Some(0));

    // What runs can be ended too. It is done, noted down, and there is room.
    instance.l0(&["environment", "create", "comes"]).exits(1).says("disk");
    instance.l0(&["environment", "delete", "goes"]).ok();
    assert!(!instance.l0(&["environment", "list"]).ok().out.contains("goes"));
    instance.l0(&["admin", "verify"]).ok();
    instance.l0(&["admin", "gc", "--now"]).ok().says("1 tag, 0 images without a tag, taken away");
    assert_eq!(registry(&instance, "GET", "/v2/demo/kept/manifests/old", "").0, 404);
    instance.l0(&["repository", "delete", "demo/app", "--force"]).ok();
    instance.l0(&["admin", "audit", "--who", "admin"]).ok().says("repository_delete");
    instance.l0(&["repository", "create", "demo/app"]).ok();
    assert_eq!(upload(&instance, &noise(2 * 1024 * 1024, 100)).0, 201);
    // As much as before, less what the test's own file has taken.
    assert!(full(&instance, 400).is_some_and(|again| again + 3 > count), "{count} before");
    let there = format!("/v2/demo/kept/blobs/{}", digest(&kept));
    assert_eq!(registry(&instance, "GET", &there, "").0, 200);
    instance.server_kill();
    instance.server_start();
    instance.l0(&["admin", "verify"]).ok();
}

#[test]
fn a_backup_that_does_not_fit_says_so_and_harms_nobody() {
    let (server_disk, backup_disk) = (SmallDisk::new(24), SmallDisk::new(4));
    let mut instance = Instance::prepared(&["--engine", "fake"]).with_data(&server_disk.path().join("data"));
    instance.server_start();
    instance.l0(&["repository", "create", "demo/app"]).ok();
    let images = [noise(1024 * 1024, 1), noise(6 * 1024 * 1024, 2)];
    for image in &images {
        assert_eq!(upload(&instance, image).0, 201);
    }
    let small = backup_disk.path().join("backups");
    let small = small.to_str().expect("a path in text");

    // The place of the backups is full: named, nothing is listed, and the server has nothing to do with it.
    instance.l0(&["admin", "backup", small]).exits(1).says("No space left").says("free some space there");
    instance.l0(&["admin", "backups", small, "--check"]).exits(3).says("there is no backup");
    assert_eq!(upload(&instance, &noise(1000, 3)).0, 201);

    // The server's disk is full: its copy of the state does not fit, which is told, and nothing of it stays.
    let wide = instance.path("backups");
    let wide = wide.to_str().expect("a path in text").to_owned();
    let filler = server_disk.fill();
    let used = server_disk.used();
    instance.l0(&["admin", "backup", &wide]).exits(1).says("no space is left on the server's disk");
    assert!(server_disk.used() <= used + 64, "{used} KiB before, {} KiB now", server_disk.used());
    std::fs::remove_file(filler).expect("ours");
    instance.l0(&["admin", "backup", &wide]).ok().says("3 blobs");

    // Nor does it fit where it is restored: no instance is there, and with more room there is one.
    let tight = backup_disk.path().join("data");
    let restore =
        |data: &Path| instance.l0(&["admin", "restore", &wide, "--data-dir", data.to_str().expect("a path in text")]);
    restore(&tight).exits(1).says("No space left");
    assert!(!tight.join("layer0.db").exists() && !tight.join("restoring").exists());
    restore(&instance.path("restored")).ok().says("3 blobs");
}
