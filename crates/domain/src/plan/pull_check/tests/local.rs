//! One machine.

use super::*;
use crate::model::digest::Digest;
use crate::model::image::RepositoryName;
use crate::model::registry::Visibility;
use crate::port::image_source::SourceImage;
use crate::port::pull::{LocalImage, RemoteImage};

fn judge(image: &Mapped, source: &SourceAnswer, engine: Option<&PullEvidence>) -> Result<Passed, Failure> {
    report(image, source, engine).verdict()
}

fn report(image: &Mapped, source: &SourceAnswer, engine: Option<&PullEvidence>) -> Report {
    let question = PullQuestion::about(image.backing.clone(), AnsweredBy::Registry);
    super::super::judge(image, source, &question, engine)
}

fn found(platforms: &[&str], missing: usize) -> SourceAnswer {
    SourceAnswer::Found(SourceImage {
        digest: Digest::sha256_of(b"image"),
        media_type: "application/vnd.oci.image.manifest.v1+json".to_owned(),
        platforms: platforms.iter().map(|text| platform(text)).collect(),
        size: 1,
        missing: (0..missing).map(|n| Digest::sha256_of(&[u8::try_from(n).expect("few")])).collect(),
        visibility: Visibility::Private,
    })
}

fn evidence(local: Option<LocalImage>, remote: Option<RemoteImage>) -> PullEvidence {
    PullEvidence { platform: platform("linux/amd64"), local, remote, aws: None }
}

#[test]
fn what_lies_elsewhere_is_told_by_its_name_here() {
    let mut image = mapped("registry.layer0.test/team/app:9");
    image.backing = ImageRef::parse("111122223333.dkr.ecr.eu-west-1.amazonaws.com/l0/team/app:9").expect("legal");
    let mut question = PullQuestion::about(image.backing.clone(), AnsweredBy::Us);
    question.repository = RepositoryName::parse("team/app").ok();
    let said = |source: &SourceAnswer| {
        let failure = super::super::judge(&image, source, &question, None).verdict().expect_err("it fails");
        format!("{} {}", failure.message, failure.hint.unwrap_or_default())
    };
    let push = "docker push registry.layer0.test/team/app:9`";
    let missing = said(&SourceAnswer::NoRepository);
    assert!(missing.contains("`l0 repository create team/app`") && missing.contains(push), "{missing}");
    let missing = said(&SourceAnswer::NoImage { tags: vec![], visibility: Visibility::Private });
    assert!(missing.contains("the repository `team/app` has no `9`") && missing.contains(push), "{missing}");
    let withheld = said(&SourceAnswer::Withheld { said: "upstream hub does not let this server in".to_owned() });
    assert!(withheld.contains("upstream hub") && withheld.contains("check the name"), "{withheld}");
}

#[test]
fn an_image_of_ours_is_pinned_to_its_digest() {
    let passed = judge(
        &mapped("registry.layer0.test/team/app:1"),
        &found(&["linux/arm64", "linux/amd64"], 0),
        Some(&evidence(None, None)),
    )
    .expect("it passes");
    assert_eq!(passed.pinned.to_string(), format!("localhost:9090/team/app@{}", Digest::sha256_of(b"image")));
    assert_eq!(passed.warning, None);
}

#[test]
fn each_reason_has_its_class_and_its_next_step() {
    let image = mapped("registry.layer0.test/team/app:9");
    let here = evidence(None, None);
    let cases = [
        (SourceAnswer::NoRepository, FailureClass::ImageNotFound, "l0 repository create team/app"),
        (
            SourceAnswer::NoImage { tags: vec!["1".into(), "2".into()], visibility: Visibility::Private },
            FailureClass::ImageNotFound,
            "docker push localhost:9090/team/app:9",
        ),
        (found(&["linux/arm64"], 0), FailureClass::WrongArchitecture, "--platform linux/amd64"),
        (found(&["linux/amd64"], 2), FailureClass::ImageNotFound, "push the image again"),
    ];
    for (answer, class, step) in cases {
        let failure = judge(&image, &answer, Some(&here)).expect_err("it fails");
        assert_eq!(failure.class, class, "{failure:?}");
        assert!(failure.hint.as_deref().unwrap_or_default().contains(step), "{failure:?}");
    }
    let failure = judge(
        &image,
        &SourceAnswer::NoImage { tags: vec!["1".into(), "2".into()], visibility: Visibility::Private },
        Some(&here),
    )
    .expect_err("it fails");
    assert_eq!(
        failure.message,
        "`registry.layer0.test/team/app:9`: the repository `team/app` has no `9` (it has 1, 2)"
    );
}

#[test]
fn an_image_that_is_only_on_the_engine_is_used_with_a_warning() {
    let local = LocalImage { id: "sha256:1".into(), platform: platform("linux/amd64"), repo_digests: vec![] };
    let passed = judge(
        &mapped("built-here:1"),
        &SourceAnswer::NotOurs,
        Some(&evidence(Some(local.clone()), Some(RemoteImage::NotFound))),
    )
    .expect("it passes");
    assert_eq!(passed.pinned.to_string(), "built-here:1");
    assert!(passed.warning.expect("a warning").contains("only on this machine"));

    let other = LocalImage { platform: platform("linux/arm64"), ..local };
    let failure = judge(
        &mapped("built-here:1"),
        &SourceAnswer::NotOurs,
        Some(&evidence(Some(other), Some(RemoteImage::NotFound))),
    )
    .expect_err("wrong platform");
    assert_eq!(failure.class, FailureClass::WrongArchitecture);
}

#[test]
fn a_foreign_image_is_pinned_to_what_its_registry_says() {
    let digest = Digest::sha256_of(b"nginx");
    let remote = RemoteImage::Found { digest: digest.clone(), platforms: vec![platform("linux/amd64")] };
    let passed =
        judge(&mapped("nginx:1"), &SourceAnswer::NotOurs, Some(&evidence(None, Some(remote)))).expect("it passes");
    assert_eq!(passed.pinned.to_string(), format!("nginx@{digest}"));
    for (remote, class) in [
        (RemoteImage::NotFound, FailureClass::ImageNotFound),
        (RemoteImage::Denied, FailureClass::PullDenied),
        (RemoteImage::Unreachable { message: "no route".into() }, FailureClass::PullDenied),
    ] {
        let failure = judge(&mapped("nginx:1"), &SourceAnswer::NotOurs, Some(&evidence(None, Some(remote))))
            .expect_err("it fails");
        assert_eq!(failure.class, class);
    }
}

#[test]
fn an_engine_that_is_away_leaves_a_warning_and_the_pin() {
    let passed =
        judge(&mapped("registry.layer0.test/team/app:1"), &found(&["linux/arm64"], 0), None).expect("it passes");
    assert!(passed.pinned.digest().is_some());
    assert!(passed.warning.is_some());
    assert!(judge(&mapped("registry.layer0.test/team/app:1"), &SourceAnswer::NoRepository, None).is_err());
}
