//! The real server is killed while clients push, mount, tag and delete: what it told them holds afterwards.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::common::http::{Answer, Connection};
use crate::common::instance::Instance;
use crate::common::until::until;

const ROUNDS: usize = 8;
const CLIENTS: usize = 6;
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

/// What is answered to a `GET`: the body, or `None` for 404.
type Found = Option<String>;

/// What one client knows.
#[derive(Default)]
struct Ledger {
    /// Acknowledged.
    certain: BTreeMap<String, Found>,
    /// Asked for when the connection broke: it came to pass or not.
    doubtful: BTreeMap<String, Found>,
}

/// A client that works until the server is gone.
struct Client {
    connection: Connection,
    headers: String,
    ledger: Ledger,
    acknowledged: Arc<AtomicUsize>,
    /// Makes its content its own.
    name: String,
    chance: u64,
}

fn digest(content: &str) -> String {
    let hex: String = Sha256::digest(content).iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256:{hex}")
}

fn blob(repository: &str, content: &str) -> String {
    format!("/v2/{repository}/blobs/{}", digest(content))
}

impl Client {
    fn below(&mut self, limit: u64) -> u64 {
        self.chance = self.chance.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.chance >> 33) % limit
    }

    /// Sends a request; an error ends the client's life.
    fn ask(&mut self, method: &str, path: &str, media_type: &str, body: &str, status: u16) -> Result<Answer, String> {
        let headers = format!("{}Content-Type: {media_type}\r\n", self.headers);
        let answer = self.connection.request(method, path, &headers, body.as_bytes())?;
        assert_eq!(answer.status, status, "{method} {path}: {answer:?}");
        Ok(answer)
    }

    /// A request that changes what these paths answer.
    fn change(
        &mut self,
        changes: &[(String, Found)],
        (method, path): (&str, &str),
        media_type: &str,
        body: &str,
        status: u16,
    ) -> Result<(), String> {
        self.ledger.doubtful.extend(changes.iter().cloned());
        self.ask(method, path, media_type, body, status)?;
        for (key, found) in changes {
            self.ledger.doubtful.remove(key);
            self.ledger.certain.insert(key.clone(), found.clone());
        }
        self.acknowledged.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    fn push(&mut self, repository: &str, content: &str) -> Result<(), String> {
        let done = [(blob(repository, content), Some(content.to_owned()))];
        let octets = "application/octet-stream";
        let uploads = format!("/v2/{repository}/blobs/uploads/");
        if self.below(2) == 0 {
            let path = format!("{uploads}?digest={}", digest(content));
            return self.change(&done, ("POST", &path), octets, content, 201);
        }
        let upload = self.ask("POST", &uploads, octets, "", 202)?;
        let upload = upload.header("location").expect("a location").to_owned();
        for part in content.as_bytes().chunks(40_000) {
            self.ask("PATCH", &upload, octets, std::str::from_utf8(part).expect("ASCII"), 202)?;
        }
        self.change(&done, ("PUT", &format!("{upload}?digest={}", digest(content))), octets, "", 201)
    }

    /// One image and what becomes of it.
    fn once(&mut self, number: usize) -> Result<(), String> {
        const APP: &str = "demo/app";
        const OTHER: &str = "demo/other";
        let word = format!("{}-{number}", self.name);
        let config = json!({ "os": "linux", "architecture": "amd64", "word": word }).to_string();
        let sizes = [200, 3_000, 150_000, 600_000];
        let size = sizes[usize::try_from(self.below(4)).expect("small")];
        let layer: String = format!("{word} layer ").repeat(size / 20);
        self.push(APP, &config)?;
        self.push(APP, &layer)?;
        let part = |content: &str| json!({ "mediaType": "application/vnd.oci.image.layer.v1.tar", "digest": digest(content), "size": content.len() });
        let manifest =
            json!({ "schemaVersion": 2, "mediaType": MANIFEST, "config": part(&config), "layers": [part(&layer)] })
                .to_string();
        let (by_digest, tag) = (format!("/v2/{APP}/manifests/{}", digest(&manifest)), self.below(3));
        let tag = format!("/v2/{APP}/manifests/{}-{tag}", self.name);
        let done = [(by_digest.clone(), Some(manifest.clone())), (tag.clone(), Some(manifest.clone()))];
        self.change(&done, ("PUT", &tag), MANIFEST, &manifest, 201)?;

        let mounted = blob(OTHER, &layer);
        let path = format!("/v2/{OTHER}/blobs/uploads/?mount={}&from={APP}", digest(&layer));
        self.change(&[(mounted.clone(), Some(layer.clone()))], ("POST", &path), MANIFEST, "", 201)?;
        match self.below(4) {
            // The image goes, its blobs too; the mounted one stays where it was mounted.
            0 => {
                let gone = [(by_digest.clone(), None), (tag, None)];
                self.change(&gone, ("DELETE", &by_digest), MANIFEST, "", 202)?;
                for content in [&layer, &config] {
                    let path = blob(APP, content);
                    self.change(&[(path.clone(), None)], ("DELETE", &path), MANIFEST, "", 202)?;
                }
            }
            1 => self.change(&[(tag.clone(), None)], ("DELETE", &tag), MANIFEST, "", 202)?,
            2 => self.change(&[(mounted.clone(), None)], ("DELETE", &mounted), MANIFEST, "", 202)?,
            _ => {}
        }
        Ok(())
    }
}

/// Lets clients work, kills the server in the middle, and answers what they know.
fn one_life(instance: &mut Instance, round: usize) -> Vec<Ledger> {
    let acknowledged = Arc::new(AtomicUsize::new(0));
    let clients: Vec<_> = (0..CLIENTS)
        .map(|number| {
            let mut client = Client {
                connection: Connection::open(&instance.address()).expect("a connection"),
                headers: format!("Authorization: Basic {}\r\n", instance.credential()),
                ledger: Ledger::default(),
                acknowledged: Arc::clone(&acknowledged),
                name: format!("r{round}c{number}"),
                chance: (round * CLIENTS + number) as u64,
            };
            thread::spawn(move || {
                let broken = (0..).try_for_each(|number| client.once(number));
                assert!(broken.is_err(), "it works until the server is gone");
                client.ledger
            })
        })
        .collect();
    // Another moment in each round, and in another step of each client.
    let enough = 20 + 17 * round;
    until("enough to lose", || match acknowledged.load(Ordering::Relaxed) {
        count if count >= enough => Ok(()),
        count => Err(format!("{count} of {enough}")),
    });
    instance.server_kill();
    clients.into_iter().map(|client| client.join().expect("a client panicked")).collect()
}

/// Everything that was acknowledged is as it was told, and what hangs on it is whole.
fn check(instance: &Instance, ledgers: &[Ledger]) -> usize {
    let mut connection = Connection::open(&instance.address()).expect("a connection");
    let headers = format!("Authorization: Basic {}\r\n", instance.credential());
    let mut get = |path: &str| {
        let answer = connection.request("GET", path, &headers, b"").expect("an answer");
        assert!([200, 404].contains(&answer.status), "{path}: {answer:?}");
        (answer.status == 200).then_some(answer.body)
    };
    let mut count = 0;
    for ledger in ledgers {
        for (path, before) in &ledger.certain {
            let found = get(path);
            let allowed = [Some(before), ledger.doubtful.get(path)];
            assert!(allowed.contains(&Some(&found)), "{path} was acknowledged and is not so any more");
            count += 1;
        }
        for (path, after) in ledger.doubtful.iter().filter(|(path, _)| !ledger.certain.contains_key(*path)) {
            let found = get(path);
            assert!(found.is_none() || found == *after, "{path} is there by half");
        }
    }
    // No tag leads nowhere, and no manifest lacks a part.
    let tags: Value = serde_json::from_str(&get("/v2/demo/app/tags/list").expect("a list")).expect("JSON");
    for tag in tags["tags"].as_array().expect("tags") {
        let path = format!("/v2/demo/app/manifests/{}", tag.as_str().expect("a tag"));
        let manifest = get(&path).unwrap_or_else(|| panic!("{path} leads nowhere"));
        let manifest: Value = serde_json::from_str(&manifest).expect("JSON");
        for part in [&manifest["config"], &manifest["layers"][0]] {
            let wanted = part["digest"].as_str().expect("a digest");
            let content = get(&format!("/v2/demo/app/blobs/{wanted}"));
            let content = content.unwrap_or_else(|| panic!("{path} lacks {wanted}"));
            assert_eq!(digest(&content), wanted);
        }
    }
    count
}

#[test]
#[expect(clippy::print_stdout, reason = "how much was at stake is part of what the test shows")]
fn killed_under_pushes_mounts_and_deletes_it_keeps_its_word() {
    let mut instance = Instance::start(&["--engine", "fake"]);
    for name in ["demo/app", "demo/other"] {
        instance.l0(&["repository", "create", name]).ok();
    }
    let mut ledgers = Vec::new();
    for round in 0..ROUNDS {
        ledgers.extend(one_life(&mut instance, round));
        instance.server_start();
        let count = check(&instance, &ledgers);
        println!("round {round}: {count} acknowledged facts hold");
    }
    // The same from inside: everything that is held is whole.
    instance.l0(&["admin", "verify", "--rate", "10000"]).ok().says("Read");
}
