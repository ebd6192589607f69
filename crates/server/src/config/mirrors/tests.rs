use super::*;
use crate::config::{Asked, Config, parse};

fn load(args: &[&str], file: &str) -> Result<Vec<MirrorConfig>, ConfigError> {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("layer0.toml");
    std::fs::write(&path, file).expect("written");
    let path = path.to_str().expect("UTF-8");
    let all = [&["--data-dir", "data", "--engine", "fake", "--config", path], args].concat();
    let Asked::Run(args) = parse(all.iter().map(Into::into).collect())? else { panic!("no help was asked for") };
    let environment = |name: &str| (name == "HUB_TOKEN").then(|| "hunter2".to_owned());
    Config::load(&args, &environment).map(|config| config.mirrors)
}

fn login(mirror: &MirrorConfig) -> &MirrorLogin {
    match &mirror.login {
        MirrorAs::Login(login) => login,
        #[cfg(feature = "aws")]
        MirrorAs::Ecr(region) => panic!("by ECR's token in {region}"),
    }
}

fn error(args: &[&str], file: &str) -> String {
    load(args, file).expect_err("refused").to_string()
}

#[test]
fn mirrors_come_from_a_flag_and_from_tables() {
    assert!(load(&[], "").expect("none").is_empty());
    let flag = load(&["--registry-mirrors", "hub=https://docker.io, quay=https://quay.io"], "").expect("two");
    let shown: Vec<_> = flag.iter().map(|it| format!("{}={}", it.settings.prefix, it.settings.upstream)).collect();
    assert_eq!(shown, ["hub=https://registry-1.docker.io", "quay=https://quay.io"]);
    assert_eq!(flag[0].settings.tag_ttl, MirrorSettings::TAG_TTL);

    let table = "[[mirror]]\nprefix = \"hub\"\nupstream = \"https://docker.io\"\nusername = \"me\"\npassword_env = \"HUB_TOKEN\"\ntag_minutes = 5\n";
    let [one] = &load(&[], table).expect("one")[..] else { panic!("one") };
    assert_eq!(one.settings.tag_ttl, Duration::from_secs(300));
    let MirrorLogin::Password { user, password } = login(one) else { panic!("{one:?}") };
    assert_eq!((user.as_str(), password.expose()), ("me", "hunter2"));
    assert!(!format!("{one:?}").contains("hunter2"));

    let like = "[[mirror]]\nprefix = \"hub\"\nupstream = \"http://127.0.0.1:5000\"\ndocker_hub = true\n";
    let like = load(&[], like).expect("one").remove(0).settings;
    let alpine = RepositoryName::parse("hub/alpine").expect("a name");
    assert_eq!(like.theirs(&alpine).as_deref(), Some("library/alpine"));
}

#[test]
fn a_password_stands_in_a_file_that_others_can_not_read() {
    let directory = tempfile::tempdir().expect("a directory");
    let secret = directory.path().join("secret");
    std::fs::write(&secret, "hunter2\n").expect("written");
    let table = format!(
        "[[mirror]]\nprefix = \"hub\"\nupstream = \"https://docker.io\"\nusername = \"me\"\npassword_file = {:?}\n",
        secret.display().to_string()
    );
    let mode = |mode| std::fs::set_permissions(&secret, std::fs::Permissions::from_mode(mode)).expect("changed");
    mode(0o644);
    let open = error(&[], &table);
    assert!(open.contains("password_file of mirror `hub`") && open.contains("(mode 644)"), "{open}");
    mode(0o600);
    let one = load(&[], &table).expect("one").remove(0);
    let MirrorLogin::Password { password, .. } = login(&one) else { panic!("{one:?}") };
    assert_eq!(password.expose(), "hunter2");
}

#[test]
fn what_can_not_be_is_refused_with_its_place_and_without_a_secret() {
    let one = |keys: &str| error(&[], &format!("[[mirror]]\nprefix = \"hub\"\n{keys}\n"));
    let hub = "upstream = \"https://docker.io\"";
    for (keys, want) in [
        ("upstream = \"docker.io\"".to_owned(), "upstream of mirror `hub`: `docker.io` is no address of a registry"),
        ("upstream = \"https://me:hunter2@docker.io\"".to_owned(), "has a user in it"),
        (format!("{hub}\npassword = \"hunter2\""), "does not stand in this file"),
        (format!("{hub}\nusername = \"me\""), "needs a password_file or a password_env"),
        (format!("{hub}\nusername = \"me\"\npassword_env = \"NONE\""), "is not in the environment"),
        (format!("{hub}\npassword_env = \"HUB_TOKEN\""), "needs a username"),
        (format!("{hub}\nusername = \"me\"\npassword_file = \"/nowhere\""), "can't be read"),
        (format!("{hub}\ntag_minutes = 99999999"), "must be a number of minutes"),
        (
            "upstream = \"http://hub.example.com\"\nusername = \"me\"\npassword_env = \"HUB_TOKEN\"".to_owned(),
            "a password would be read on the way",
        ),
        (
            "upstream = \"http://ecr.example.com\"\necr_region = \"us-east-1\"".to_owned(),
            "the token for ECR would be read on the way",
        ),
    ] {
        let text = one(&keys);
        assert!(text.contains(want) && !text.contains("hunter2"), "{text}");
    }
    let what = "is no `PREFIX=URL`, such as `hub=https://registry-1.docker.io`";
    assert_eq!(error(&["--registry-mirrors", "hub"], ""), format!("--registry-mirrors: `hub` {what}"));
    let bare = error(&["--registry-mirrors", "https://me:hunter2@docker.io"], "");
    assert_eq!(bare, format!("--registry-mirrors: `…@…` {what}"));
    for slip in
        ["hub=me:hunter2@docker.io", "hub=ftp://me:hunter2@docker.io", "https://me:hunter2@docker.io=https://quay.io"]
    {
        let said = error(&["--registry-mirrors", slip], "");
        assert!(said.starts_with("--registry-mirrors: `…@…` ") && !said.contains("hunter2"), "{said}");
    }
    assert!(error(&["--registry-mirrors", "hub="], "").starts_with("--registry-mirrors: `` is no address"));
    assert!(error(&["--registry-mirrors", "Hub=https://quay.io"], "").contains("`Hub` is no beginning"));
}

#[test]
fn ecr_is_known_by_its_name() {
    assert_eq!(ecr_region("123456789012.dkr.ecr.eu-west-1.amazonaws.com"), Some("eu-west-1"));
    assert_eq!(ecr_region("123456789012.dkr.ecr-fips.us-gov-west-1.amazonaws.com"), Some("us-gov-west-1"));
    assert_eq!(ecr_region("123456789012.dkr.ecr.cn-north-1.amazonaws.com.cn"), Some("cn-north-1"));
    for other in ["public.ecr.aws", "registry-1.docker.io", "123456789012.dkr.ecr.eu-west-1.example.com"] {
        assert_eq!(ecr_region(other), None);
    }
    let upstream = "e=https://123456789012.dkr.ecr.eu-west-1.amazonaws.com";
    #[cfg(feature = "aws")]
    {
        let one = load(&["--registry-mirrors", upstream], "").expect("one").remove(0);
        assert!(matches!(one.login, MirrorAs::Ecr(region) if region == "eu-west-1"));
    }
    #[cfg(not(feature = "aws"))]
    assert!(error(&["--registry-mirrors", upstream], "").contains("build it with `--features aws`"));
}
