//! Words that may not be in the project: what only makes sense at the place where it was written, and the hosts of
//! package registries, which each reader's own set-up names.

use anyhow::Result;

use super::Findings;
use crate::project::Project;

/// Written in parts, so that this list does not find itself. The parts are joined with nothing between.
const FORBIDDEN: &[&[&str]] = &[
    // Hosts of package registries.
    &["crates", ".io"],
    &["pypi", ".org"],
    &["registry.npm", "js.org"],
    &["proxy.go", "lang.org"],
    &["repo.maven", ".apache.org"],
    &["repo1.maven", ".org"],
    &["deb.debi", "an.org"],
    // Paths of one machine.
    &["/work/", "main"],
    &["/work/", "shared"],
    &["/work/", ".library"],
    &["/tmp/", "brief"],
    // Who works here and how is not the reader's business.
    &["the ", "lead will"],
    &["the ", "lead said"],
    &["this ", "workplace"],
    &["this ", "session's brief"],
    &["sub", "agent"],
    &["coding ", "agent"],
    &["language ", "model"],
];

/// Cargo writes where each package came from into its lock files.
const EXEMPT: &[&str] = &["Cargo.lock", "examples/guestbook/Cargo.lock"];

/// Looks through every text file.
pub(crate) fn check(project: &Project) -> Result<Findings> {
    let forbidden: Vec<String> = FORBIDDEN.iter().map(|parts| parts.concat()).collect();
    let mut findings = Findings::default();
    for file in project.files()? {
        if EXEMPT.contains(&file.as_str()) {
            continue;
        }
        let text = project.text(file)?.unwrap_or_default();
        for (line, word) in mentions(&text, &forbidden) {
            findings.broken(format!("{file}:{line}: says `{word}`"));
        }
    }
    Ok(findings)
}

fn mentions<'a>(text: &str, forbidden: &'a [String]) -> Vec<(usize, &'a str)> {
    let mut found = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let line = line.to_lowercase();
        found.extend(
            forbidden.iter().filter(|word| line.contains(word.as_str())).map(|word| (number + 1, word.as_str())),
        );
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_is_found_in_any_case_and_on_its_line() {
        let forbidden = ["bad host".to_owned()];
        assert_eq!(mentions("good\nsee Bad Host here\n", &forbidden), [(2, "bad host")]);
        assert!(mentions("good", &forbidden).is_empty());
    }
}
