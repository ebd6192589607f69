//! Checks 1 and 2: the image and its platforms.

use super::*;

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
