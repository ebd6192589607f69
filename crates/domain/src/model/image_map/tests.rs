use super::*;
use crate::model::digest::Digest;
use proptest::prelude::*;

fn image(text: &str) -> ImageRef {
    ImageRef::parse(text).expect(text)
}

fn map(text: &str) -> ImageMap {
    ImageMap::parse_list(text).expect(text)
}

fn backing(map: &ImageMap, text: &str) -> String {
    map.apply(&image(text)).expect(text).backing.to_string()
}

/// A refusal with its causes, as the edge prints it.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text.push_str(": ");
        text.push_str(&error.to_string());
        source = error.source();
    }
    text
}

#[test]
fn images_are_rewritten_as_the_design_says() {
    const ECR: &str = "123456789012.dkr.ecr.eu-west-1.amazonaws.com";
    let digest = Digest::sha256_of(b"x");
    let digested = format!("registry.example.com/team/app:1@{digest}");
    let both = format!("ECR/team/app:1@{digest}");
    let cases = [
        // A host, one with a port, host and team, a team alone.
        ("registry.example.com|ECR", "registry.example.com/team/app:1", "ECR/team/app:1"),
        ("registry.layer0.test|localhost:9090", "registry.layer0.test/demo/guestbook", "localhost:9090/demo/guestbook"),
        ("localhost:5000|ECR/dev", "localhost:5000/app", "ECR/dev/app"),
        ("reg.io:5000/team|ECR", "reg.io:5000/team/app", "ECR/app"),
        ("reg.io/team|ECR/x/y", "reg.io/team/a/b:1", "ECR/x/y/a/b:1"),
        ("team|ECR/team", "team/app", "ECR/team/app"),
        ("team/app|ECR/other", "team/app:2", "ECR/other:2"),
        ("team|other", "team/app", "other/app"),
        // Docker Hub's spellings are one.
        ("team|ECR/team", "docker.io/team/app", "ECR/team/app"),
        ("team|ECR/team", "index.docker.io/team/app", "ECR/team/app"),
        ("docker.io/team|ECR/team", "team/app", "ECR/team/app"),
        ("index.docker.io/team|ECR/team", "docker.io/team/app", "ECR/team/app"),
        ("docker.io|ECR/hub", "nginx:1", "ECR/hub/library/nginx:1"),
        ("docker.io|ECR/hub", "team/app", "ECR/hub/team/app"),
        ("library|ECR/hub", "nginx", "ECR/hub/nginx"),
        ("nginx|ECR/nginx", "nginx:1", "ECR/nginx:1"),
        ("nginx|ECR/nginx", "docker.io/library/nginx:1", "ECR/nginx:1"),
        ("library/nginx|ECR/nginx", "nginx", "ECR/nginx"),
        // Host names know no case.
        ("Reg.IO|ECR", "reg.io/a/b", "ECR/a/b"),
        ("reg.io|ECR", "REG.io/a/b", "ECR/a/b"),
        // Whole components only, and hosts only as hosts.
        ("team|ECR/team", "team2/app", "team2/app"),
        ("team/a|ECR/x", "team/app", "team/app"),
        ("reg.io|ECR", "reg.io:5000/a/b", "reg.io:5000/a/b"),
        ("reg.io:5000|ECR", "reg.io/a/b", "reg.io/a/b"),
        ("reg.io|ECR", "my.reg.io/a/b", "my.reg.io/a/b"),
        ("team|ECR/team", "reg.io/team/app", "reg.io/team/app"),
        ("library|ECR/hub", "reg.io/library/nginx", "reg.io/library/nginx"),
        // The longest prefix wins, in whatever order.
        ("reg.io|ECR/a,reg.io/team|ECR/b", "reg.io/team/app", "ECR/b/app"),
        ("reg.io/team|ECR/b,reg.io|ECR/a", "reg.io/team/app", "ECR/b/app"),
        ("reg.io/team|ECR/b,reg.io|ECR/a", "reg.io/other/app", "ECR/a/other/app"),
        ("library|ECR/lib,nginx|ECR/web", "nginx", "ECR/web"),
        ("docker.io|ECR/hub,team|ECR/own", "team/app", "ECR/own/app"),
        // An exemption.
        ("reg.io|ECR,reg.io/public|reg.io/public", "reg.io/public/app:1", "reg.io/public/app:1"),
        ("registry.example.com|ECR", &digested, &both),
    ];
    for (rules, written, expected) in cases {
        let rules = rules.replace("ECR", ECR);
        assert_eq!(backing(&map(&rules), written), expected.replace("ECR", ECR), "{rules}  {written}");
    }
}

#[test]
fn the_answer_says_which_rule_it_was() {
    let rules = map("reg.io|localhost:9090");
    let mapped = rules.apply(&image("reg.io/a/b:1")).expect("applies");
    assert_eq!(mapped.written, image("reg.io/a/b:1"));
    assert_eq!(mapped.rule.as_ref().map(ToString::to_string).as_deref(), Some("reg.io|localhost:9090"));
    let untouched = rules.apply(&image("nginx")).expect("applies");
    assert_eq!((untouched.rule, untouched.backing), (None, image("nginx")));
}

#[test]
fn rules_are_read_with_a_bar_or_an_unambiguous_colon() {
    for (text, prefix, target) in [
        ("a|b", "a", "b"),
        ("  a | b ", "a", "b"),
        ("reg.io:5000|ecr.io:443/x", "reg.io:5000", "ecr.io:443/x"),
        ("team:other", "team", "other"),
        (
            "d.ims.io:123456789012.dkr.ecr.us-west-2.amazonaws.com",
            "d.ims.io",
            "123456789012.dkr.ecr.us-west-2.amazonaws.com",
        ),
        ("team:localhost:5000/x", "team", "localhost:5000/x"),
        ("localhost:5000:reg.io", "localhost:5000", "reg.io"),
        ("[::1]:5000|reg.io", "[::1]:5000", "reg.io"),
    ] {
        let rule = MapRule::parse(text).expect(text);
        assert_eq!((rule.prefix(), rule.target()), (prefix, target), "{text}");
        let json = serde_json::to_string(&rule).expect("writes");
        assert_eq!(json, format!("\"{prefix}|{target}\""));
        assert_eq!(serde_json::from_str::<MapRule>(&json).expect("reads"), rule);
    }
}

#[test]
fn malformed_rules_are_refused_with_the_reason() {
    for (text, expected) in [
        ("", "empty"),
        ("|", "prefix \"\": it is empty"),
        ("a|", "target \"\": it is empty"),
        ("|b", "prefix \"\": it is empty"),
        ("a", "no target"),
        ("reg.io", "no target"),
        ("a|b|c", "more than one"),
        ("reg.io:5000", "host with its port"),
        ("localhost:5000/team", "host with its port"),
        ("localhost:5000:6000", "more than one way"),
        ("a:", "it is empty"),
        ("a|https://reg.io", "://"),
        ("a|reg.io/", "slash at the end"),
        ("reg.io/|b", "slash at the end"),
        ("Team|b", "write \"team\""),
        ("a|reg.io/Team", "write \"team\""),
        ("a b|c", "' '"),
        ("a//b|c", "empty"),
        ("team/app:1|b", "names no tag"),
        ("a|b@sha256:1", "names no digest"),
        ("reg.io:x|b", "port"),
        ("*|b", "'*'"),
    ] {
        let error = chain(&MapRule::parse(text).expect_err(text));
        assert!(error.contains(expected), "{text}: {error}");
    }
    // Of a megabyte of colons each would be tried, and each try looks at the whole.
    for text in [":".repeat(1 << 20), "a:".repeat(1 << 20), format!("a|{}", "b".repeat(1 << 20))] {
        assert!(matches!(MapRule::parse(&text), Err(MapRuleError::TooLong { .. })));
    }
    for (text, expected) in [
        ("a|b,", "entry 2 of the image map is malformed: the rule is empty"),
        ("a|b,,c|d", "entry 2"),
        (",", "entry 1"),
        ("a|b,Team|c", "entry 2 of the image map is malformed: prefix \"Team\""),
    ] {
        let error = chain(&ImageMap::parse_list(text).expect_err(text));
        assert!(error.contains(expected), "{text}: {error}");
    }
    assert_eq!(ImageMap::parse_list("  "), Ok(ImageMap::default()));
}

#[test]
fn rules_that_would_undo_idempotence_are_refused() {
    for (text, expected) in [
        ("a|b,a|c", "same prefix"),
        ("team|b.io,docker.io/team|c.io", "same prefix"),
        ("reg.io|b.io,REG.io|c.io", "same prefix"),
        ("a.io|a.io/x", "its own result"),
        ("team|team/sub", "its own result"),
        ("docker.io|docker.io/mirror", "its own result"),
        ("a.io|b.io,b.io|a.io", "rewrite again"),
        ("a.io|b.io,b.io|c.io", "rule b.io|c.io would rewrite again"),
        ("a.io|b.io/x,b.io/x/y|c.io", "rewrite again"),
        ("a.io|b.io/x/y,b.io/x|c.io", "rewrite again"),
        ("a.io|docker.io,team|c.io", "rewrite again"),
        ("a.io|library,nginx|c.io/n", "rewrite again"),
        ("a.io/n|nginx,library|c.io", "rewrite again"),
        ("a.io/n|nginx,library/nginx|c.io/n", "rewrite again"),
        ("a.io/n|library/nginx,nginx|c.io/n", "rewrite again"),
    ] {
        let error = chain(&ImageMap::parse_list(text).expect_err(text));
        assert!(error.contains(expected), "{text}: {error}");
    }
    for text in [
        "a|b.io,a|b.io",
        "team|team",
        "a.io|b.io,a.io/x|b.io/y",
        "a.io/x|b.io/x,b.io/y|c.io",
        "a.io/team|a.io/team-prod",
        "a.io|b.io,b.io/keep|b.io/keep",
    ] {
        map(text);
    }
    assert_eq!(map("a|b.io,a|b.io").rules().len(), 1);
    assert_eq!(map("a|b.io, c:d.io").to_string(), "a|b.io,c|d.io");
}

#[test]
fn results_that_no_registry_could_hold_are_refused() {
    let long = format!("reg.io/{}", "a".repeat(200));
    let deep = format!("reg.io|ecr.io/{}", "b".repeat(60));
    for (rules, written, expected) in [
        (deep.as_str(), long.as_str(), "at most 255"),
        ("team/app|ecr.io", "team/app:1", "add a path"),
        ("team|123456789012.dkr.ecr.eu-west-1.amazonaws.com", "team/a", "shorter than 2"),
        ("team|123456789012.dkr-ecr.eu-west-1.on.aws", "team/a", "not a legal ECR repository name"),
    ] {
        let error = chain(&map(rules).apply(&image(written)).expect_err(rules));
        assert!(error.contains(expected), "{rules}: {error}");
        assert!(error.contains(rules), "{error}");
    }
    // The digest does not count, the tag does.
    let name = format!("reg.io/{}", "a".repeat(240));
    let rules = map("reg.io|local.io");
    let digested = image(&name).with_digest(Digest::sha256_of(b"x"));
    assert!(rules.apply(&digested).is_ok());
    let tagged = image(&format!("{name}:123456789"));
    assert!(rules.apply(&tagged).is_err());
    // A single letter is legal where the target is not ECR.
    assert_eq!(backing(&map("team|reg.io"), "team/a"), "reg.io/a");
}

#[test]
fn ecr_hosts_are_known_in_every_partition() {
    for (host, region) in [
        ("123456789012.dkr.ecr.us-west-2.amazonaws.com", "us-west-2"),
        ("123456789012.dkr.ecr-fips.us-gov-west-1.amazonaws.com", "us-gov-west-1"),
        ("123456789012.dkr.ecr.cn-north-1.amazonaws.com.cn", "cn-north-1"),
        ("123456789012.dkr-ecr.eu-central-1.on.aws", "eu-central-1"),
        ("123456789012.dkr-ecr-fips.us-east-1.on.aws", "us-east-1"),
        ("123456789012.DKR.ecr.us-west-2.amazonaws.com", "us-west-2"),
    ] {
        let parsed = EcrHost::parse(host).expect(host);
        assert_eq!((parsed.account.as_str(), parsed.region.as_str()), ("123456789012", region));
    }
    for host in [
        "12345678901.dkr.ecr.us-west-2.amazonaws.com",
        "123456789012.dkr.ecr.us-west-2.example.com",
        "123456789012.dkr.ecr..amazonaws.com",
        "123456789012.dkr.ecrx.us-west-2.amazonaws.com",
        "x.123456789012.dkr.ecr.us-west-2.amazonaws.com",
        "123456789012.dkr-ecr.us-west-2.amazonaws.com",
        "registry.example.com",
        "",
    ] {
        assert_eq!(EcrHost::parse(host), None, "{host}");
    }
}

/// Account and region say what a registry is called, in every partition; and the name says account and region.
#[test]
fn a_registry_has_a_host_of_each_form_and_arns_of_its_partition() {
    let table = [
        ("us-west-2", "aws", "amazonaws.com", Some("on.aws")),
        ("eu-central-1", "aws", "amazonaws.com", Some("on.aws")),
        ("us-gov-west-1", "aws-us-gov", "amazonaws.com", Some("on.aws")),
        ("cn-north-1", "aws-cn", "amazonaws.com.cn", Some("on.amazonwebservices.com.cn")),
        ("us-iso-east-1", "aws-iso", "c2s.ic.gov", Some("on.aws.ic.gov")),
        ("us-isob-east-1", "aws-iso-b", "sc2s.sgov.gov", Some("on.aws.scloud")),
        ("us-isof-south-1", "aws-iso-f", "csp.hci.ic.gov", Some("on.aws.hci.ic.gov")),
        ("eu-isoe-west-1", "aws-iso-e", "cloud.adc-e.uk", Some("on.cloud-aws.adc-e.uk")),
        ("eusc-de-east-1", "aws-eusc", "amazonaws.eu", None),
    ];
    for (region, partition, domain, dual) in table {
        let host = EcrHost { account: "123456789012".to_owned(), region: region.to_owned() };
        let arn = format!("arn:{partition}:ecr:{region}:123456789012:repository/l0/team/app");
        assert_eq!(host.repository_arn("l0/team/app"), arn);
        let dual_name = |kind: &str| dual.map(|dual| format!("123456789012.{kind}.{region}.{dual}"));
        for (form, name) in [
            (EcrHostForm::Plain, Some(format!("123456789012.dkr.ecr.{region}.{domain}"))),
            (EcrHostForm::Fips, Some(format!("123456789012.dkr.ecr-fips.{region}.{domain}"))),
            (EcrHostForm::DualStack, dual_name("dkr-ecr")),
            (EcrHostForm::DualStackFips, dual_name("dkr-ecr-fips")),
        ] {
            assert_eq!(host.name(form), name, "{region} {form:?}");
            if let Some(name) = name {
                assert_eq!(EcrHost::parse(&name), Some(host.clone()), "{name}");
            }
        }
    }
}

/// A side of a rule out of few words, so that rules meet often. `library` and Docker Hub's names are among them.
fn place() -> impl Strategy<Value = String> {
    let host =
        prop::option::of(prop::sample::select(vec!["r.io", "s.io:5000", "docker.io", "index.docker.io", "localhost"]));
    let path = prop::collection::vec(prop::sample::select(vec!["a", "b", "ab", "library"]), 0..4);
    (host, path).prop_filter_map("something", |(host, path)| {
        let parts: Vec<_> = host.into_iter().chain(path).collect();
        (!parts.is_empty()).then(|| parts.join("/"))
    })
}

/// The same with tag and digest, for an image.
fn tagged(place: String, tag: Option<String>, digest: bool) -> Option<ImageRef> {
    let mut text = place;
    if let Some(tag) = tag {
        text.push(':');
        text.push_str(&tag);
    }
    if digest {
        text.push('@');
        text.push_str(&Digest::sha256_of(text.as_bytes()).to_string());
    }
    ImageRef::parse(&text).ok()
}

fn rules() -> impl Strategy<Value = ImageMap> {
    prop::collection::vec((place(), place()), 1..4).prop_filter_map("a map that may stand", |sides| {
        let rules = sides
            .into_iter()
            .map(|(prefix, target)| MapRule::parse(&format!("{prefix}|{target}")))
            .collect::<Result<Vec<_>, _>>()
            .ok()?;
        ImageMap::new(rules).ok()
    })
}

/// A map and an image, which most of the time lies under the prefix of one of the rules.
fn rules_and_image() -> impl Strategy<Value = (ImageMap, ImageRef)> {
    let below = prop::collection::vec(prop::sample::select(vec!["a", "b", "library"]), 0..3);
    let start = (any::<prop::sample::Index>(), place(), prop::bool::weighted(0.8), below);
    let end = (prop::option::of("[a-z][a-z0-9.]{0,4}"), any::<bool>());
    (rules(), start, end).prop_filter_map("legal", |(rules, (index, place, under, below), (tag, digest))| {
        let start = if under { index.get(rules.rules()).prefix().to_owned() } else { place };
        let place = std::iter::once(start.as_str()).chain(below).collect::<Vec<_>>().join("/");
        Some((rules, tagged(place, tag, digest)?))
    })
}

/// Path components of an image with its host in front, in their one spelling.
fn parts(image: &ImageRef) -> Vec<String> {
    let path = image.canonical_path();
    std::iter::once(image.canonical_host()).chain(path.split('/').map(str::to_owned)).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, max_global_rejects: 200_000, ..ProptestConfig::default() })]

    #[test]
    fn applying_twice_is_applying_once((rules, written) in rules_and_image()) {
        if let Ok(mapped) = rules.apply(&written) {
            let again = rules.apply(&mapped.backing)
                .map_err(|error| TestCaseError::fail(error.to_string()))?;
            prop_assert_eq!(&again.backing, &mapped.backing, "{}", rules);
        }
    }

    #[test]
    fn tag_and_digest_survive((rules, written) in rules_and_image()) {
        if let Ok(mapped) = rules.apply(&written) {
            prop_assert_eq!(mapped.backing.tag(), written.tag());
            prop_assert_eq!(mapped.backing.digest(), written.digest());
            prop_assert_eq!(&mapped.written, &written);
        }
    }

    #[test]
    fn what_no_rule_matches_is_untouched((rules, written) in rules_and_image()) {
        if let Ok(mapped) = rules.apply(&written)
            && mapped.rule.is_none()
        {
            prop_assert_eq!(mapped.backing, written);
        }
    }

    #[test]
    fn only_whole_components_match((rules, written) in rules_and_image()) {
        if let Ok(Mapped { rule: Some(rule), .. }) = rules.apply(&written) {
            // Read the prefix as an image by giving it one more component, and compare component by component.
            let prefix = ImageRef::parse(&format!("{}/end/end", rule.prefix())).expect("a prefix with a path is an image");
            let mut prefix = parts(&prefix);
            prefix.truncate(prefix.len() - 2);
            let image = parts(&written);
            let short = (prefix.len() == 2).then(|| vec![prefix[0].clone(), "library".to_owned(), prefix[1].clone()]);
            prop_assert!(image.starts_with(&prefix) || short.as_ref() == Some(&image), "{} {}", rule, written);
        }
    }

    #[test]
    fn spellings_of_docker_hub_are_mapped_alike(rules in rules(), path in "(a|b|library)/(a|ab)") {
        let short = image(&path);
        let long = image(&format!("docker.io/{path}"));
        if let (Ok(short), Ok(long)) = (rules.apply(&short), rules.apply(&long)) {
            prop_assert_eq!(short.rule, long.rule);
            prop_assert_eq!(short.backing.canonical_key(), long.backing.canonical_key());
        }
    }

    #[test]
    fn reading_never_panics(text in "[a-z0-9.:/|,@ \\[\\]A-]{0,40}") {
        let _ = ImageMap::parse_list(&text);
        let _ = MapRule::parse(&text);
    }

    #[test]
    fn accepted_rules_print_as_they_are_read(text in "[a-z0-9.:/|]{0,20}") {
        if let Ok(rule) = MapRule::parse(&text) {
            prop_assert_eq!(MapRule::parse(&rule.to_string()), Ok(rule));
        }
    }
}

#[test]
fn a_region_tells_its_partition() {
    for (region, partition) in [
        ("us-east-1", "aws"),
        ("eu-central-2", "aws"),
        ("cn-north-1", "aws-cn"),
        ("us-gov-west-1", "aws-us-gov"),
        ("us-iso-east-1", "aws-iso"),
        ("us-isob-east-1", "aws-iso-b"),
        ("eu-isoe-west-1", "aws-iso-e"),
        ("us-isof-south-1", "aws-iso-f"),
        ("eusc-de-east-1", "aws-eusc"),
    ] {
        assert_eq!(partition_of(region), partition, "{region}");
    }
    let host = EcrHost::parse("111122223333.dkr.ecr.cn-north-1.amazonaws.com.cn").expect("a host of ECR");
    assert_eq!(host.repository_arn("team/app"), "arn:aws-cn:ecr:cn-north-1:111122223333:repository/team/app");
}
