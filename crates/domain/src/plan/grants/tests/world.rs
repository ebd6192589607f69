//! A registry with its documents, who asks it, and what the evaluator of policies says.

use std::collections::BTreeMap;

pub(super) use layer0_testkit::pulls::Asker;

use super::*;

const fn asker(account: &'static str, organization: &'static str, path: &'static str) -> Asker {
    Asker { account, organization, path }
}

/// One for each that grants name, and some whom none does.
pub(super) const ASKERS: [Asker; 8] = [
    asker("111122223333", "o-nobodys0000", "o-nobodys0000/r-0000/"),
    asker("222233334444", "o-a1b2c3d4e5", "o-a1b2c3d4e5/r-ab12/ou-ab12-22222222/"),
    asker("333344445555", "o-zzzzzzzzzz", "o-zzzzzzzzzz/r-zz99/"),
    asker("777788889999", "o-a1b2c3d4e5", "o-a1b2c3d4e5/r-ab12/"),
    asker("888899990000", "o-zzzzzzzzzz", "o-zzzzzzzzzz/r-zz99/ou-zz99-11111111/"),
    asker("999900001111", "o-a1b2c3d4e5", "o-a1b2c3d4e5/r-ab12/ou-ab12-33333333/ou-ab12-11111111/ou-ab12-44444444/"),
    asker("666677778888", "o-nobodys0000", "o-nobodys0000/r-0000/ou-0000-11111111/"),
    asker("555566667777", "o-a1b2c3d4e5x", "o-a1b2c3d4e5x/r-ab12/ou-ab12-11111111/"),
];

/// Whom grants are for.
pub(super) const WHO: [&str; 6] = [
    "111122223333",
    "222233334444",
    "333344445555",
    "org:o-a1b2c3d4e5",
    "org:o-zzzzzzzzzz",
    "ou:o-a1b2c3d4e5/ou-ab12-11111111",
];

/// What grants are about.
pub(super) const WHAT: [&str; 5] = ["everything", "team/*", "team/app", "other/*", "other/app"];

/// Repositories of the instance.
pub(super) const REPOSITORIES: [&str; 4] = ["team/app", "team/app/sub", "other/app", "third/app"];

/// What else ECR has, which no grant is about.
pub(super) const NONE_OF_OURS: [&str; 2] = ["app", "elsewhere"];

/// Whether a grant lets somebody in, wherever it does: from whose account and where in an organization they are.
fn lets_in(grantee: &Grantee, asker: Asker) -> bool {
    match grantee {
        Grantee::Account(id) => id.as_str() == asker.account,
        Grantee::Organization(id) => id == asker.organization,
        Grantee::Unit { organization, unit } => {
            organization == asker.organization && asker.path.split('/').any(|part| part == unit)
        }
    }
}

/// Whether grants let somebody pull from a repository.
pub(super) fn is_granted(grants: &Grants, name: &str, asker: Asker) -> bool {
    let name = repository(name);
    grants.iter().any(|grant| grant.scope.covers(&name) && lets_in(&grant.grantee, asker))
}

/// Whether these documents together let somebody pull from a repository, by whatever name ECR has for it.
pub(super) fn may_pull(texts: &[Option<&str>], path: &str, asker: Asker) -> bool {
    let arn = format!("arn:aws:ecr:eu-west-1:444455556666:repository/{path}");
    layer0_testkit::pulls::may_pull(texts, &arn, asker)
}

/// The documents of a registry.
#[derive(Debug, Clone, Default)]
pub(super) struct Documents {
    pub(super) registry: Option<String>,
    pub(super) repositories: BTreeMap<&'static str, Option<String>>,
}

impl Documents {
    /// Whether somebody may pull from a repository.
    pub(super) fn let_in(&self, name: &str, asker: Asker) -> bool {
        let repositorys = self.repositories.get(name).and_then(Option::as_deref);
        may_pull(&[repositorys, self.registry.as_deref()], name, asker)
    }

    /// The text of a document.
    pub(super) fn text_mut(&mut self, name: Option<&'static str>) -> &mut Option<String> {
        match name {
            Some(name) => self.repositories.entry(name).or_default(),
            None => &mut self.registry,
        }
    }
}

/// The document after a change.
pub(super) fn after(change: Change, before: Option<&str>) -> Option<String> {
    match change {
        Change::Keep => before.map(str::to_owned),
        Change::Write(text) => Some(text),
        Change::Delete => None,
    }
}
