//! An upload whose client is killed, and then its server, goes on where it stopped; a download too. The client is curl, as
//! somebody would use it who follows the specification by hand.

use std::fs;
use std::io::{Read, Seek, SeekFrom};
use std::process::Command;

use crate::common::http::{Answer, Connection};
use crate::common::instance::Instance;
use crate::common::run::{Said, run};
use crate::common::until::until;

/// What is pushed. It arrives at [`RATE`] until the client is killed.
const SIZE: u64 = 24 << 20;
const RATE: &str = "8M";

fn curl(instance: &Instance, arguments: &[&str]) -> Command {
    let mut command = instance.command("curl");
    command.args(["--silent", "--show-error", "--header"]);
    command.arg(format!("Authorization: Basic {}", instance.credential())).args(arguments);
    command
}

/// The status of the answer, which curl is told to write.
fn status(said: &Said) -> &str {
    said.out.trim()
}

fn ask(instance: &Instance, method: &str, path: &str) -> Answer {
    let headers = format!("Authorization: Basic {}\r\n", instance.credential());
    Connection::open(&instance.address())
        .and_then(|mut connection| connection.request(method, path, &headers, b""))
        .unwrap_or_else(|why| panic!("{method} {path}: {why}"))
}

/// How much of the upload the server has: what follows its last byte.
fn offset(instance: &Instance, upload: &str) -> u64 {
    let answer = ask(instance, "GET", upload);
    assert_eq!(answer.status, 204, "{answer:?}");
    let range = answer.header("range").expect("a range");
    let last: u64 = range.strip_prefix("0-").and_then(|last| last.parse().ok()).expect("the last byte");
    // An upload without a byte says `0-0` too.
    if last == 0 { 0 } else { last + 1 }
}

#[test]
fn an_upload_and_a_download_go_on_after_their_client_and_the_server_were_killed() {
    let mut instance = Instance::start(&["--engine", "fake", "--registry-challenge", "basic"]);
    instance.l0(&["repository", "create", "demo/app"]).ok();
    let noise: Vec<u8> =
        (0..SIZE / 8).flat_map(|word| word.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_le_bytes()).collect();
    let whole = instance.file("whole", &noise);
    let sum = run(instance.command("sha256sum").arg(&whole), b"").ok().out;
    let digest = format!("sha256:{}", sum.split(' ').next().expect("a sum"));
    let base = format!("http://{}", instance.address());

    let begun = ask(&instance, "POST", "/v2/demo/app/blobs/uploads/");
    let upload = begun.header("location").expect("a place for it").to_owned();
    let to = format!("{base}{upload}");
    let slow = ["--limit-rate", RATE, "--request", "PATCH", "--upload-file", &whole, &to];
    let mut client = curl(&instance, &slow).spawn().expect("curl is needed for this test");
    let told = until("some of it to be there", || match offset(&instance, &upload) {
        0..0x20_0000 => Err("not much".to_owned()),
        much => Ok(much),
    });
    client.kill().expect("our own child");
    client.wait().expect("our own child");
    instance.server_kill();
    instance.server_start();

    let first = offset(&instance, &upload);
    assert!((told..SIZE).contains(&first), "{told} bytes were there before the kill, {first} after it");
    let mut file = fs::File::open(&whole).expect("written above");
    file.seek(SeekFrom::Start(first)).expect("it is that long");
    let mut rest = Vec::new();
    file.read_to_end(&mut rest).expect("our own file");
    let rest = instance.file("rest", &rest);
    let code = ["--write-out", "%{http_code}", "--output", "/dev/null"];
    let range = format!("Content-Range: {first}-{}", SIZE - 1);
    let patch = ["--request", "PATCH", "--header", &range, "--upload-file", &rest, &to];
    assert_eq!(status(&run(&mut curl(&instance, &[&code[..], &patch].concat()), b"").ok()), "202");
    assert_eq!(offset(&instance, &upload), SIZE);
    // The whole file is hashed again, since the one who hashed its beginning was killed.
    let close = format!("{to}?digest={digest}");
    assert_eq!(
        status(&run(&mut curl(&instance, &[&code[..], &["--request", "PUT", &close]].concat()), b"").ok()),
        "201"
    );

    // Half of it is fetched, and then the other half.
    let blob = format!("{base}/v2/demo/app/blobs/{digest}");
    let fetched = instance.path("fetched");
    let into = ["--output", fetched.to_str().expect("text"), "--write-out", "%{http_code}"];
    let half = format!("0-{}", SIZE / 2);
    for how in [&["--range", &half][..], &["--continue-at", "-"]] {
        assert_eq!(status(&run(&mut curl(&instance, &[&into[..], how, &[&blob]].concat()), b"").ok()), "206");
    }
    assert!(fs::read(&fetched).expect("fetched") == noise, "other bytes came back");

    let head = run(&mut curl(&instance, &["--head", &blob]), b"").ok();
    head.says(&format!("content-length: {SIZE}")).says(&format!("docker-content-digest: {digest}"));
    let known = format!("If-None-Match: \"{digest}\"");
    assert_eq!(
        status(&run(&mut curl(&instance, &[&code[..], &["--header", &known, &blob]].concat()), b"").ok()),
        "304"
    );
}
