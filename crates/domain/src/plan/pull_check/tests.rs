use super::*;
use crate::model::image_map::ImageMap;
use crate::port::pull::AnsweredBy;

mod aws;
mod local;

fn mapped(written: &str) -> Mapped {
    let map = ImageMap::parse_list("registry.layer0.test|localhost:9090").expect("a legal map");
    map.apply(&ImageRef::parse(written).expect("a legal image")).expect("a mapped image")
}

fn platform(text: &str) -> Platform {
    let (os, architecture) = text.split_once('/').expect("os/architecture");
    Platform { os: os.to_owned(), architecture: architecture.to_owned(), variant: None }
}

/// What came of a check, without its words.
fn outcome(report: &Report, what: What) -> &'static str {
    match report.checks.iter().find(|check| check.what == what).map(|check| &check.outcome) {
        Some(Outcome::Passed { .. }) => "passed",
        Some(Outcome::Failed { .. }) => "failed",
        Some(Outcome::Unknown { .. }) => "unknown",
        None => "none",
    }
}
