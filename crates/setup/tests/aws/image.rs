//! An image that setup made and pushed is one that Docker pulls and runs.

use std::process::Command;

use layer0_setup::account::Account as _;
use layer0_setup::image::image;

use crate::on;
use crate::suite::cleared;

/// What the program says.
const SAID: &[u8] = b"made by l0\n";

/// A program for Linux that says something and ends, in machine code: it needs no libraries and no compiler.
fn program() -> Vec<u8> {
    const BASE: u64 = 0x0040_0000;
    const HEADERS: u64 = 64 + 56;
    // write(1, text, length); exit(0)
    let mut code = vec![0xb8, 1, 0, 0, 0, 0xbf, 1, 0, 0, 0, 0x48, 0xbe];
    let length = u32::try_from(SAID.len()).expect("it is short");
    let text_at = BASE + HEADERS + 12 + 8 + 5 + 2 + 5 + 2 + 2;
    code.extend_from_slice(&text_at.to_le_bytes());
    code.push(0xba);
    code.extend_from_slice(&length.to_le_bytes());
    code.extend_from_slice(&[0x0f, 0x05, 0xb8, 60, 0, 0, 0, 0x31, 0xff, 0x0f, 0x05]);
    code.extend_from_slice(SAID);
    let size = HEADERS + u64::try_from(code.len()).expect("it is short");

    let mut elf = vec![0x7f, b'E', b'L', b'F', 2, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    let short = |elf: &mut Vec<u8>, value: u16| elf.extend_from_slice(&value.to_le_bytes());
    let word = |elf: &mut Vec<u8>, value: u32| elf.extend_from_slice(&value.to_le_bytes());
    let long = |elf: &mut Vec<u8>, value: u64| elf.extend_from_slice(&value.to_le_bytes());
    // An executable for amd64, with one segment and no sections.
    short(&mut elf, 2);
    short(&mut elf, 62);
    word(&mut elf, 1);
    long(&mut elf, BASE + HEADERS);
    long(&mut elf, 64);
    long(&mut elf, 0);
    word(&mut elf, 0);
    for value in [64, 56, 1, 0, 0, 0] {
        short(&mut elf, value);
    }
    // The segment: to be loaded, read and executed.
    word(&mut elf, 1);
    word(&mut elf, 5);
    for value in [0, BASE, BASE, size, size, 0x1000] {
        long(&mut elf, value);
    }
    elf.extend_from_slice(&code);
    elf
}

#[tokio::test]
async fn docker_pulls_and_runs_what_was_pushed() {
    let account = on("LAYER0_TEST_MINISTACK").await;
    cleared(&account, "suite-docker").await;
    let name = "l0-suite-docker-server";
    account.repository(name, "suite-docker").await.expect("it is made");
    let made = image(&program(), b"").expect("it stands alone");
    account.image_push(name, &made, "v1").await.expect("it is pushed");
    let pinned = format!("{}/{name}@{}", account.registry().await.expect("an answer"), made.digest());
    let docker = |arguments: &[&str]| Command::new("docker").args(arguments).output().expect("docker is there");
    docker(&["pull", "--quiet", &pinned]);
    let ran = docker(&["run", "--rm", "--network", "none", &pinned]);
    docker(&["rmi", "--force", &pinned]);
    let words = String::from_utf8_lossy(&ran.stderr);
    assert!(ran.status.success(), "{words}");
    assert_eq!(ran.stdout, SAID, "{words}");
    cleared(&account, "suite-docker").await;
}
