use super::*;
use proptest::prelude::*;

const HEX: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

fn image(text: &str) -> ImageRef {
    ImageRef::parse(text).expect(text)
}

#[test]
fn the_first_component_is_a_host_only_when_it_looks_like_one() {
    let digested = format!("a/b@sha256:{HEX}");
    let both = format!("reg.io:443/a:1@sha256:{HEX}");
    let cases: [(&str, Option<&str>, &str, Option<&str>); 14] = [
        ("app", None, "app", None),
        ("app:1", None, "app", Some("1")),
        ("team/app", None, "team/app", None),
        ("localhost", None, "localhost", None),
        ("localhost:5000", None, "localhost", Some("5000")),
        ("localhost/app", Some("localhost"), "app", None),
        ("localhost:5000/app:1", Some("localhost:5000"), "app", Some("1")),
        ("reg.io/app", Some("reg.io"), "app", None),
        ("reg.io", None, "reg.io", None),
        ("[2001:db8::1]:5000/a/b:x", Some("[2001:db8::1]:5000"), "a/b", Some("x")),
        ("[::1]/a", Some("[::1]"), "a", None),
        ("Reg.IO/a__b/c--d:V1.0_-x", Some("Reg.IO"), "a__b/c--d", Some("V1.0_-x")),
        (&digested, None, "a/b", None),
        (&both, Some("reg.io:443"), "a", Some("1")),
    ];
    for (text, host, path, tag) in cases {
        let parsed = image(text);
        assert_eq!((parsed.host(), parsed.path(), parsed.tag()), (host, path, tag), "{text}");
        assert_eq!(parsed.to_string(), text);
    }
    assert_eq!(image(&both).digest().map(Digest::hex), Some(HEX));
}

#[test]
fn errors_name_the_part_and_say_what_is_legal() {
    let long_name = format!("reg.io/{}", "a".repeat(249));
    let long_tag = format!("a:{}", "t".repeat(129));
    let cases = [
        ("", "empty"),
        ("a b", "' '"),
        ("a\n", "white space"),
        ("https://reg.io/a", "URL"),
        ("Team/App:1", "write \"team/app\""),
        ("reg.io/Team/app", "write \"team/app\""),
        ("reg.io/", "empty"),
        ("/a", "empty"),
        ("a//b", "empty"),
        ("a/", "empty"),
        ("a/-b", "start and end"),
        ("a/b_", "start and end"),
        ("a..b", "separator"),
        ("a___b", "separator"),
        ("a._b", "separator"),
        ("a/b$c", "'$'"),
        ("é/a", "'é'"),
        ("a:", "tag \"\""),
        ("a:.x", "tag"),
        ("a:-x", "tag"),
        ("a:x/y", "port"),
        ("a:é", "tag"),
        (&long_tag, "tag"),
        (&long_name, "256 characters; at most 255"),
        ("a@", "no algorithm"),
        ("a@sha256:12", "64 hex"),
        ("a@md5:12", "not known"),
        ("reg.io:/a", "port"),
        ("reg.io:0/a", "port"),
        ("reg.io:65536/a", "port"),
        ("reg.io:x/a", "port"),
        ("reg..io/a", "empty"),
        ("-reg.io/a", "hyphen"),
        ("reg_x.io/a", "host name"),
        ("[::1/a", "ends with ]"),
        ("[zz::]/a", "IPv6"),
        ("[::1]x/a", ":port"),
        (HEX, "image id"),
    ];
    for (text, expected) in cases {
        let error = ImageRef::parse(text).expect_err(text).to_string();
        assert!(error.contains(expected), "{text}: {error}");
    }
    assert!(ImageRef::parse(&format!("reg.io/{}", "a".repeat(248))).is_ok());
}

#[test]
fn spellings_of_one_image_share_a_key() {
    for (group, same) in [
        (0, vec!["app", "app:latest", "library/app", "docker.io/app", "docker.io/library/app", "index.docker.io/app"]),
        (1, vec!["team/app:1", "docker.io/team/app:1", "index.docker.io/team/app:1", "Docker.IO/team/app:1"]),
        (2, vec!["reg.io/app", "REG.io/app:latest"]),
    ] {
        let keys: Vec<_> = same.iter().map(|text| image(text).canonical_key()).collect();
        assert!(keys.windows(2).all(|pair| pair[0] == pair[1]), "{group}: {keys:?}");
    }
    let different = ["app", "team/app", "reg.io/app", "reg.io/library/app", "app:2", "reg.io:443/app"];
    let keys: std::collections::BTreeSet<_> = different.iter().map(|text| image(text).canonical_key()).collect();
    assert_eq!(keys.len(), different.len());
}

#[test]
fn pinning_drops_the_tag_and_keeps_the_rest() {
    let digest = Digest::sha256_of(b"x");
    let pinned = image("reg.io:5000/a/b:1").with_digest(digest.clone());
    assert_eq!(pinned.to_string(), format!("reg.io:5000/a/b@{digest}"));
    assert_eq!(pinned.tag_or_default(), None);
    let tagged = pinned.with_tag("v2").expect("a legal tag");
    assert_eq!(tagged.to_string(), "reg.io:5000/a/b:v2");
    assert_eq!(tagged.repository(), "reg.io:5000/a/b");
    assert!(pinned.with_tag("no tag").is_err());
    assert_eq!(image("a").tag_or_default(), Some("latest"));
}

#[test]
fn an_image_keeps_its_tag_and_digest_in_another_repository() {
    let there = "123456789012.dkr.ecr.us-west-2.amazonaws.com/l0/team/app";
    let digest = format!("sha256:{}", "a".repeat(64));
    for rest in [String::new(), ":1".to_owned(), format!("@{digest}"), format!(":1@{digest}")] {
        let moved = image(&format!("localhost:9090/team/app{rest}")).with_repository(there);
        assert_eq!(moved.expect("a legal reference").to_string(), format!("{there}{rest}"));
    }
    let long = format!("{there}/{}", "a".repeat(200));
    assert!(image("localhost:9090/team/app:1").with_repository(&long).is_err());
    assert!(image("localhost:9090/team/app:1").with_repository("Not/Legal").is_err());
}

#[test]
fn both_types_are_strings_in_json() {
    let parsed: ImageRef = serde_json::from_str("\"reg.io/a:1\"").expect("reads");
    assert_eq!(serde_json::to_string(&parsed).expect("writes"), "\"reg.io/a:1\"");
    assert!(serde_json::from_str::<ImageRef>("\"A B\"").is_err());
    let name: RepositoryName = serde_json::from_str("\"a/b/c\"").expect("reads");
    assert_eq!(serde_json::to_string(&name).expect("writes"), "\"a/b/c\"");
    assert!(serde_json::from_str::<RepositoryName>("\"a\"").is_err());
}

#[test]
fn repository_names_have_an_owner() {
    let name = RepositoryName::parse("team/sub/app").expect("legal");
    assert_eq!((name.owner(), name.name()), ("team", "sub/app"));
    assert_eq!(name.to_string(), "team/sub/app");
    let long = format!("a/{}", "b".repeat(254));
    for (text, expected) in [
        ("", "no owner"),
        ("app", "write owner/name"),
        ("/app", "empty"),
        ("team/", "empty"),
        ("Team/App", "write \"team/app\""),
        ("team/my app", "' '"),
        ("team/app:1", "':'"),
        ("tëam/app", "'ë'"),
        ("team/../app", "start and end"),
        (&long, "256 characters"),
    ] {
        let error = RepositoryName::parse(text).expect_err(text).to_string();
        assert!(error.contains(expected), "{text}: {error}");
    }
}

proptest! {
    #[test]
    fn never_panics(text in "\\PC{0,80}") {
        let _ = ImageRef::parse(&text);
        let _ = RepositoryName::parse(&text);
    }

    #[test]
    fn what_is_accepted_prints_as_written(text in "[a-zA-Z0-9./:@_\\[\\]-]{0,24}") {
        if let Ok(parsed) = ImageRef::parse(&text) {
            prop_assert_eq!(parsed.to_string(), text);
        }
    }

    #[test]
    fn legal_references_are_accepted(
        host in proptest::option::of("(localhost|[a-z0-9]{1,5}\\.[a-z]{2,3})(:[1-9][0-9]{0,3})?"),
        // No period in the first component, which would make it a host.
        path in "[a-z0-9]{1,4}((_|__|-{1,3})[a-z0-9]{1,3}){0,2}(/[a-z0-9]{1,4}((\\.|_|__|-)[a-z0-9]{1,3}){0,2}){0,3}",
        tag in proptest::option::of("[a-zA-Z0-9_][a-zA-Z0-9._-]{0,10}"),
        digest in proptest::option::of("[a-f0-9]{64}"),
    ) {
        let mut text = String::new();
        if let Some(host) = &host {
            text.push_str(host);
            text.push('/');
        }
        text.push_str(&path);
        if let Some(tag) = &tag {
            text.push(':');
            text.push_str(tag);
        }
        if let Some(digest) = &digest {
            text.push_str("@sha256:");
            text.push_str(digest);
        }
        let parsed = ImageRef::parse(&text).map_err(|error| TestCaseError::fail(format!("{text}: {error}")))?;
        prop_assert_eq!(parsed.host(), host.as_deref());
        prop_assert_eq!(parsed.path(), path);
        prop_assert_eq!(parsed.tag(), tag.as_deref());
        prop_assert_eq!(parsed.digest().map(Digest::hex), digest.as_deref());
        let again: ImageRef = serde_json::from_value(serde_json::to_value(&parsed).expect("writes")).expect("reads");
        prop_assert_eq!(again, parsed);
    }
}
