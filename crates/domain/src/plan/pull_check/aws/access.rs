//! Check 3: whether the registry lets the tasks' account in.

use super::request::{account, context, requester, resource_policies};
use super::rights::{LAYER_RIGHT, PULL_ACTIONS, layer_right_lacks};
use crate::model::failure::FailureClass;
use crate::model::image_map::partition_of;
use crate::model::registry::Visibility;
use crate::plan::policy::{Answer, Document, Request, Sides, authorise, evaluate};
use crate::plan::pull_check::Outcome;
use crate::port::image_source::{SourceAnswer, SourceImage};
use crate::port::pull::aws::{AwsEvidence, EcrEvidence};
use crate::port::pull::{Fact, PullEvidence, PullQuestion, RemoteImage};

/// The requester's own side, taken as given here: it is the next check's business.
const OWN_SIDE: &str = r#"{"Statement": {"Effect": "Allow", "Action": "*", "Resource": "*"}}"#;

pub(super) fn check(
    question: &PullQuestion,
    source: &SourceAnswer,
    evidence: &PullEvidence,
    aws: &AwsEvidence,
) -> Outcome {
    match (&aws.ecr, source) {
        (Some(ecr), _) => ecr_check(question, aws, ecr),
        // What lies in ECR has a repository there, by whatever address ECR is reached.
        (None, SourceAnswer::Found(found))
            if question.repository.is_none() && question.uses.repository_credentials.is_none() =>
        {
            ours(question, found)
        }
        (None, _) => elsewhere(question, evidence),
    }
}

/// An image that lies with this server itself.
fn ours(question: &PullQuestion, found: &SourceImage) -> Outcome {
    let host = question.image.canonical_host();
    let name = host.split(':').next().unwrap_or_default();
    let is_here = name == "localhost" || name.parse::<std::net::Ipv4Addr>().is_ok_and(|it| it.is_loopback());
    if found.visibility == Visibility::Public && !is_here {
        return Outcome::unknown(format!("{host} was not asked"));
    }
    let why = if is_here {
        format!("{host} is this server's own machine, where nothing that runs on AWS gets to")
    } else {
        format!("what runs on AWS has no credential for {host}, this instance's own registry")
    };
    Outcome::failed(
        FailureClass::PullDenied,
        why,
        "keep images in ECR, where the same names lead then: `l0 server --registry-backing ecr`; what is pushed already moves there by `l0 repository migrate`",
    )
}

fn elsewhere(question: &PullQuestion, evidence: &PullEvidence) -> Outcome {
    if let Some(secret) = &question.uses.repository_credentials {
        return Outcome::unknown(format!("it is pulled with the credential in {secret}, which is not read here"));
    }
    let host = question.image.canonical_host();
    match &evidence.remote {
        Some(RemoteImage::Found { .. }) => Outcome::passed(format!("{host} lets everybody in")),
        Some(RemoteImage::Denied) => Outcome::failed(
            FailureClass::PullDenied,
            format!("{host} lets nobody in without a credential, and the task has none for it"),
            "push the image to ECR and map its name (`l0 map add 'PREFIX|ECR'`), or name a secret in the definition's `repositoryCredentials`",
        ),
        Some(RemoteImage::NotFound | RemoteImage::Unreachable { .. }) | None => {
            Outcome::unknown(format!("{host} was not asked"))
        }
    }
}

fn ecr_check(question: &PullQuestion, aws: &AwsEvidence, ecr: &EcrEvidence) -> Outcome {
    let path = question.image.path();
    let (theirs, ours) = (ecr.host.partition(), partition_of(&aws.puller.region));
    if theirs != ours {
        return Outcome::failed(
            FailureClass::PullDenied,
            format!(
                "`{}` is in {} (partition {theirs}), the tasks run in {} (partition {ours}): no role is good in both",
                question.image, ecr.host.region, aws.puller.region
            ),
            format!(
                "copy it to a repository in partition {ours} and map its name there: `docker buildx imagetools create -t NEW {}`, `l0 map add 'PREFIX|NEW'`",
                question.image
            ),
        );
    }
    let (Some(requester), Some(account)) = (requester(aws), account(aws)) else {
        let why = aws.puller.account.get().err().unwrap_or_default();
        return Outcome::unknown(format!("whose tasks they are is not known: {why}"));
    };
    let policies = match resource_policies(ecr, path) {
        Ok(policies) => policies,
        Err(why) => return Outcome::unknown(why.to_string()),
    };
    let is_own = account == ecr.host.account;
    let own = [Document::parse("the role's own policies", OWN_SIDE).expect("a policy that tests read")];
    let context = context(aws);
    let resource = ecr.host.repository_arn(path);
    let sides =
        Sides { identity: &own, boundary: None, resource: &policies.documents, resource_account: &ecr.host.account };
    let mut answers: Vec<(&str, Answer)> = PULL_ACTIONS
        .iter()
        .map(|action| {
            let request = Request { requester: &requester, action, resource: &resource, context: &context };
            // Between accounts the repository's side must allow it by itself.
            let answer = if is_own { authorise(&request, &sides) } else { evaluate(&request, &policies.documents) };
            (*action, answer)
        })
        .collect();
    let lacks = |answer: &Answer| matches!(answer, Answer::NotAllowed | Answer::Denied { .. });
    if answers.iter().all(|(action, answer)| lacks(answer) == (*action == LAYER_RIGHT)) {
        answers.retain(|(action, _)| *action != LAYER_RIGHT);
    }
    if let Some((action, Answer::Denied { statement })) =
        answers.iter().find(|(_, answer)| matches!(answer, Answer::Denied { .. }))
    {
        return Outcome::failed(
            FailureClass::PullDenied,
            format!("{statement} denies {action} to account {account}"),
            format!("change {statement}, so that it does not speak of account {account}"),
        );
    }
    // A look by the tasks' own account that went through shows that nothing unread keeps that account out.
    let looked = matches!(ecr.image, Fact::Known(_));
    let closed: Vec<&str> =
        answers.iter().filter(|(_, answer)| *answer == Answer::NotAllowed).map(|(action, _)| *action).collect();
    if !closed.is_empty() {
        return match &policies.unread[..] {
            [] => not_let_in(question, ecr, account, &closed),
            unread if is_own => Outcome::unknown(unread.join("; ")),
            // Who looked is this server, by a role of its own.
            unread if looked => Outcome::unknown(format!(
                "account {account}'s own look at the image went through; that its roles are let in too only policies could say that can't be read: {}",
                unread.join("; ")
            )),
            // Nobody may read another account's registry policy, and few its repositories': that is how it looks when no grant is
            // there, too.
            unread => Outcome::unknown(format!("{}; {}", unread.join("; "), if_not_granted(question, account, ecr))),
        };
    }
    if let Some(why) = answers.iter().find_map(|(_, answer)| match answer {
        Answer::Unknown { why } => Some(why),
        Answer::Allowed { .. } | Answer::Denied { .. } | Answer::NotAllowed => None,
    }) {
        return Outcome::unknown(why.clone());
    }
    let evidence = match (&answers[0].1, is_own) {
        (Answer::Allowed { statement }, false) => format!("{statement} lets account {account} in"),
        _ => format!("the repository is of the tasks' own account {account}, and no policy denies it"),
    };
    let whole = answers.len() == PULL_ACTIONS.len();
    match &policies.unread[..] {
        [] if !whole => Outcome::unknown(layer_right_lacks(&evidence)),
        [] => Outcome::passed(evidence),
        _ if looked && !is_own && whole => {
            Outcome::passed(format!("{evidence}, and this account's look at the image went through"))
        }
        unread => Outcome::unknown(format!("{evidence}, as far as was seen; {}", unread.join("; "))),
    }
}

/// What to do if nothing lets the account in.
fn if_not_granted(question: &PullQuestion, account: &str, ecr: &EcrEvidence) -> String {
    let command = match &question.repository {
        Some(repository) => format!("`l0 account grant {account} --repository {repository}`"),
        None => format!("`l0 account grant {account}` where Layer0 keeps the registry of account {}", ecr.host.account),
    };
    format!("if the account is not let in there, {command} does it")
}

/// The statement names the account alone: that is what works for every role of it, and what no deleted role can break.
fn not_let_in(question: &PullQuestion, ecr: &EcrEvidence, account: &str, closed: &[&str]) -> Outcome {
    let (path, owner) = (question.image.path(), &ecr.host.account);
    let why = format!(
        "repository `{path}` of account {owner} does not let account {account} in: nothing allows {}",
        closed.join(", ")
    );
    // Its policies are ours: what is written there by hand would not stay.
    if let Some(repository) = &question.repository {
        let remedy = format!("let the account in: `l0 account grant {account} --repository {repository}`");
        return Outcome::failed(FailureClass::PullDenied, why, remedy);
    }
    let statement = serde_json::json!({
        "Sid": format!("pull{account}"),
        "Effect": "Allow",
        "Principal": { "AWS": format!("arn:{}:iam::{account}:root", ecr.host.partition()) },
        "Action": PULL_ACTIONS,
    });
    Outcome::failed(
        FailureClass::PullDenied,
        why,
        format!(
            "have account {owner} add this statement to the repository's policy (`aws ecr set-repository-policy --repository-name {path} --region {}`): {statement}; where Layer0 keeps that registry, `l0 account grant {account}` does it",
            ecr.host.region
        ),
    )
}
