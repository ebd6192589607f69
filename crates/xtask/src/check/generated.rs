//! Generated files are what their source makes of them today.

use anyhow::Result;

use super::Findings;
use crate::generate::{self, Examples};
use crate::project::Project;

/// Compares each generated file with what the code makes of it now.
pub(crate) fn check(project: &Project) -> Result<Findings> {
    let mut findings = Findings::default();
    let examples = Examples::build(project)?;
    for generated in generate::ALL {
        let there = project.root.join(generated.file).is_file();
        let kept = if there { project.text(generated.file)? } else { None };
        let fresh = examples.print(project, generated)?;
        if let Some(difference) = first_difference(&kept.unwrap_or_default(), &fresh) {
            findings.broken(format!("{}: {difference}; `cargo xtask generate` writes it anew", generated.file));
        }
    }
    Ok(findings)
}

/// Where two texts part, in words; `None` when they do not.
fn first_difference(kept: &str, fresh: &str) -> Option<String> {
    if kept == fresh {
        return None;
    }
    let (mut old, mut new) = (kept.lines(), fresh.lines());
    let mut number = 0;
    loop {
        number += 1;
        match (old.next(), new.next()) {
            (None, None) => return Some("differs in its line ends".to_owned()),
            (a, b) if a == b => {}
            (a, b) => {
                return Some(format!(
                    "line {number} is `{}`, and would be `{}`",
                    a.map_or("(the end)", str::trim),
                    b.map_or("(the end)", str::trim)
                ));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_difference_is_named() {
        assert_eq!(first_difference("a\nb\n", "a\nb\n"), None);
        assert_eq!(first_difference("a\nb\n", "a\nc\n").as_deref(), Some("line 2 is `b`, and would be `c`"));
        assert_eq!(first_difference("a\n", "a\nb\n").as_deref(), Some("line 2 is `(the end)`, and would be `b`"));
        assert_eq!(first_difference("a\r\n", "a\n").as_deref(), Some("differs in its line ends"));
    }
}
