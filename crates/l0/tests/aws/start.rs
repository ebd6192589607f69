//! Starts that can't come to anything.

use std::process::Command;

use crate::common::instance::L0;
use crate::common::run::run;

/// Without credentials there is no call that could be made: the server says so and ends, instead of letting everybody wait.
#[test]
fn a_server_without_credentials_says_so_and_ends() {
    let home = tempfile::tempdir().expect("a directory");
    let mut server = Command::new(L0);
    server.args(["server", "--engine", "ecs", "--listen", "127.0.0.1:0", "--aws-region", "us-east-1"]);
    server.args(["--aws-vpc", "vpc-1", "--aws-private-subnets", "subnet-1", "--aws-public-subnets", "subnet-2"]);
    server.arg("--data-dir").arg(home.path().join("data"));
    server.env_clear().env("HOME", home.path()).env("AWS_EC2_METADATA_DISABLED", "true");
    let said = run(&mut server, b"");
    assert!(said.code.is_some_and(|code| code != 0), "{}", said.all());
    said.says("there are no credentials for AWS: set AWS_PROFILE");
}
