//! How the policies of a principal, of a resource and of a boundary work together (IAM user guide, "Policy evaluation for
//! requests within a single account", "Cross-account policy evaluation logic").

use super::{Answer, Document, Reach, Request, Requester, Tally};

/// The policies that decide on a request.
#[derive(Debug, Clone, Copy)]
pub struct Sides<'a> {
    /// The requester's own, attached and inline.
    pub identity: &'a [Document],
    /// The most that the requester may be allowed; `None` when nothing bounds it.
    pub boundary: Option<&'a Document>,
    /// Those that stand on the resource.
    pub resource: &'a [Document],
    /// Whose the resource is.
    pub resource_account: &'a str,
}

/// Judges a request by all that has a say.
///
/// In one account it takes the requester's policies or the resource's, where a resource's policy that names only the
/// account gives nothing by itself; between accounts it takes both. A boundary must allow what the requester's policies
/// allow, and also what a resource's policy allows to its role by name (a grant to one session of a role would go past it;
/// whether that is the one that asks is never known here).
#[must_use]
pub fn authorise(request: &Request<'_>, sides: &Sides<'_>) -> Answer {
    let identity = Tally::of(request, sides.identity);
    let resource = Tally::of(request, sides.resource);
    let boundary = sides.boundary.map(|one| Tally::of(request, std::slice::from_ref(one)));
    let all = || [Some(&identity), Some(&resource), boundary.as_ref()].into_iter().flatten();
    if let Some(statement) = all().find_map(|tally| tally.denied.clone()) {
        return Answer::Denied { statement };
    }
    let same_account = match request.requester {
        Requester::Iam { account, .. } => account == sides.resource_account,
        Requester::Service(_) => false,
    };
    let own = identity.grant(|_| true);
    let granted = if same_account {
        either(own, resource.grant(|reach| reach != Reach::Account))
    } else {
        both(own, resource.grant(|_| true))
    };
    let granted = match &boundary {
        Some(boundary) => both(granted, boundary.grant(|_| true)),
        None => granted,
    };
    match (granted, all().find_map(|tally| tally.maybe_denied.clone())) {
        (Answer::Allowed { .. }, Some(why)) => Answer::Unknown { why },
        (answer, _) => answer,
    }
}

fn either(one: Answer, other: Answer) -> Answer {
    match (one, other) {
        (allowed @ Answer::Allowed { .. }, _) | (_, allowed @ Answer::Allowed { .. }) => allowed,
        (unknown @ Answer::Unknown { .. }, _) | (_, unknown @ Answer::Unknown { .. }) => unknown,
        (one, _) => one,
    }
}

/// What both allow is shown by the statement of the first.
fn both(one: Answer, other: Answer) -> Answer {
    match (one, other) {
        (allowed @ Answer::Allowed { .. }, Answer::Allowed { .. }) => allowed,
        (Answer::NotAllowed | Answer::Denied { .. }, _) | (_, Answer::NotAllowed | Answer::Denied { .. }) => {
            Answer::NotAllowed
        }
        (unknown @ Answer::Unknown { .. }, _) | (_, unknown @ Answer::Unknown { .. }) => unknown,
    }
}
