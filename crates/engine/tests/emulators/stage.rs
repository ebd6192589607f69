//! An engine on an emulator, with a name of its own, and bare calls for what is to be there before it comes.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use aws_config::SdkConfig;
use aws_sdk_ecs::config::{Credentials, SharedCredentialsProvider};
use layer0_domain::model::entity::EntityRef;
use layer0_domain::model::time::Generation;
use layer0_domain::port::engine::{Engine, EngineError, Removed, Scope, Want};
use layer0_engine::ecs::{EcsConfig, EcsEngine, connect};
use layer0_testkit::until::until;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

pub(crate) const REGION: &str = "us-east-1";

/// Tells the instances of one process apart.
static INSTANCES: AtomicU32 = AtomicU32::new(0);

/// The address in a variable that `scripts/aws-emulators.sh env` prints.
pub(crate) fn emulator(variable: &str) -> String {
    std::env::var(variable).unwrap_or_else(|_| panic!("{variable} is set by scripts/aws.sh"))
}

/// What clients of an emulator are made from, for the holder of an access key.
pub(crate) async fn sdk(endpoint: &str, key: &str, secret: &str) -> SdkConfig {
    let connection = connect(Some(REGION), Some(endpoint)).await.expect("a region is given");
    let keys = Credentials::new(key, secret, None, None, "test");
    connection.sdk.into_builder().credentials_provider(SharedCredentialsProvider::new(keys)).build()
}

/// An engine whose instance has a name that no other test has.
pub(crate) fn engine(sdk: &SdkConfig, change: impl FnOnce(&mut EcsConfig)) -> (EcsEngine, String) {
    let number = INSTANCES.fetch_add(1, Ordering::Relaxed);
    let instance = format!("m{:x}x{number}", std::process::id());
    let mut config = EcsConfig::new(instance.clone(), format!("{instance}-0123456789"), REGION.to_owned());
    config.look_busy = Duration::from_millis(50);
    change(&mut config);
    (EcsEngine::start(config, sdk), instance)
}

/// Tells the engine what is wanted and waits until it stands.
pub(crate) async fn made(engine: &EcsEngine, want: &Want) {
    let of = want.entity();
    until(format!("{of} to stand"), || async {
        match engine.ensure(want.clone()).await {
            Err(EngineError::Refused { failure }) => panic!("{of}: {}", failure.message),
            answer => answer.map_err(|error| error.to_string())?,
        }
        let seen = engine.observe(Scope::One(of.clone())).await.map_err(|error| error.to_string())?;
        if let Some(problem) = seen.load_balancers.iter().find_map(|it| it.problem.as_ref()) {
            panic!("{of}: {}", problem.message);
        }
        let stands = seen.load_balancers.iter().any(|it| it.generation == Generation(1));
        if stands { Ok(()) } else { Err(format!("{seen:?}")) }
    })
    .await;
}

/// Takes an entity away.
pub(crate) async fn gone(engine: &EcsEngine, of: &EntityRef) {
    until(format!("{of} to be gone"), || async {
        match engine.remove(of).await {
            Ok(Removed::Gone) => Ok(()),
            Ok(Removed::Going { waiting_for }) => Err(waiting_for),
            Ok(Removed::Hindered { why, .. }) => Err(why),
            Err(error) => Err(error.to_string()),
        }
    })
    .await;
}

/// A call of the query protocol that nobody checks the signature of: the answer's body.
pub(crate) async fn form(endpoint: &str, service: &str, body: &str) -> String {
    let scope = format!("Credential=test/20260101/{REGION}/{service}/aws4_request, SignedHeaders=host, Signature=0");
    let headers =
        format!("Authorization: AWS4-HMAC-SHA256 {scope}\r\nContent-Type: application/x-www-form-urlencoded\r\n");
    post(endpoint, "/", &headers, body).await
}

/// A request that has to be taken: the answer's body. Each of `headers` ends its line.
pub(crate) async fn post(endpoint: &str, path: &str, headers: &str, body: &str) -> String {
    let host = endpoint.trim_start_matches("http://").trim_end_matches('/');
    let mut stream = tokio::net::TcpStream::connect(host).await.expect("the emulator listens");
    let request = format!(
        "POST {path} HTTP/1.1\r\nHost: {host}\r\n{headers}Content-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(request.as_bytes()).await.expect("it is taken");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.expect("an answer");
    assert!(answer.starts_with("HTTP/1.1 2"), "{path} {body}: {answer}");
    answer.split_once("\r\n\r\n").map(|(_, body)| body.to_owned()).unwrap_or_default()
}

/// The text of every element with this name.
pub(crate) fn all(xml: &str, element: &str) -> Vec<String> {
    let open = format!("<{element}>");
    let inside = xml.split(open.as_str()).skip(1).filter_map(|rest| rest.split_once("</").map(|(text, _)| text));
    inside.map(|text| text.trim().to_owned()).collect()
}
