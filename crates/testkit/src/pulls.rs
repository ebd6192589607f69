//! Who may pull by policy documents: the evaluator of the pull check, asked about whole pulls.
//!
//! For tests of what writes policies: they say whom they let in, and this says whom the documents let in.

use layer0_domain::plan::grants::PULL_ACTIONS;
use layer0_domain::plan::policy::{Answer, Context, Document, Request, Requester, evaluate};

/// Who asks: a role of an account, which is somewhere in an organization.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Asker {
    /// The 12 digits of the account.
    pub account: &'static str,
    /// `o-…`
    pub organization: &'static str,
    /// `o-…/r-…/ou-…/`, down to the unit that the account is in.
    pub path: &'static str,
}

/// What is no part of a pull; some of what a policy could let slip.
const MORE: [&str; 4] =
    ["ecr:SetRepositoryPolicy", "ecr:BatchDeleteImage", "ecr:InitiateLayerUpload", "ecr:ListImages"];

/// Whether these documents together (a repository's policy, the registry's) let somebody pull from a repository, named by its
/// ARN.
///
/// # Panics
/// When a document is none, when it allows one action of a pull and not the others or anything beside a pull, and when it
/// hangs on what is not known.
#[must_use]
pub fn may_pull(documents: &[Option<&str>], repository_arn: &str, asker: Asker) -> bool {
    let documents: Vec<Document> = documents
        .iter()
        .flatten()
        .map(|text| Document::parse("a policy", text).unwrap_or_else(|why| panic!("{why}: {text}")))
        .collect();
    let arn = format!("arn:aws:iam::{}:role/execution", asker.account);
    let context = Context::new()
        .with("aws:PrincipalAccount", asker.account)
        .with("aws:PrincipalArn", &arn)
        .with("aws:PrincipalOrgID", asker.organization)
        .with_all("aws:PrincipalOrgPaths", [asker.path.to_owned()]);
    let requester = Requester::Iam { account: asker.account.to_owned(), arn: Some(arn) };
    let may = |action: &str| {
        let request = Request { requester: &requester, action, resource: repository_arn, context: &context };
        match evaluate(&request, &documents) {
            Answer::Allowed { .. } => true,
            Answer::Denied { .. } | Answer::NotAllowed => false,
            Answer::Unknown { why } => panic!("all of it is known: {why}"),
        }
    };
    let allowed = PULL_ACTIONS.map(may);
    assert!(allowed.iter().all(|one| *one == allowed[0]), "a pull needs all three: {allowed:?}");
    for action in MORE {
        assert!(!may(action), "{action} is no part of a pull");
    }
    allowed[0]
}
