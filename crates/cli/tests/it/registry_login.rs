//! `l0 registry login` and `logout`: the files of docker and podman, and the helper's link.

use std::path::PathBuf;

use serde_json::{Value, json};

use crate::fake::{Ran, run, run_as};
use crate::home::Home;

/// As docker and a person leave it.
const DOCKER: &str = "{\n\t\"auths\": {\n\t\t\"https://index.docker.io/v1/\": {}\n\t},\n\t\"credsStore\": \"desktop\",\n\t\"credHelpers\": {\n\t\t\"123456789012.dkr.ecr.us-east-1.amazonaws.com\": \"ecr-login\"\n\t},\n\t\"detachKeys\": \"ctrl-e,e\"\n}\n";

fn signed_in(home: &Home) -> PathBuf {
    home.write(
        ".config/layer0/credentials.json",
        r#"{"default": "https://l0.example.com/", "endpoints": {"https://l0.example.com/": "YWxpY2U6c2VjcmV0"}}"#,
    );
    home.program("l0", "#!/bin/sh\n")
}

fn login(home: &Home, program: &std::path::Path, args: &[&str]) -> Ran {
    run_as(program, &[&["registry", "login"], args].concat(), &home.env())
}

fn json_of(home: &Home, name: &str) -> Value {
    serde_json::from_str(&home.read(name)).expect("JSON")
}

#[test]
fn docker_asks_us_about_our_host_and_others_about_theirs() {
    let home = Home::new();
    let program = signed_in(&home);
    home.write(".docker/config.json", DOCKER);
    let ran = login(&home, &program, &[]);
    assert_eq!(ran.code, 0, "{}", ran.text());
    assert_eq!(ran.stdout, "docker and podman sign in to l0.example.com by your login at https://l0.example.com/\n");
    let wanted = DOCKER.replace("\"ecr-login\"\n", "\"ecr-login\",\n\t\t\"l0.example.com\": \"layer0\"\n");
    assert_eq!(home.read(".docker/config.json"), wanted);
    let link = home.path("bin/docker-credential-layer0");
    assert_eq!(std::fs::read_link(&link).expect("a link"), PathBuf::from("l0"));
    assert!(home.credentials().get("registries").is_none(), "a server's own host needs no entry");
    assert!(!home.path(".config/containers/auth.json").exists());

    let again = login(&home, &program, &[]);
    assert_eq!((again.code, again.stderr.as_str()), (0, ""), "nothing is left to do or to say");
    assert_eq!(home.read(".docker/config.json"), wanted);

    let ran = run(&["registry", "logout"], &home.env());
    assert_eq!(ran.code, 0, "{}", ran.text());
    assert_eq!(home.read(".docker/config.json"), DOCKER);
    assert_eq!(run(&["registry", "logout"], &home.env()).code, 3);
}

#[test]
fn docker_config_is_honoured_and_a_new_file_is_made() {
    let home = Home::new();
    let program = signed_in(&home);
    let elsewhere = home.path("elsewhere");
    let env = home.env_with(&[("DOCKER_CONFIG", elsewhere.to_str().expect("text"))]);
    assert_eq!(run_as(&program, &["registry", "login"], &env).code, 0);
    assert_eq!(json_of(&home, "elsewhere/config.json"), json!({ "credHelpers": { "l0.example.com": "layer0" } }));
    assert!(!home.path(".docker").exists());
}

/// podman reads its own files first, and takes what it finds there.
#[test]
fn podmans_own_file_is_changed_where_it_would_win() {
    let home = Home::new();
    let program = signed_in(&home);
    let runtime = home.path("run");
    let env = home.env_with(&[("XDG_RUNTIME_DIR", runtime.to_str().expect("text"))]);
    let auth = json!({ "auths": { "l0.example.com/team": { "auth": "eDp5" }, "quay.io": { "auth": "eDp5" } } });
    home.write("run/containers/auth.json", &auth.to_string());
    home.write(".config/containers/auth.json", r#"{"auths": {"quay.io": {"auth": "eDp5"}}}"#);
    let ran = run_as(&program, &["registry", "login"], &env);
    assert_eq!(ran.code, 0, "{}", ran.text());
    let changed = json_of(&home, "run/containers/auth.json");
    assert_eq!((&changed["credHelpers"], &changed["auths"]), (&json!({ "l0.example.com": "layer0" }), &auth["auths"]));
    assert!(ran.stderr.contains("a password for l0.example.com is still in it"), "{}", ran.text());
    assert_eq!(home.read(".config/containers/auth.json"), r#"{"auths": {"quay.io": {"auth": "eDp5"}}}"#);
    assert_eq!(run(&["registry", "logout", "l0.example.com"], &env).code, 0);
    assert_eq!(json_of(&home, "run/containers/auth.json"), auth);
}

#[test]
fn a_file_that_cant_be_understood_is_named_and_left_alone() {
    let home = Home::new();
    let program = signed_in(&home);
    for text in
        ["{\"auths\": {\"quay.io\": {\"auth\": \"c2VjcmV0\"}", "[\"c2VjcmV0\"]", r#"{"credHelpers": ["c2VjcmV0"]}"#]
    {
        home.write(".docker/config.json", text);
        let ran = login(&home, &program, &[]);
        assert_eq!(ran.code, 2, "{}", ran.text());
        assert!(ran.stderr.contains(".docker/config.json is malformed at line 1"), "{}", ran.text());
        assert!(!ran.stderr.contains("c2VjcmV0"), "{}", ran.text());
        assert_eq!(home.read(".docker/config.json"), text);
    }
}

#[test]
fn a_registry_of_another_name_needs_its_server_named() {
    let home = Home::new();
    let program = signed_in(&home);
    for host in ["docker.io", "registry.example.com", "l0.example.com:5000"] {
        let ran = login(&home, &program, &[host]);
        assert_eq!(ran.code, 3, "{}", ran.text());
        assert!(ran.stderr.contains(&format!("`l0 login {host}` signs in to it")), "{}", ran.text());
    }
    assert!(!home.path(".docker/config.json").exists());
    let ran = login(&home, &program, &["https://Registry.example.com/", "--endpoint", "https://l0.example.com"]);
    assert_eq!((ran.code, ran.stderr.contains("not signed in")), (0, false), "{}", ran.text());
    assert_eq!(
        home.credentials()["registries"],
        json!({ "registry.example.com": { "endpoint": "https://l0.example.com/" } })
    );
    assert_eq!(json_of(&home, ".docker/config.json"), json!({ "credHelpers": { "registry.example.com": "layer0" } }));
    // From now on it is known.
    assert_eq!(login(&home, &program, &["registry.example.com"]).code, 0);
    assert_eq!(run(&["registry", "logout", "registry.example.com"], &home.env()).code, 0);
    assert!(home.credentials().get("registries").is_none());

    let ran = login(&home, &program, &["--endpoint", "https://other.example.com"]);
    assert_eq!(ran.code, 0, "{}", ran.text());
    assert!(ran.stderr.contains("you are not signed in to https://other.example.com/"), "{}", ran.text());
    let env = home.env_with(&[("LAYER0_AUTH_TOKEN", "YTpi")]);
    let ran = run_as(&program, &["registry", "login", "--endpoint", "https://other.example.com"], &env);
    assert!(ran.code == 0 && ran.stderr.contains("no login is stored"), "{}", ran.text());
    let nobody = Home::new();
    assert_eq!(login(&nobody, &program, &[]).code, 3);
}

#[test]
fn anothers_helper_for_the_host_is_named_when_it_is_replaced() {
    let home = Home::new();
    let program = signed_in(&home);
    home.write(".docker/config.json", r#"{"credHelpers": {"l0.example.com": "pass"}}"#);
    let ran = login(&home, &program, &[]);
    assert!(ran.stderr.contains("it took the place of the helper `pass` for l0.example.com"), "{}", ran.text());
    assert_eq!(json_of(&home, ".docker/config.json"), json!({ "credHelpers": { "l0.example.com": "layer0" } }));
}

#[test]
fn what_is_left_to_do_for_the_helper_is_said_in_one_line() {
    let home = Home::new();
    let _ = signed_in(&home);
    // Beside a program that is not in PATH.
    home.write("opt/l0", "#!/bin/sh\n");
    let opt = home.path("opt");
    let ran = login(&home, &opt.join("l0"), &[]);
    assert!(ran.stderr.contains(&format!("export PATH=\"$PATH:{}\"", opt.display())), "{}", ran.text());
    assert!(opt.join("docker-credential-layer0").is_symlink());
    // Something else has the name.
    let other = home.program("docker-credential-layer0", "#!/bin/sh\nexit 1\n");
    let ran = login(&home, &opt.join("l0"), &[]);
    assert!(
        ran.stderr.contains(&format!("docker will ask {}, which is another program", other.display())),
        "{}",
        ran.text()
    );
    // A hard link is as good.
    std::fs::remove_file(&other).expect("removed");
    std::fs::hard_link(home.path("bin/l0"), &other).expect("linked");
    let ran = login(&home, &home.path("bin/l0"), &[]);
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""), "{}", ran.text());
    // Where nobody may write; root may everywhere, and no directory is there either.
    let ran = login(&Home::new(), std::path::Path::new("/no/such/l0"), &["--endpoint", "https://l0.example.com"]);
    assert!(ran.stderr.contains("sudo ln -s /no/such/l0 /usr/local/bin/docker-credential-layer0"), "{}", ran.text());
}
