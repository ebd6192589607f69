//! Checks 1 and 2: the image and its platforms.

use super::*;

fn rule(prefix: &str, upstream: &str) -> CacheRule {
    CacheRule { prefix: prefix.to_owned(), upstream: upstream.to_owned() }
}

#[test]
fn the_rule_that_says_most_of_a_name_is_the_one_for_it() {
    let rules = ["ROOT", "hub", "hub/library", "team/a"].map(|prefix| rule(prefix, "quay.io")).to_vec();
    let of = |name: &str| CacheRule::of(rules.clone(), name).map(|rule| rule.prefix);
    for (name, expected) in [
        ("hub/library/nginx", "hub/library"),
        ("hub/librarian", "hub"),
        ("hubs/nginx", "ROOT"),
        ("hub", "ROOT"),
        ("team/app", "ROOT"),
        ("team/a/b", "team/a"),
    ] {
        assert_eq!(of(name).as_deref(), Some(expected), "{name}");
    }
    assert_eq!(CacheRule::of(rules[1..].to_vec(), "team/app"), None);
}

#[test]
fn the_image_check_looks_for_repository_manifest_and_layers() {
    assert_rows(
        OWN,
        &[
            (
                "no repository",
                |case| case.ecr().image = Fact::Known(EcrImage::NoRepository),
                What::Image,
                "failed",
                &[
                    "ImageNotFound",
                    "account 111122223333 in eu-west-1 has no repository `team/app`",
                    "aws ecr create-repository --repository-name team/app --region eu-west-1",
                ],
            ),
            (
                "no tag",
                |case| {
                    case.ecr().image =
                        Fact::Known(EcrImage::NoImage { tags: Fact::Known(vec!["2".into(), "3".into()]) })
                },
                What::Image,
                "failed",
                &["has no `1` (it has 2, 3)", "docker push 111122223333.dkr.ecr.eu-west-1.amazonaws.com/team/app:1"],
            ),
            (
                "a rule fetches it",
                |case| {
                    case.ecr().image = Fact::Known(EcrImage::NoRepository);
                    case.ecr().cache_rule = Fact::Known(Some(rule("team", "registry-1.docker.io")));
                },
                What::Image,
                "unknown",
                &[
                    "the pull-through cache rule `team` fetches it from registry-1.docker.io",
                    "and ecr:CreateRepository,",
                ],
            ),
            (
                "a rule fetches the tag",
                |case| {
                    case.ecr().image = Fact::Known(EcrImage::NoImage { tags: Fact::Known(vec!["2".into()]) });
                    case.ecr().cache_rule = Fact::Known(Some(rule("ROOT", "quay.io")));
                },
                What::Image,
                "unknown",
                &["has no `1` (it has 2), but", "from quay.io", "may do ecr:BatchImportUpstreamImage, was"],
            ),
            (
                "rules could not be read",
                |case| {
                    case.ecr().image = Fact::Known(EcrImage::NoRepository);
                    case.ecr().cache_rule = denied("ecr:DescribePullThroughCacheRules");
                },
                What::Image,
                "failed",
                &[
                    "no repository `team/app`",
                    "access denied to ecr:DescribePullThroughCacheRules",
                    "create-repository",
                ],
            ),
            (
                "layers are missing",
                |case| {
                    case.ecr().image = Fact::Known(EcrImage::Found {
                        digest: Digest::sha256_of(b"image"),
                        platforms: denied("ecr:BatchGetImage"),
                        missing: Fact::Known(vec![Digest::sha256_of(b"a"), Digest::sha256_of(b"b")]),
                    });
                },
                What::Image,
                "failed",
                &["it lacks 2 of its layers", "push it again"],
            ),
            (
                "layers not looked for",
                |case| {
                    case.ecr().image = Fact::Known(EcrImage::Found {
                        digest: Digest::sha256_of(b"image"),
                        platforms: Fact::Known(vec![]),
                        missing: denied("ecr:BatchCheckLayerAvailability"),
                    });
                },
                What::Image,
                "unknown",
                &["access denied to ecr:BatchCheckLayerAvailability"],
            ),
            (
                "not asked",
                |case| case.ecr().image = Fact::Unknown("throttled".into()),
                What::Image,
                "unknown",
                &["throttled"],
            ),
            ("not in ECR", |case| case.host("nginx:1"), What::Image, "unknown", &["not an image of ECR"]),
            (
                "not in ECR, not found",
                |case| {
                    case.host("nginx:none");
                    case.remote = Some(RemoteImage::NotFound);
                },
                What::Image,
                "failed",
                &["`nginx:none`"],
            ),
        ],
    );
}

#[test]
fn the_platform_check_compares_with_what_the_task_asks_for() {
    assert_rows(
        OWN,
        &[
            ("arm", |case| case.platform = "linux/arm64", What::Platform, "passed", &["runs on linux/arm64"]),
            (
                "neither",
                |case| case.platform = "windows/amd64",
                What::Platform,
                "failed",
                &[
                    "WrongArchitecture",
                    "is for linux/amd64, linux/arm64, the task asks for windows/amd64",
                    "docker buildx build --platform windows/amd64 --push",
                    r#""runtimePlatform": {"cpuArchitecture": "X86_64"}"#,
                ],
            ),
            (
                "not readable",
                |case| {
                    if let Fact::Known(EcrImage::Found { platforms, .. }) = &mut case.ecr().image {
                        *platforms = denied("ecr:GetDownloadUrlForLayer");
                    }
                },
                What::Platform,
                "unknown",
                &["access denied"],
            ),
            (
                "no image",
                |case| case.ecr().image = Fact::Known(EcrImage::NoRepository),
                What::Platform,
                "unknown",
                &["no image"],
            ),
        ],
    );
}
