//! Links in Markdown files that name a file here lead to one.

use std::path::Path;

use anyhow::Result;

use super::Findings;
use crate::project::Project;

/// Looks through every `.md` file.
pub(crate) fn check(project: &Project) -> Result<Findings> {
    let mut findings = Findings::default();
    for file in project.files()? {
        if !file.ends_with(".md") {
            continue;
        }
        let text = project.text(file)?.unwrap_or_default();
        let folder = Path::new(file).parent().unwrap_or(Path::new(""));
        for (line, target) in local_links(&text) {
            let path = match target.strip_prefix('/') {
                Some(from_root) => project.root.join(from_root),
                None => project.root.join(folder).join(&target),
            };
            if !path.exists() {
                findings.broken(format!("{file}:{line}: no such file: {target}"));
            }
        }
    }
    Ok(findings)
}

/// The line and the path of every link `[...](path)` and `[label]: path` that names a file, without its `#fragment`.
/// Code, in a block or in backquotes, has no links.
fn local_links(text: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    let mut fence = None;
    for (number, line) in text.lines().enumerate() {
        let trimmed = line.trim_start();
        let marker = ["```", "~~~"].into_iter().find(|marker| trimmed.starts_with(marker));
        match (fence, marker) {
            (None, Some(opened)) => fence = Some(opened),
            (Some(opened), Some(closed)) if opened == closed => fence = None,
            (None, None) => {
                let prose = without_code(line);
                found.extend(targets(&prose).into_iter().map(|target| (number + 1, target)));
            }
            _ => {}
        }
    }
    found
}

/// The line without what stands in backquotes.
fn without_code(line: &str) -> String {
    line.split('`').step_by(2).collect::<Vec<_>>().join(" ")
}

fn targets(line: &str) -> Vec<String> {
    let mut raw = Vec::new();
    for (start, _) in line.match_indices("](") {
        let rest = &line[start + 2..];
        if let Some(end) = rest.find(')') {
            raw.push(&rest[..end]);
        }
    }
    if let Some((label, rest)) = line.split_once("]: ")
        && label.trim_start().starts_with('[')
        && !label.contains("](")
    {
        raw.push(rest);
    }
    raw.into_iter()
        .filter_map(|target| target.split_whitespace().next())
        .map(|target| target.trim_matches(['<', '>']))
        .filter(|target| !target.contains("://") && !target.starts_with("mailto:"))
        .filter_map(|target| target.split('#').next())
        .filter(|path| !path.is_empty())
        .map(|path| path.replace("%20", " "))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn local_targets_are_found_with_their_line() {
        let text = "See [a](docs/a.md) and ![b](b.png \"t\").\n\n[ref]: ../c.md#part\n[x](#here) [y](https://z/) [m](mailto:a@b)";
        let expected = [(1, "docs/a.md"), (1, "b.png"), (3, "../c.md")];
        let found = local_links(text);
        assert_eq!(found, expected.map(|(line, path)| (line, path.to_owned())));
    }

    #[test]
    fn code_has_no_links() {
        assert!(local_links("```\n[a](b)\n```\n`[c](d)`\n~~~text\n[e](f)\n~~~").is_empty());
    }
}
