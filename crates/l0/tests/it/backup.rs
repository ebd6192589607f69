//! Backups by the built program: taken of a running server, incremental, under load, damaged on either side, and restored.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use layer0_testkit::kept::kept;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::common::http::Connection;
use crate::common::instance::{Instance, L0};
use crate::common::run::{Said, run};
use crate::common::until::until;
use crate::main_path::definition;

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

fn digest(text: &str) -> String {
    let hash = Sha256::digest(text.as_bytes());
    format!("sha256:{}", hash.iter().map(|byte| format!("{byte:02x}")).collect::<String>())
}

/// Text that no two seeds share.
fn noise(seed: &str, length: usize) -> String {
    let mut text = String::with_capacity(length + 71);
    while text.len() < length {
        text.push_str(&digest(&format!("{seed} {}", text.len())));
    }
    text.truncate(length);
    text
}

/// An image of one layer.
struct Image {
    layer: String,
    config: String,
    manifest: String,
}

impl Image {
    fn new(layer: String, word: &str) -> Self {
        let config = json!({ "os": "linux", "architecture": "amd64", "word": word }).to_string();
        let part = |content: &str| json!({ "mediaType": "application/vnd.oci.image.layer.v1.tar", "digest": digest(content), "size": content.len() });
        let manifest =
            json!({ "schemaVersion": 2, "mediaType": MANIFEST, "config": part(&config), "layers": [part(&layer)] });
        Self { layer, config, manifest: manifest.to_string() }
    }
}

/// A client of the registry in `demo/app`.
struct Client {
    connection: Connection,
    headers: String,
}

impl Client {
    fn of(instance: &Instance) -> Self {
        let connection = Connection::open(&instance.address()).expect("a connection");
        Self { connection, headers: format!("Authorization: Basic {}\r\n", instance.credential()) }
    }

    fn ask(&mut self, method: &str, path: &str, media_type: &str, body: &str) -> (u16, String) {
        let headers = format!("{}Content-Type: {media_type}\r\n", self.headers);
        let answer = self.connection.request(method, &format!("/v2/demo/app/{path}"), &headers, body.as_bytes());
        let answer = answer.unwrap_or_else(|why| panic!("{method} {path}: {why}"));
        (answer.status, answer.body)
    }

    #[track_caller]
    fn push(&mut self, tag: &str, image: &Image) {
        for part in [&image.layer, &image.config] {
            let path = format!("blobs/uploads/?digest={}", digest(part));
            assert_eq!(self.ask("POST", &path, "application/octet-stream", part).0, 201);
        }
        assert_eq!(self.ask("PUT", &format!("manifests/{tag}"), MANIFEST, &image.manifest).0, 201);
    }

    /// Takes an image away with its parts.
    fn delete(&mut self, image: &Image) {
        assert_eq!(self.ask("DELETE", &format!("manifests/{}", digest(&image.manifest)), MANIFEST, "").0, 202);
        for part in [&image.layer, &image.config] {
            assert_eq!(self.ask("DELETE", &format!("blobs/{}", digest(part)), MANIFEST, "").0, 202);
        }
    }

    /// Pulls an image and compares all of it; `false` when the tag is not there.
    #[track_caller]
    fn pulls(&mut self, tag: &str, image: &Image) -> bool {
        let (status, manifest) = self.ask("GET", &format!("manifests/{tag}"), MANIFEST, "");
        if status == 404 {
            return false;
        }
        assert!(status == 200 && manifest == image.manifest, "{tag}: {status}");
        for part in [&image.layer, &image.config] {
            let (status, body) = self.ask("GET", &format!("blobs/{}", digest(part)), MANIFEST, "");
            assert!(status == 200 && body == *part, "{tag}: a part is not what was pushed: {status}");
        }
        true
    }
}

/// An instance with a repository.
fn instance() -> Instance {
    let instance = Instance::start(&["--engine", "fake"]);
    instance.l0(&["repository", "create", "demo/app"]).ok();
    instance
}

fn text(path: &Path) -> &str {
    path.to_str().expect("a path in text")
}

fn backup(instance: &Instance, directory: &Path, more: &[&str]) -> Said {
    instance.l0(&[&["-o", "json", "admin", "backup", text(directory)], more].concat())
}

/// Restores in surroundings that know no server.
fn restore(instance: &Instance, directory: &Path, data: &Path, more: &[&str]) -> Said {
    let mut command = instance.command(L0);
    command.args(["admin", "restore", text(directory), "--data-dir", text(data)]).args(more);
    run(&mut command, b"")
}

/// A server on a data directory that was restored, with the credential of before.
fn revived(of: &Instance, data: &Path) -> Instance {
    let mut instance = Instance::prepared(&["--engine", "fake"]).with_data(data);
    instance.server_start_with(of.credential());
    instance
}

fn blob_file(root: &Path, content: &str) -> PathBuf {
    let name = digest(content);
    let hex = name.strip_prefix("sha256:").expect("our own digest");
    root.join("blobs/sha256").join(&hex[..2]).join(hex)
}

/// Turns a byte in the middle of a file into another one.
fn rot(path: &Path) {
    let mut bytes = fs::read(path).expect("it is there");
    let middle = bytes.len() / 2;
    bytes[middle] = !bytes[middle];
    fs::write(path, bytes).expect("it is ours");
}

/// What an instance holds beside images, as it is shown.
fn shown(instance: &Instance) -> BTreeMap<&'static str, Value> {
    let lists: [(&str, &[&str]); 7] = [
        ("users", &["user", "list"]),
        ("owners", &["owner", "list"]),
        ("tokens", &["token", "list"]),
        ("environments", &["environment", "list"]),
        ("deploys", &["deploy", "list"]),
        ("services", &["service", "list"]),
        ("repositories", &["repository", "list"]),
    ];
    let mut all: BTreeMap<_, _> = lists.into_iter().map(|(name, line)| (name, instance.json(line))).collect();
    // When they were used last is no part of it.
    let tokens = all.get_mut("tokens").and_then(Value::as_array_mut).expect("a list");
    tokens.iter_mut().for_each(|token| drop(token.as_object_mut().expect("an object").remove("last_used")));
    all
}

#[test]
fn an_instance_comes_back_from_each_of_its_backups() {
    let mut instance = instance();
    let ok = |line: &[&str]| instance.l0(line).ok();
    ok(&["environment", "create", "dev"]);
    ok(&["deploy", "create", &instance.file("app.json", definition("alpine:3", &[("SECRET", "x")])), "app"]);
    ok(&["service", "create", "dev", "web", "app:1"]);
    let (base, mut client) = (noise("base", 1_500_000), Client::of(&instance));
    let (one, two) = (Image::new(base.clone(), "one"), Image::new(noise("two", 700_000), "two"));
    client.push("one", &one);
    let directory = instance.path("backups");

    let first = backup(&instance, &directory, &[]).ok().json();
    assert_eq!((&first["blobs"], &first["copied"], &first["lost"]), (&json!(2), &json!(2), &json!([])));
    assert_eq!(first["copied_bytes"], json!(base.len() + one.config.len()));
    let at_first = shown(&instance);

    ok(&["owner", "create", "team"]);
    ok(&["environment", "create", "later"]);
    client.push("two", &two);
    let again = Image::new(base.clone(), "again");
    client.push("again", &again);
    assert_eq!(client.ask("DELETE", &format!("manifests/{}", digest(&one.manifest)), MANIFEST, "").0, 202);
    let before = fs::metadata(blob_file(&directory, &base)).expect("it is there").modified().expect("a time");
    let second = backup(&instance, &directory, &[]).ok().json();
    let new = two.layer.len() + two.config.len() + again.config.len();
    assert_eq!((&second["copied"], &second["copied_bytes"]), (&json!(3), &json!(new)), "the shared layer is there");
    assert_eq!(fs::metadata(blob_file(&directory, &base)).expect("it is there").modified().expect("a time"), before);
    let at_second = shown(&instance);

    let listed = instance.json(&["admin", "backups", text(&directory)]);
    let names: Vec<&str> = listed.as_array().expect("a list").iter().filter_map(|it| it["snapshot"].as_str()).collect();
    assert_eq!(names, [first["snapshot"].as_str().expect("a name"), second["snapshot"].as_str().expect("a name")]);
    run(
        instance
            .command("sha256sum")
            .arg("-c")
            .arg("SHA256SUMS")
            .current_dir(directory.join("snapshots").join(names[0])),
        b"",
    )
    .ok();
    for path in [directory.clone(), directory.join("snapshots"), directory.join("blobs")] {
        let mode = std::os::unix::fs::PermissionsExt::mode(&fs::metadata(&path).expect("there").permissions());
        assert_eq!(mode & 0o777, 0o700, "{}", path.display());
    }

    // All is lost but the backups.
    instance.server_kill();
    fs::remove_dir_all(instance.data()).expect("ours");
    for (at, (name, known)) in [(names[0], &at_first), (names[1], &at_second)].into_iter().enumerate() {
        let data = instance.path(&format!("restored{at}"));
        restore(&instance, &directory, &data, &["--snapshot", name]).ok().says("Restored instance");
        let back = revived(&instance, &data);
        assert_eq!(&shown(&back), known);
        assert_eq!(back.json(&["service", "get", "web"])[0]["service_name"], "web");
        let mut client = Client::of(&back);
        let pulled = (client.pulls("one", &one), client.pulls("two", &two), client.pulls("again", &again));
        assert_eq!(pulled, (at == 0, at == 1, at == 1), "{name}");
        back.l0(&["admin", "verify", "--rate", "10000"]).ok();
        // It is an instance like any other: it can be pushed to, and be backed up into the same directory.
        client.push("new", &Image::new(noise("new", 1000), "new"));
        backup(&back, &directory, &["--keep", "9"]).ok();
    }
}

#[test]
fn a_backup_under_full_load_is_whole() {
    const CLIENTS: usize = 3;
    let instance = instance();
    let stable: Vec<Image> =
        (0..4).map(|at| Image::new(noise(&format!("stable {at}"), 300_000), &format!("s{at}"))).collect();
    let going: Vec<Image> =
        (0..8).map(|at| Image::new(noise(&format!("going {at}"), 300_000), &format!("g{at}"))).collect();
    let mut client = Client::of(&instance);
    for (at, image) in stable.iter().enumerate() {
        client.push(&format!("stable{at}"), image);
    }
    for (at, image) in going.iter().enumerate() {
        client.push(&format!("going{at}"), image);
    }
    let (ended, done) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let clients: Vec<_> = (0..CLIENTS)
        .map(|number| {
            let (mut client, ended, done) = (Client::of(&instance), Arc::clone(&ended), Arc::clone(&done));
            thread::spawn(move || {
                for round in 0.. {
                    let image = Image::new(noise(&format!("{number} {round}"), 40_000), &format!("{number} {round}"));
                    client.push(&format!("c{number}-{}", round % 3), &image);
                    if round % 2 == 0 {
                        client.delete(&image);
                    }
                    done.fetch_add(1, Ordering::Relaxed);
                    if ended.load(Ordering::Relaxed) {
                        return;
                    }
                }
            })
        })
        .collect();
    until("the load", || if done.load(Ordering::Relaxed) > CLIENTS { Ok(()) } else { Err("not yet".to_owned()) });

    // At this rate it takes seconds, in which what it copies is deleted, and collected.
    let directory = instance.path("backups");
    let mut command = instance.l0_command(&["-o", "json", "admin", "backup", text(&directory), "--rate", "1"]);
    let taking = thread::spawn(move || run(&mut command, b""));
    until(
        "the backup to begin",
        || if directory.join("incoming").is_dir() { Ok(()) } else { Err("not yet".to_owned()) },
    );
    until("a blob to be copied", || match fs::read_dir(directory.join("blobs/sha256")) {
        Ok(_) => Ok(()),
        Err(why) => Err(why.to_string()),
    });
    let before = done.load(Ordering::Relaxed);
    for image in &going {
        client.delete(image);
        instance.l0(&["admin", "gc", "--now"]).ok();
    }
    assert!(!taking.is_finished(), "all was deleted while the backup was being taken");
    let taken = taking.join().expect("it runs").ok().json();
    assert!(done.load(Ordering::Relaxed) > before, "the load went on");
    ended.store(true, Ordering::Relaxed);
    clients.into_iter().for_each(|client| client.join().expect("a client panicked"));
    assert_eq!(taken["lost"], json!([]), "nothing that the state names went before it was copied");
    until("what was deleted to go when the backup has ended", || {
        match going.iter().find(|it| kept(instance.data(), &digest(&it.layer)).is_some()) {
            None => Ok(()),
            Some(it) => Err(digest(&it.layer)),
        }
    });

    let data = instance.path("restored");
    restore(&instance, &directory, &data, &[]).ok();
    let back = revived(&instance, &data);
    back.l0(&["admin", "verify", "--rate", "10000"]).ok().says("Read");
    let mut client = Client::of(&back);
    for (at, image) in stable.iter().enumerate() {
        assert!(
            client.pulls(&format!("stable{at}"), image),
            "image {at} was there before the backup, and was not deleted"
        );
    }
    for (at, image) in going.iter().enumerate() {
        assert!(client.pulls(&format!("going{at}"), image), "image {at} was deleted after the moment of the backup");
    }
}

/// Ctrl-C, and a time that is up: the server is told, else it would keep four of them for minutes and refuse the fifth.
#[test]
fn a_backup_that_is_given_up_leaves_nothing_half_here_or_there() {
    let instance = instance();
    Client::of(&instance).push("large", &Image::new(noise("large", 8 << 20), "large"));
    let directory = instance.path("backups");
    let half = || fs::read_dir(directory.join("incoming")).map_or(0, Iterator::count);
    for round in 0..6 {
        let begun = || if half() > 0 { Ok(()) } else { Err("not yet".to_owned()) };
        let said = if round % 2 == 0 {
            let mut command = instance.l0_command(&["admin", "backup", text(&directory), "--rate", "1"]);
            let taking = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("it runs");
            until("the first blob to come", begun);
            let signal = Command::new("kill").args(["-INT", &taking.id().to_string()]).status().expect("kill runs");
            assert!(signal.success());
            let ended = taking.wait_with_output().expect("our own child");
            assert_eq!(ended.status.code(), Some(130));
            String::from_utf8(ended.stderr).expect("text")
        } else {
            let late = ["admin", "backup", text(&directory), "--rate", "1", "--timeout", "1s"];
            instance.l0(&late).exits(6).all()
        };
        assert!(!said.contains("backups go on already"), "{round}: {said}");
        assert_eq!(half(), 0, "{round}: something half is left");
    }
    backup(&instance, &directory, &[]).ok();
}

#[test]
fn damage_on_either_side_is_named() {
    let instance = instance();
    let (good, bad) = (Image::new(noise("good", 200_000), "good"), Image::new(noise("bad", 200_000), "bad"));
    let mut client = Client::of(&instance);
    client.push("good", &good);
    client.push("bad", &bad);
    let directory = instance.path("backups");

    // In the instance: named, and the rest is copied.
    kept(instance.data(), &digest(&bad.layer)).expect("it is there").rot();
    let said = backup(&instance, &directory, &[]).exits(5).says(&digest(&bad.layer)).says("damaged");
    assert_eq!(said.json()["lost"][0]["why"], "damaged");
    let data = instance.path("restored");
    restore(&instance, &directory, &data, &[]).ok().says(&digest(&bad.layer)).says("push the images");
    let back = revived(&instance, &data);
    assert!(Client::of(&back).pulls("good", &good));
    drop(back);

    // Pushed again, it is in the next one.
    client.push("bad", &bad);
    assert_eq!(backup(&instance, &directory, &[]).ok().json()["copied"], 1);

    // In the backup: nothing is restored, the data directory stays as it was.
    rot(&blob_file(&directory, &good.layer));
    let data = instance.path("no instance");
    restore(&instance, &directory, &data, &[]).exits(5).says(&digest(&good.layer)).says("--without-damaged");
    let left: Vec<_> = fs::read_dir(&data).expect("made").map(|it| it.expect("read").file_name()).collect();
    assert!(left.iter().all(|name| name == "lock"), "{left:?}");
    restore(&instance, &directory, &data, &["--without-damaged"]).ok().says("damaged in the backup");
    assert!(Client::of(&revived(&instance, &data)).pulls("bad", &bad));

    // The check names it; the next backup has it again.
    let check = ["admin", "backups", text(&directory), "--check"];
    instance.l0(&check).exits(5).says(&digest(&good.layer));
    assert_eq!(backup(&instance, &directory, &[]).ok().json()["copied"], 1);
    instance.l0(&check).ok();
    restore(&instance, &directory, &instance.path("whole"), &[]).ok();
    rot(&directory
        .join("snapshots")
        .join(fs::read_dir(directory.join("snapshots")).expect("read").next().expect("one").expect("read").file_name())
        .join("state.db"));
    instance.l0(&check).exits(5).says("state.db");
}

#[test]
fn what_is_no_place_for_it_is_refused() {
    let instance = instance();
    let directory = instance.path("backups");
    let ours = instance.path("ours");
    fs::create_dir(&ours).expect("made");
    fs::write(ours.join("thesis.txt"), "years of work").expect("written");
    backup(&instance, &ours, &[]).exits(4).says("thesis.txt");
    backup(&instance, &directory, &["--rate", "0"]).exits(2);
    backup(&instance, &directory, &["--keep", "0"]).exits(2);
    let nobody = instance
        .command(L0)
        .args(["--endpoint", &format!("http://{}/", instance.address()), "--token", "YTpi", "admin", "backup"])
        .arg(&directory)
        .output();
    assert_eq!(nobody.expect("it runs").status.code(), Some(4), "without an admin's credential there is none");
    restore(&instance, &directory, &instance.path("x"), &[]).exits(3);
    backup(&instance, &directory, &[]).ok();
    restore(&instance, &directory, instance.data(), &[]).exits(4).says("not empty");
    restore(&instance, &directory, &ours, &[]).exits(4).says("thesis.txt");
    restore(&instance, &directory, &instance.path("x"), &["--snapshot", "20200101T000000.000Z"])
        .exits(3)
        .says("the newest is");
    let other = Instance::start(&["--engine", "fake"]);
    backup(&other, &directory, &[]).exits(4).says("another instance");

    // Of three, two stay, and what none of them needs goes.
    let image = Image::new(noise("old", 50_000), "old");
    let mut client = Client::of(&instance);
    client.push("old", &image);
    backup(&instance, &directory, &[]).ok();
    client.delete(&image);
    backup(&instance, &directory, &["--keep", "2"]).ok();
    assert!(blob_file(&directory, &image.layer).exists());
    let dropped = backup(&instance, &directory, &["--keep", "1"]).ok().json()["dropped"].clone();
    assert_eq!((dropped["snapshots"].as_array().map(Vec::len), &dropped["blobs"]), (Some(2), &json!(2)));
    assert!(!blob_file(&directory, &image.layer).exists());
    assert_eq!(instance.json(&["admin", "backups", text(&directory)]).as_array().map(Vec::len), Some(1));
}
