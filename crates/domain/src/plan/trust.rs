//! Which trust lets somebody in who has shown who he is.

use std::fmt;

use crate::model::name::Name;
use crate::model::owner::OwnerName;
use crate::model::trust::{Audience, AwsCaller, Claims, Evidence, Trust};

/// Somebody from elsewhere whose evidence was checked: the signature of a token is its issuer's, the caller is whom AWS named.
#[derive(Debug, Clone, PartialEq)]
pub enum Identity {
    /// Whom an issuer gave a token.
    Oidc(Claims),
    /// Who signed a request to AWS.
    Aws {
        /// Whom AWS named.
        caller: AwsCaller,
        /// For whom it was signed.
        audience: Audience,
    },
}

/// The longest name that is shown.
const SHOWN_MAX: usize = 300;

/// Who that is, for people and the audit log: the caller's own words, bounded and without what disturbs a terminal.
impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = match self {
            Identity::Oidc(claims) => {
                let (issuer, subject) = (claims.issuer().unwrap_or_default(), claims.text("sub").unwrap_or_default());
                format!("{subject} of {issuer}")
            }
            Identity::Aws { caller, .. } => caller.to_string(),
        };
        f.write_str(&shown(&text))
    }
}

/// Text of somebody unknown, fit to be shown.
#[must_use]
pub fn shown(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '?' } else { c }).take(SHOWN_MAX).collect()
}

/// Why nobody is let in.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoTrust {
    /// There is none that fits. What it would take is not said: whoever has a token of a public issuer may ask.
    #[error("no trust lets {who} in")]
    None {
        /// Who asked.
        who: String,
    },
    /// The evidence was made for somebody else.
    #[error("what {who} shows was made for {made_for}, and not for this server")]
    Audience {
        /// Who asked.
        who: String,
        /// For whom.
        made_for: String,
    },
    /// Several fit, and which one is meant decides about rights.
    #[error("several trusts let {who} in: {}; say which one", .fitting.join(", "))]
    Several {
        /// Who asked.
        who: String,
        /// `owner/name` of each.
        fitting: Vec<String>,
    },
}

/// The trust that somebody is let in by: the one that is named, or else the only one that fits.
///
/// # Errors
/// [`NoTrust`].
pub fn choose<'a>(
    trusts: &'a [Trust],
    identity: &Identity,
    named: Option<(&OwnerName, &Name)>,
) -> Result<&'a Trust, NoTrust> {
    let meant = |it: &&Trust| named.is_none_or(|(owner, name)| it.owner == *owner && it.name == *name);
    let fitting: Vec<&Trust> = trusts.iter().filter(meant).filter(|it| fits(&it.evidence, identity)).collect();
    let who = || identity.to_string();
    let ours: Vec<&Trust> = fitting.iter().copied().filter(|it| is_for(identity, &it.audience)).collect();
    match ours[..] {
        [one] => Ok(one),
        [] if fitting.is_empty() => Err(NoTrust::None { who: who() }),
        [] => Err(NoTrust::Audience { who: who(), made_for: made_for(identity) }),
        _ => Err(NoTrust::Several { who: who(), fitting: ours.iter().map(ToString::to_string).collect() }),
    }
}

fn fits(evidence: &Evidence, identity: &Identity) -> bool {
    match (evidence, identity) {
        (Evidence::Oidc { issuer, claims: wanted }, Identity::Oidc(claims)) => {
            claims.issuer() == Some(issuer.as_str()) && !wanted.is_empty() && wanted.iter().all(|it| it.fits(claims))
        }
        (Evidence::Aws { principal }, Identity::Aws { caller, .. }) => principal.fits(caller),
        (Evidence::Oidc { .. }, Identity::Aws { .. }) | (Evidence::Aws { .. }, Identity::Oidc(_)) => false,
    }
}

fn is_for(identity: &Identity, audience: &Audience) -> bool {
    match identity {
        Identity::Oidc(claims) => claims.is_for(audience),
        Identity::Aws { audience: signed_for, .. } => signed_for == audience,
    }
}

fn made_for(identity: &Identity) -> String {
    match identity {
        Identity::Oidc(claims) => shown(&claims.audiences()),
        Identity::Aws { audience, .. } => audience.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;
    use crate::model::id::TrustId;
    use crate::model::time::Timestamp;
    use crate::model::trust::{AwsPrincipal, ClaimPattern, Issuer};

    const US: &str = "https://l0.example.com";
    const ISSUER: &str = "https://ci.example.com";

    fn audience(text: &str) -> Audience {
        Audience::parse(text).expect("an audience")
    }

    fn trust(owner: &str, name: &str, evidence: Evidence) -> Trust {
        Trust {
            id: TrustId::parse(&format!("{owner}-{name}")).expect("an id"),
            owner: OwnerName::parse(owner).expect("a name"),
            name: Name::parse(name).expect("a name"),
            evidence,
            audience: audience(US),
            scopes: vec![],
            minutes: 60,
            created: Timestamp(0),
            by: "admin".to_owned(),
        }
    }

    fn oidc(owner: &str, name: &str, claims: &[&str]) -> Trust {
        let claims = claims.iter().map(|text| ClaimPattern::parse(text).expect("a condition")).collect();
        trust(owner, name, Evidence::Oidc { issuer: Issuer::parse(ISSUER).expect("an issuer"), claims })
    }

    fn token(changed: &Value) -> Identity {
        let mut claims =
            json!({"iss": ISSUER, "aud": US, "sub": "repo:octo/app:ref:refs/heads/main", "repository": "octo/app"});
        for (name, value) in changed.as_object().expect("an object") {
            claims[name] = value.clone();
        }
        Identity::Oidc(Claims::parse(claims.to_string().as_bytes()).expect("claims"))
    }

    fn aws(arn: &str, signed_for: &str) -> Identity {
        Identity::Aws { caller: AwsCaller::parse(arn).expect("a caller"), audience: audience(signed_for) }
    }

    fn chosen(trusts: &[Trust], identity: &Identity) -> Result<String, NoTrust> {
        choose(trusts, identity, None).map(ToString::to_string)
    }

    #[test]
    fn all_conditions_must_fit() {
        let all = [oidc("team", "ci", &["repository=octo/app", "sub=*:ref:refs/heads/main"])];
        assert_eq!(chosen(&all, &token(&json!({}))).as_deref(), Ok("team/ci"));
        for other in [
            json!({"repository": "octo/other"}),
            json!({"sub": "repo:octo/app:pull_request"}),
            json!({"iss": "https://ci.example.com/"}),
            json!({"iss": "https://ci.example.com.evil.com"}),
            json!({"iss": null}),
            json!({"repository": ["octo/app"]}),
        ] {
            assert!(matches!(chosen(&all, &token(&other)), Err(NoTrust::None { .. })), "{other}");
        }
        assert!(matches!(chosen(&[oidc("team", "open", &[])], &token(&json!({}))), Err(NoTrust::None { .. })));
    }

    #[test]
    fn what_was_made_for_another_opens_nothing_and_says_so() {
        let all = [oidc("team", "ci", &["repository=octo/app"])];
        let refused = chosen(&all, &token(&json!({"aud": "https://other.example.com"}))).expect_err("not for us");
        assert_eq!(
            refused.to_string(),
            "what repo:octo/app:ref:refs/heads/main of https://ci.example.com shows was made for https://other.example.com, \
             and not for this server"
        );
        let role = Evidence::Aws { principal: AwsPrincipal::parse("111122223333").expect("an account") };
        let all = [trust("team", "aws", role)];
        let session = "arn:aws:sts::111122223333:assumed-role/ci/run-1";
        assert_eq!(chosen(&all, &aws(session, US)).as_deref(), Ok("team/aws"));
        assert!(matches!(chosen(&all, &aws(session, "https://other.example.com")), Err(NoTrust::Audience { .. })));
        let other = "arn:aws:sts::111122223334:assumed-role/ci/run-1";
        assert!(matches!(chosen(&all, &aws(other, US)), Err(NoTrust::None { .. })));
    }

    #[test]
    fn of_several_one_must_be_named() {
        let all = [oidc("other", "ci", &["repository=octo/*"]), oidc("team", "ci", &["repository=octo/app"])];
        let refused = chosen(&all, &token(&json!({}))).expect_err("two fit");
        assert!(refused.to_string().ends_with("other/ci, team/ci; say which one"), "{refused}");
        let (team, ci) = (OwnerName::parse("team").expect("a name"), Name::parse("ci").expect("a name"));
        let named = choose(&all, &token(&json!({})), Some((&team, &ci))).expect("it fits");
        assert_eq!(named.to_string(), "team/ci");
        // Naming one is no evidence.
        let other = token(&json!({"repository": "octo/other"}));
        assert!(matches!(choose(&all, &other, Some((&team, &ci))), Err(NoTrust::None { .. })));
    }

    #[test]
    fn evidence_of_one_kind_is_none_of_the_other() {
        let all = [oidc("team", "ci", &["sub=arn:aws:*"])];
        let session = aws("arn:aws:sts::111122223333:assumed-role/ci/run-1", US);
        assert!(matches!(chosen(&all, &session), Err(NoTrust::None { .. })));
    }

    #[test]
    fn who_it_was_is_said_in_one_line() {
        let identity = token(&json!({"sub": format!("a\n\u{1b}[31m{}", "x".repeat(500))}));
        let said = identity.to_string();
        assert!(said.starts_with("a??[31mx") && said.chars().count() == SHOWN_MAX, "{said}");
    }

    proptest! {
        /// Whoever is let in fits the conditions of the trust that lets him in, whatever else there is.
        #[test]
        fn nobody_is_let_in_by_what_does_not_fit(repository in "[ab]/[ab]{1,2}", globs in prop::collection::vec("[ab/*]{1,5}", 1..5)) {
            let all: Vec<Trust> = globs.iter().enumerate()
                .map(|(at, glob)| oidc("team", &format!("t{at}"), &[&format!("repository={glob}")])).collect();
            let identity = token(&json!({"repository": repository}));
            if let Ok(trust) = choose(&all, &identity, None) {
                let fits = all.iter().filter(|it| fits(&it.evidence, &identity)).count();
                prop_assert_eq!(fits, 1);
                prop_assert_eq!(choose(std::slice::from_ref(trust), &identity, None), Ok(trust));
            }
        }
    }
}
