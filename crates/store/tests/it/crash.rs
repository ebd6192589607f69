//! `kill -9` at any moment: everything that was acknowledged is there afterwards, and nothing is there by half.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use layer0_domain::model::entity::{EntityKind, EntityRef};
use layer0_domain::model::id::ServiceId;
use layer0_domain::model::operation::Verb;
use layer0_domain::model::registry::ManifestRef;
use layer0_domain::port::registry_store::{Along, RegistryStore};
use layer0_domain::port::store::{Entity, Store};
use layer0_store::SqliteStore;
use layer0_testkit::registry_store_suite::sample as registry;
use layer0_testkit::store_suite::sample;

/// Tells the test's own executable, started again, that it is the one to be killed, and where to write.
const VICTIM: &str = "LAYER0_STORE_CRASH_DIRECTORY";

const ROUNDS: u32 = 8;

/// Not a test of its own: without the variable it does nothing. With it, it writes until it is killed, and prints a word
/// for each write that was acknowledged.
#[test]
fn victim() {
    let Some(directory) = std::env::var_os(VICTIM) else {
        return;
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().expect("a runtime starts");
    runtime.block_on(async {
        let store = SqliteStore::open(&Path::new(&directory).join(SqliteStore::FILE_NAME)).expect("it opens again");
        let environment = Entity::Environment(sample::environment("e"));
        // There already in all rounds but the first.
        let _ = store.entity_create(&environment, &sample::operation("make-e", Verb::Create, &environment)).await;
        let _ = store
            .repository_create(&layer0_domain::model::registry::Repository {
                name: registry::name("team/app"),
                created: registry::AT,
                visibility: layer0_domain::model::registry::Visibility::Private,
            })
            .await;
        let process = std::process::id();
        let writers = (0..8).map(|writer| {
            let store = store.clone();
            tokio::spawn(async move {
                for number in 0_u32.. {
                    write_one(&store, &format!("w{process}-{writer}-{number}")).await;
                }
            })
        });
        futures_util::future::join_all(writers).await;
    });
}

async fn write_one(store: &SqliteStore, word: &str) {
    let service = Entity::Service(sample::service(word, "e", None));
    let operation = sample::operation(word, Verb::Create, &service);
    store.entity_create(&service, &operation).await.expect("the name is free");
    say("service", word);
    let name = registry::name("team/app");
    registry::link(store, &name, word).await;
    let manifest = registry::manifest_with(&format!("manifest of {word}"), &[word]);
    store.manifest_put(&name, &manifest, &[word.to_owned()], &Along::NOTHING).await.expect("its blob is there");
    say("manifest", word);
}

/// One line in one write, past the test harness that keeps what tests print.
fn say(kind: &str, word: &str) {
    let mut out = std::io::stdout().lock();
    out.write_all(format!("acknowledged {kind} {word}\n").as_bytes())
        .and_then(|()| out.flush())
        .expect("read by the test");
}

#[tokio::test]
async fn what_was_acknowledged_survives_kill_9() {
    let directory = tempfile::tempdir().expect("a directory can be made");
    let mut acknowledged: Vec<String> = Vec::new();
    for round in 0..ROUNDS {
        acknowledged.extend(one_life(directory.path(), round));
        verify(directory.path(), &acknowledged).await;
    }
    assert!(acknowledged.len() > 100, "there was something to lose: {}", acknowledged.len());
}

/// Runs the victim until it has said a number of words, kills it, and answers all that it said.
fn one_life(directory: &Path, round: u32) -> Vec<String> {
    let mut child = Command::new(std::env::current_exe().expect("a test has an executable"))
        .args(["--exact", "crash::victim", "--nocapture"])
        .env(VICTIM, directory)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("the test's own executable starts");
    let mut lines = BufReader::new(child.stdout.take().expect("it is piped")).lines();
    // The moment of death differs from round to round and with the machine's speed: after so many words, and inside of
    // whatever happens then.
    let enough = 20 + (round * 37) % 90;
    let mut words = Vec::new();
    let mut take = |line: std::io::Result<String>| {
        if let Some(word) = line.expect("text").strip_prefix("acknowledged ") {
            words.push(word.to_owned());
        }
        words.len()
    };
    for line in lines.by_ref() {
        if take(line) >= enough as usize {
            break;
        }
    }
    child.kill().expect("it runs until it is killed");
    child.wait().expect("it was started here");
    for line in lines {
        // A last line without its end was not said.
        take(line);
    }
    words
}

async fn verify(directory: &Path, acknowledged: &[String]) {
    let store = SqliteStore::open(&directory.join(SqliteStore::FILE_NAME)).expect("it opens after a crash");
    let name = registry::name("team/app");
    for said in acknowledged {
        let (kind, word) = said.split_once(' ').expect("a kind and a word");
        if kind == "service" {
            let reference = EntityRef::Service(ServiceId::parse(word).expect("an id"));
            let stored = store.entity_get(&reference).await.expect("a read succeeds");
            assert_eq!(stored, Some(Entity::Service(sample::service(word, "e", None))), "{said} is lost");
        } else {
            let stored = store.manifest_get(&name, &ManifestRef::Tag(word.to_owned())).await.expect("a read succeeds");
            let expected = registry::manifest_with(&format!("manifest of {word}"), &[word]);
            assert_eq!(stored, Some(expected), "{said} is lost");
        }
    }
    // Services without an acknowledgement may be there, but never by half: each has its operation.
    let services = store.summary_list(EntityKind::Service).await.expect("a read succeeds");
    for service in &services {
        let operation = store.operation_get(&sample::operation_id(service.entity.id())).await.expect("a read succeeds");
        assert!(operation.is_some(), "{} has no operation", service.entity);
    }
    let operations = store.operation_list(u32::MAX).await.expect("a read succeeds");
    assert_eq!(operations.len(), services.len() + 1, "one for each service and one for the environment");
    tokio::time::timeout(Duration::from_secs(60), store.close()).await.expect("it closes");
}
