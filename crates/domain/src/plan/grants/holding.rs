//! Whether one grant is true in a document that may not say all that it should.

use super::document::Present;
use super::{Sheet, Signature, statements};
use crate::model::grant::{Grant, GrantScope, Grantee};

/// Whether our part of a document lets in whom a grant names, wherever the grant does. What others say in the document counts
/// for nothing here: it is not ours to promise.
///
/// `present` is the document that is there. One that can't be read lets nobody in.
#[must_use]
pub fn holds(signature: &Signature, sheet: Sheet<'_>, grant: &Grant, present: Option<&str>) -> bool {
    let Some(Ok(present)) = present.map(|text| Present::parse(text.trim(), &signature.prefix)) else {
        return false;
    };
    // Whom a wider scope lets in is not named again.
    let mut scopes = vec![grant.scope.clone(), GrantScope::Instance];
    scopes.extend(grant.scope.owner().map(GrantScope::Owner));
    scopes.into_iter().any(|scope| {
        let grant = Grant { grantee: grant.grantee.clone(), scope };
        statements(signature, &[&grant], sheet).iter().all(|wanted| present.contains(wanted))
    })
}

/// Whether our part of a document mentions whom a grant is for, whatever else it says: then they may be let in still. `None` for one that
/// can't be read, which says nothing.
#[must_use]
pub fn mentions(signature: &Signature, grant: &Grant, present: Option<&str>) -> Option<bool> {
    let Some(text) = present else { return Some(false) };
    let present = Present::parse(text.trim(), &signature.prefix).ok()?;
    Some(present.ours_hold_text(match &grant.grantee {
        Grantee::Account(id) => id.as_str(),
        Grantee::Organization(organization) => organization,
        Grantee::Unit { unit, .. } => unit,
    }))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::model::grant::{GrantScope, Grantee};
    use crate::model::image::RepositoryName;
    use crate::plan::grants::{Change, repository_policy};

    fn grant(who: &str, scope: GrantScope) -> Grant {
        Grant { grantee: Grantee::parse(who).expect(who), scope }
    }

    /// Somebody may have made our part say less than it should: those whom it names are let in all the same.
    #[test]
    fn whom_our_part_names_may_be_let_in() {
        let signature = Signature::new("prod", "us-east-1");
        let (one, other) = (grant("123456789012", GrantScope::Instance), grant("210987654321", GrantScope::Instance));
        let app = RepositoryName::parse("team/app").expect("a repository");
        let Ok(Change::Write(text)) = repository_policy(&signature, &app, &BTreeSet::from([one.clone()]), None) else {
            panic!("there is something to write")
        };
        let narrowed = text.replacen("ecr:BatchCheckLayerAvailability", "ecr:DescribeImages", 1);
        assert_ne!(narrowed, text);
        assert!(!holds(&signature, Sheet::Repository(&app), &one, Some(&narrowed)));
        assert_eq!(mentions(&signature, &one, Some(&narrowed)), Some(true));
        assert_eq!(mentions(&signature, &other, Some(&narrowed)), Some(false));
        assert_eq!(mentions(&signature, &one, None), Some(false));
        assert_eq!(mentions(&signature, &one, Some("{")), None);
    }

    #[test]
    fn a_grant_is_true_where_our_part_names_it() {
        let signature = Signature::new("prod", "us-east-1");
        let app = RepositoryName::parse("team/app").expect("a repository");
        let on_app = || GrantScope::Repository(app.clone());
        let all = [
            grant("123456789012", GrantScope::Instance),
            grant("210987654321", GrantScope::Instance),
            grant("210987654321", on_app()),
            grant("org:o-a1b2c3d4e5", on_app()),
            grant("org:o-e1b2c3d4e5", on_app()),
            grant("ou:o-a1b2c3d4e5/ou-ab12-11111111", on_app()),
        ];
        let text = |grants: &[Grant]| {
            let grants: BTreeSet<Grant> = grants.iter().cloned().collect();
            match repository_policy(&signature, &app, &grants, None) {
                Ok(Change::Write(text)) => text,
                other => panic!("{other:?}"),
            }
        };
        let whole = text(&all);
        for one in &all {
            assert!(holds(&signature, Sheet::Repository(&app), one, Some(&whole)), "{one}");
            assert!(!holds(&signature, Sheet::Repository(&app), one, None));
            assert!(!holds(&signature, Sheet::Repository(&app), one, Some("no document")));
            assert!(
                !holds(&Signature::new("other", "us-east-1"), Sheet::Repository(&app), one, Some(&whole)),
                "it is another's"
            );
        }
        // A wider scope that names the same account says as much.
        let without = text(&all[2..]);
        assert!(!holds(&signature, Sheet::Repository(&app), &all[0], Some(&without)));
        assert!(holds(&signature, Sheet::Repository(&app), &all[1], Some(&without)));
        let denied = whole.replace("\"Allow\"", "\"Deny\"");
        assert!(all.iter().all(|one| !holds(&signature, Sheet::Repository(&app), one, Some(&denied))));
    }
}
