//! Commands that speak to no server.

use insta::assert_snapshot;

use crate::fake::{env, run};

#[test]
fn endpoint_prints_the_lines_of_a_data_directory() {
    let dir = tempfile::tempdir().expect("a directory");
    std::fs::write(dir.path().join("endpoint"), "http://localhost:9191\n").expect("a file");
    std::fs::write(dir.path().join("admin-token"), "YWRtaW46eA==\n").expect("a file");
    let path = dir.path().to_str().expect("a path of text");
    let lines = |more: &[&str]| run(&[&["endpoint", "--data-dir", path], more].concat(), &env(&[])).text();
    assert_snapshot!("endpoint_bash", lines(&[]));
    assert_snapshot!("endpoint_cmd", lines(&["--syntax", "cmd"]));
    assert_snapshot!("endpoint_powershell", lines(&["-s=powershell", "--insecure"]));
    assert_snapshot!("endpoint_json", lines(&["-o", "json"]));
    assert_snapshot!("endpoint_unknown_syntax", lines(&["--syntax", "fish"]));
}

#[test]
fn endpoint_reads_the_default_of_the_credentials_file() {
    let dir = tempfile::tempdir().expect("a directory");
    let home = env(&[("HOME", dir.path().to_str().expect("a path of text"))]);
    assert_snapshot!("endpoint_nothing_known", run(&["endpoint"], &home).text());
    std::fs::create_dir_all(dir.path().join(".config/layer0")).expect("a directory");
    let text = r#"{"default":"http://localhost:9292","endpoints":{"http://localhost:9292":"YWRtaW46eQ==","http://localhost:1":"x"}}"#;
    std::fs::write(dir.path().join(".config/layer0/credentials.json"), text).expect("a file");
    assert_snapshot!("endpoint_credentials", run(&["endpoint"], &home).text());
}

#[test]
fn endpoint_names_a_file_that_is_missing() {
    let ran = run(&["endpoint", "--data-dir", "/no/such/dir", "-t", "1ms"], &env(&[]));
    assert_eq!(ran.code, 2);
    assert!(ran.stderr.contains("error: /no/such/dir/endpoint can't be read: No such file"), "{}", ran.stderr);
}

#[test]
fn completions_know_the_commands() {
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let ran = run(&["completion", shell], &env(&[]));
        assert_eq!(ran.code, 0, "{shell}");
        for word in ["loadbalancer", "server", "data-dir", "healthcheck-path", "no-wait"] {
            assert!(ran.stdout.contains(word), "{shell} does not know {word}");
        }
    }
    assert_eq!(run(&["completion", "tcsh"], &env(&[])).code, 2);
}
