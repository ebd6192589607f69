use std::time::Duration;

use super::*;

fn load(args: &[&str], environment: &[(&str, &str)]) -> Result<Config, ConfigError> {
    let args = match parse(args.iter().map(Into::into).collect())? {
        Asked::Run(args) => args,
        Asked::Print(text) => panic!("{text}"),
    };
    Config::load(&args, &|name| environment.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned()))
}

#[test]
fn flags_win_over_the_environment_over_the_file_over_defaults() {
    let dir = tempfile::tempdir().expect("a directory");
    let data = dir.path().to_str().expect("UTF-8").to_owned();
    let nothing = load(&["--data-dir", &data], &[]).expect("defaults");
    assert_eq!(nothing.listen.to_string(), "127.0.0.1:9090");
    assert_eq!(nothing.registry_name, "registry.layer0.test");

    let file =
        "instance = \"file\"\nlisten = \"127.0.0.1:1\"\nimage_map = [\"a.example|b.example\"]\ncreate_on_push = true\n";
    std::fs::write(dir.path().join("layer0.toml"), file).expect("written");
    let from_file = load(&["--data-dir", &data], &[]).expect("the file");
    assert_eq!((from_file.instance.as_str(), from_file.listen.port(), from_file.create_on_push), ("file", 1, true));
    assert_eq!(from_file.image_map.len(), 1);

    let environment = [("LAYER0_INSTANCE", "env"), ("LAYER0_LISTEN", ":2"), ("LAYER0_DATA_DIR", data.as_str())];
    let from_environment = load(&[], &environment).expect("the environment");
    assert_eq!(
        (from_environment.instance.as_str(), from_environment.listen.to_string().as_str()),
        ("env", "0.0.0.0:2")
    );

    let flags =
        load(&["--instance=flag", "--listen", "localhost:3", "--create-on-push=false"], &environment).expect("flags");
    assert_eq!((flags.instance.as_str(), flags.listen.port(), flags.create_on_push), ("flag", 3, false));
}

#[test]
fn an_error_names_its_origin() {
    let dir = tempfile::tempdir().expect("a directory");
    let data = dir.path().to_str().expect("UTF-8").to_owned();
    let error = |args: &[&str], environment: &[(&str, &str)]| load(args, environment).expect_err("refused").to_string();
    assert!(error(&["--data-dir", &data, "--instance", "No"], &[]).starts_with("--instance: `No` must be"));
    assert!(
        error(&["--data-dir", &data], &[("LAYER0_IMAGE_MAP", "a.example|")])
            .starts_with("LAYER0_IMAGE_MAP: `a.example|` is no image map")
    );
    assert!(error(&["--data-dir", &data], &[("LAYER0_PORT", "99999")]).starts_with("LAYER0_PORT: `99999`"));
    let ecs = error(&["--data-dir", &data, "--engine", "ecs"], &[]);
    if cfg!(feature = "aws") {
        assert!(ecs.contains("--aws-vpc"), "{ecs}");
        let subnets = error(&["--data-dir", &data, "--engine", "ecs", "--aws-vpc", "vpc-1"], &[]);
        assert!(subnets.contains("--aws-private-subnets"), "{subnets}");
    } else {
        assert!(ecs.contains("not built into"), "{ecs}");
    }
    assert!(error(&["--data-dir", &data, "--endpoint-url", "localhost"], &[]).starts_with("--endpoint-url: "));
    assert!(error(&["--data-dir", &data, "--aws-rate", "0"], &[]).starts_with("--aws-rate: `0` must be a number"));
    assert!(error(&["--data-dri", &data], &[]).contains("'--data-dir'"), "the closest flag");

    std::fs::write(dir.path().join("layer0.toml"), "instance = \"x\"\nlisten_on = \"y\"\n").expect("written");
    let message = error(&["--data-dir", &data], &[]);
    assert!(
        message.contains("layer0.toml") && message.contains("listen_on") && message.contains("line 2"),
        "{message}"
    );
    std::fs::write(dir.path().join("layer0.toml"), "listen = \"nowhere\"\n").expect("written");
    assert!(error(&["--data-dir", &data], &[]).contains("layer0.toml: listen: `nowhere`"));
}

#[test]
fn the_older_names_of_the_image_map_are_read() {
    let map = |variables: &[(&str, &str)]| {
        let mut all = vec![("LAYER0_DATA_DIR", "/nowhere")];
        all.extend(variables);
        load(&[], &all).expect("read").image_map.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    assert_eq!(map(&[("ECR_BACKED_REPO", "a.example|b.example")]), ["a.example|b.example"]);
    assert_eq!(map(&[("LAYER0_DOCKER_REPO_OVERRIDE", "a.example:b.example")]), ["a.example|b.example"]);
    assert_eq!(
        map(&[("ECR_BACKED_REPO", "a.example|b.example"), ("LAYER0_IMAGE_MAP", "c.example|d.example")]),
        ["c.example|d.example"]
    );
}

#[test]
fn a_port_or_debug_from_a_stronger_source_wins() {
    let dir = tempfile::tempdir().expect("a directory");
    let data = dir.path().to_str().expect("UTF-8").to_owned();
    std::fs::write(dir.path().join("layer0.toml"), "listen = \"10.0.0.1:1\"\nlog = \"warn\"\n").expect("written");
    let read = |args: &[&str], environment: &[(&str, &str)]| {
        let mut all = vec!["--data-dir", data.as_str()];
        all.extend(args);
        let config = load(&all, environment).expect("legal");
        (config.listen.to_string(), config.log)
    };
    let said = |listen: &str, log: &str| (listen.to_owned(), log.to_owned());
    assert_eq!(read(&[], &[]), said("10.0.0.1:1", "warn"));
    let environment = [("LAYER0_PORT", "2"), ("LAYER0_DEBUG", "true")];
    assert_eq!(read(&[], &environment), said("127.0.0.1:2", "debug"), "over the file");
    let environment = [("LAYER0_LISTEN", ":3"), ("LAYER0_LOG", "error"), ("LAYER0_PORT", "2"), ("LAYER0_DEBUG", "1")];
    assert_eq!(read(&[], &environment), said("0.0.0.0:3", "error"), "the fuller one of the same source");
    assert_eq!(read(&["--port", "4", "--debug"], &environment), said("127.0.0.1:4", "debug"), "over the environment");
    assert_eq!(read(&["--port", "4", "--listen", "[::1]:5"], &environment).0, "[::1]:5");
    assert_eq!(read(&["--debug=false"], &environment).1, "error", "no debug is no filter");
}

#[test]
fn the_file_in_the_default_data_directory_is_read() {
    let home = tempfile::tempdir().expect("a directory");
    let home_text = home.path().to_str().expect("UTF-8");
    let data = home.path().join(".local/share/layer0");
    std::fs::create_dir_all(&data).expect("made");
    std::fs::write(data.join("layer0.toml"), "instance = \"mine\"\ntrusted_proxy = true\n").expect("written");
    let config = load(&[], &[("HOME", home_text)]).expect("legal");
    assert_eq!((config.instance.as_str(), config.data_dir, config.trusted_proxy), ("mine", data, true));
}

#[test]
fn a_new_admin_token_is_asked_for_by_flag_only() {
    let asked = |args: &[&str], environment: &[(&str, &str)]| {
        let mut all = vec!["--data-dir", "/nowhere"];
        all.extend(args);
        load(&all, environment).expect("legal").new_admin_token
    };
    assert!(asked(&["--new-admin-token"], &[]));
    assert!(!asked(&[], &[("LAYER0_NEW_ADMIN_TOKEN", "true")]));
}

#[test]
fn the_first_admin_token_comes_from_the_environment_alone_and_is_not_seen() {
    const MADE: &str = "b7Qx0RkzL2mWv9TfYc4HsJ8dNpA1eGuK3iXoZq5VtB6";
    let directory = tempfile::tempdir().expect("a directory");
    let data = directory.path().to_str().expect("UTF-8").to_owned();
    let given = load(&["--data-dir", &data], &[("LAYER0_ADMIN_TOKEN", MADE)]).expect("legal");
    assert_eq!(given.admin_token.as_ref().map(Secret::expose), Some(&*format!("l0_{MADE}")));
    assert!(!format!("{given:?}").contains(MADE), "{given:?}");
    assert_eq!(load(&["--data-dir", &data], &[("LAYER0_ADMIN_TOKEN", "")]).expect("legal").admin_token, None);

    let error = load(&["--data-dir", &data], &[("LAYER0_ADMIN_TOKEN", "hunter2hunter2")]).expect_err("weak");
    let (said, debugged) = (crate::error::chain(&error), format!("{error:?}"));
    assert!(said.starts_with("LAYER0_ADMIN_TOKEN: is too short for 256 random bits"), "{said}");
    assert!(!said.contains("hunter2") && !debugged.contains("hunter2"), "{said} {debugged}");
    assert!(load(&["--data-dir", &data, "--admin-token", MADE], &[]).is_err(), "no flag");
    std::fs::write(directory.path().join("layer0.toml"), format!("admin_token = \"{MADE}\"\n")).expect("written");
    let why = load(&["--data-dir", &data], &[]).expect_err("no key of the file").to_string();
    assert!(why.contains("LAYER0_ADMIN_TOKEN") && !why.contains(MADE), "{why}");
}

#[test]
fn whom_account_grants_are_for_is_a_list_or_nobody() {
    let grants = |args: &[&str], environment: &[(&str, &str)]| {
        let mut all = vec!["--data-dir", "/nowhere", "--engine", "fake"];
        all.extend(args);
        load(&all, environment)
            .map(|config| config.grants.to.map(|to| to.iter().map(ToString::to_string).collect::<Vec<_>>()))
    };
    let on = ["--account-grants", "on"];
    let to = |text| [("LAYER0_ACCOUNT_GRANTS_TO", text)];
    assert_eq!(grants(&on, &[]).expect("legal"), None);
    assert_eq!(grants(&on, &to("none")).expect("legal"), Some(vec![]));
    assert_eq!(grants(&[], &to("none")).expect("legal"), Some(vec![]));
    let several = grants(&on, &to("123456789012, org:o-a1b2c3d4e5")).expect("legal");
    assert_eq!(several, Some(vec!["123456789012".to_owned(), "org:o-a1b2c3d4e5".to_owned()]));
    let wrong = grants(&on, &to("123456789012,1234")).expect_err("refused").to_string();
    assert!(wrong.starts_with("LAYER0_ACCOUNT_GRANTS_TO: ") && wrong.contains("`1234` is no AWS account"), "{wrong}");
    let off = grants(&[], &to("123456789012")).expect_err("refused").to_string();
    assert!(off.contains("--account-grants on"), "{off}");
}

#[test]
fn a_stop_takes_seconds_and_no_more_than_an_hour() {
    let stop = |environment: &[(&str, &str)]| load(&["--data-dir", "/nowhere"], environment).map(|config| config.stop);
    assert_eq!(stop(&[]).expect("legal"), StopTimes::default());
    let given = stop(&[("LAYER0_STOP_DELAY", "10"), ("LAYER0_STOP_GRACE", "90")]).expect("legal");
    assert_eq!((given.delay.as_secs(), given.grace.as_secs()), (10, 90));
    for bad in ["-1", "3601", "soon"] {
        let why = stop(&[("LAYER0_STOP_GRACE", bad)]).expect_err(bad).to_string();
        assert!(why.starts_with("LAYER0_STOP_GRACE: "), "{why}");
    }
}

#[test]
fn what_no_image_needs_goes_after_hours() {
    let gc = |environment: &[(&str, &str)]| load(&["--data-dir", "/nowhere"], environment).map(|config| config.gc);
    let hours = |hours: u64| Duration::from_secs(hours * 3600);
    let usual = gc(&[]).expect("legal");
    assert_eq!((usual.every, usual.grace), (Some(hours(24)), hours(24)));
    let given = gc(&[("LAYER0_REGISTRY_GC_EVERY", "0"), ("LAYER0_REGISTRY_GC_GRACE", "72")]).expect("legal");
    assert_eq!((given.every, given.grace), (None, hours(72)));
    for (variable, bad) in [("LAYER0_REGISTRY_GC_GRACE", "0"), ("LAYER0_REGISTRY_GC_EVERY", "-1")] {
        let why = gc(&[(variable, bad)]).expect_err(bad).to_string();
        assert!(why.starts_with(&format!("{variable}: ")), "{why}");
    }
}
