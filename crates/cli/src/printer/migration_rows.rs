//! The table of moves.

use layer0_api::types::Migration;

use super::rows::moment;
use super::table::Table;

/// Moves, and below them the images that can't be moved.
pub(crate) fn migration_table(items: &[Migration]) -> String {
    let mut table = Table::new(&["REPOSITORY", "FROM", "TO", "STATE", "ASKED", "PROGRESS"]);
    for item in items {
        table.row([&item.repository, &item.from, &item.to, &item.state, &moment(&item.asked), &item.progress]);
    }
    let mut out = table.text();
    for item in items.iter().filter(|item| !item.problems.is_empty()) {
        out.push_str(&format!("\nof {} can't be moved:\n", item.repository));
        for problem in &item.problems {
            let tags = if problem.tags.is_empty() { String::new() } else { format!(" ({})", problem.tags.join(", ")) };
            out.push_str(&format!("  {}{tags}: {}\n", problem.digest, problem.why));
        }
        if item.problems_more > 0 {
            out.push_str(&format!("  and {} more\n", item.problems_more));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use layer0_api::types::MigrationProblem;

    use super::*;

    #[test]
    fn what_cant_be_moved_stands_below() {
        let problem = MigrationProblem {
            digest: "sha512:abc".to_owned(),
            tags: vec!["v1".to_owned(), "latest".to_owned()],
            why: "it is named by sha512, which is not known there".to_owned(),
        };
        let item = Migration {
            repository: "team/app".to_owned(),
            backing: "local".to_owned(),
            from: "local".to_owned(),
            to: "ecr".to_owned(),
            state: "refused".to_owned(),
            ended: true,
            progress: "21 images can't lie in ecr; nothing was copied".to_owned(),
            asked: "2026-01-02T03:04:05Z".to_owned(),
            manifests: 40,
            verified: 0,
            manifests_copied: 0,
            blobs_copied: 0,
            bytes_copied: 0,
            problems: vec![problem],
            problems_more: 20,
        };
        let text = migration_table(&[item]);
        let (_, below) = text.split_once("\n\n").expect("a table, and what is below it");
        let line = "  sha512:abc (v1, latest): it is named by sha512, which is not known there";
        assert_eq!(below, format!("of team/app can't be moved:\n{line}\n  and 20 more\n"));
    }
}
