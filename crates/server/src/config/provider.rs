//! The provider of OpenID Connect at which people sign in.

use std::time::Duration;

use layer0_domain::model::access::Secret;
use layer0_domain::model::person::GroupRule;
use layer0_domain::model::trust::Issuer;
use layer0_domain::ops::person::{DEFAULT_HOURS, HOURS_MAX};

use super::{ConfigError, Given};

/// The variable with the client's secret. No flag, which every process of the machine could read, and no key of the file.
const SECRET: &str = "LAYER0_OIDC_CLIENT_SECRET";

/// What is asked for when nothing is said: who somebody is, and the claims that a name comes from (OpenID Connect Core 1.0,
/// section 5.4). Groups have no scope of their own in the standard.
const SCOPES: &str = "openid profile email";

/// The claim with somebody's groups when nothing is said: what most providers call it.
const GROUPS_CLAIM: &str = "groups";

/// How long the provider may take for one answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// What only means something with a provider: key and variable.
const OF_PROVIDER: [(&str, &str); 7] = [
    ("oidc_client_id", "LAYER0_OIDC_CLIENT_ID"),
    ("oidc_client_secret_file", "LAYER0_OIDC_CLIENT_SECRET_FILE"),
    ("oidc_scopes", "LAYER0_OIDC_SCOPES"),
    ("oidc_groups_claim", "LAYER0_OIDC_GROUPS_CLAIM"),
    ("oidc_name_claim", "LAYER0_OIDC_NAME_CLAIM"),
    ("oidc_groups", "LAYER0_OIDC_GROUPS"),
    ("oidc_hours", "LAYER0_OIDC_HOURS"),
];

/// The provider at which people sign in, and what is made of what it says.
#[derive(Debug, Clone)]
pub(crate) struct ProviderConfig {
    /// Who signs the tokens.
    pub(crate) issuer: Issuer,
    /// As what this server is known there; for whom the tokens must be made.
    pub(crate) client_id: String,
    /// What the server shows there; `None` for a public client.
    pub(crate) secret: Option<Secret>,
    /// What is asked for, separated by spaces.
    pub(crate) scopes: String,
    /// The claim with somebody's groups.
    pub(crate) groups_claim: String,
    /// The claim with somebody's name; `None` for the usual ones.
    pub(crate) name_claim: Option<String>,
    /// What groups give.
    pub(crate) groups: Vec<GroupRule>,
    /// How long a token of a sign-in lives.
    pub(crate) hours: u32,
    /// How long the provider may take for one answer.
    pub(crate) patience: Duration,
}

impl ProviderConfig {
    /// A public client of an issuer, with everything as usual and nothing for any group.
    pub(crate) fn new(issuer: Issuer, client_id: &str) -> Self {
        Self {
            issuer,
            client_id: client_id.to_owned(),
            secret: None,
            scopes: SCOPES.to_owned(),
            groups_claim: GROUPS_CLAIM.to_owned(),
            name_claim: None,
            groups: vec![],
            hours: DEFAULT_HOURS,
            patience: PATIENCE,
        }
    }

    /// The one of the flags; `secret` is what stands in the environment for the client's.
    pub(super) fn load(
        find: &dyn Fn(&str, &[&str]) -> Option<Given>,
        secret: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Option<Self>, ConfigError> {
        let of = |key: &str| {
            let variable = OF_PROVIDER.iter().find(|(known, _)| *known == key).map(|(_, variable)| *variable);
            find(key, variable.as_slice())
        };
        let Some(issuer) = find("oidc_issuer", &["LAYER0_OIDC_ISSUER"]) else {
            return match OF_PROVIDER.iter().find_map(|(key, _)| of(key)) {
                Some(alone) => Err(alone.wrong("means nothing without a provider: say `--oidc-issuer URL` too")),
                None => Ok(None),
            };
        };
        let parsed = Issuer::parse(&issuer.text).map_err(|why| issuer.wrong(format!("is no provider: {why}")))?;
        let client = of("oidc_client_id")
            .ok_or_else(|| issuer.wrong("needs `--oidc-client-id ID`: as what this server is known there"))?;
        if client.text.len() > 200 || !client.text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(client.wrong("is no client's id: 1 to 200 visible ASCII characters"));
        }
        let mut this = Self::new(parsed, &client.text);
        this.secret = match (of("oidc_client_secret_file"), secret(SECRET)) {
            (Some(file), Some(_)) => return Err(file.wrong(format!("is one secret, and {SECRET} another"))),
            (Some(file), None) => Some(of_file(&file)?),
            (None, given) => given.map(Secret::new),
        };
        if let Some(given) = of("oidc_scopes") {
            this.scopes = given.text.split([' ', ',']).filter(|it| !it.is_empty()).collect::<Vec<_>>().join(" ");
            if !this.scopes.split(' ').any(|it| it == "openid") {
                return Err(
                    given.wrong("must have `openid` among them: else there is no token that says who somebody is")
                );
            }
        }
        if let Some(given) = of("oidc_groups_claim") {
            this.groups_claim = given.text;
        }
        this.name_claim = of("oidc_name_claim").map(|given| given.text);
        if let Some(given) = of("oidc_groups") {
            this.groups = rules(&given)?;
        }
        if let Some(given) = of("oidc_hours") {
            this.hours = match given.text.parse() {
                Ok(hours @ 1..=HOURS_MAX) => hours,
                _ => return Err(given.wrong(format!("must be a number of hours from 1 to {HOURS_MAX}"))),
            };
        }
        Ok(Some(this))
    }
}

/// Rules, separated by commas; each in a line where the file has a list, since names of groups may have commas.
fn rules(given: &Given) -> Result<Vec<GroupRule>, ConfigError> {
    let between = if given.text.contains('\n') { '\n' } else { ',' };
    let all = given.text.split(between).map(str::trim).filter(|it| !it.is_empty());
    all.map(|text| GroupRule::parse(text).map_err(|why| given.wrong(format!("has no rules: {why}")))).collect()
}

/// The secret in a file, but for the end of its line.
fn of_file(given: &Given) -> Result<Secret, ConfigError> {
    let text = std::fs::read_to_string(&given.text).map_err(|why| given.wrong(format!("can't be read: {why}")))?;
    match text.trim() {
        "" => Err(given.wrong("is empty")),
        secret => Ok(Secret::new(secret)),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::super::Source;
    use super::*;

    fn load(pairs: &[(&str, &str)], secret: Option<&str>) -> Result<Option<ProviderConfig>, String> {
        let all: BTreeMap<&str, &str> = pairs.iter().copied().collect();
        let find = |key: &str, variables: &[&str]| {
            assert_eq!(variables.len(), 1, "{key} has a variable");
            let (text, origin) = (all.get(key)?.to_string(), format!("--{key}"));
            Some(Given { text, source: Source::Flag, origin })
        };
        ProviderConfig::load(&find, &|_| secret.map(str::to_owned)).map_err(|why| why.to_string())
    }

    const ISSUER: (&str, &str) = ("oidc_issuer", "https://sso.example.com");
    const CLIENT: (&str, &str) = ("oidc_client_id", "layer0");

    #[test]
    fn a_provider_is_an_issuer_and_a_client() {
        assert!(load(&[], None).expect("nothing is wrong").is_none());
        let usual = load(&[ISSUER, CLIENT], Some("hush")).expect("nothing is wrong").expect("a provider");
        assert_eq!((usual.scopes.as_str(), usual.groups_claim.as_str(), usual.hours), (SCOPES, "groups", 12));
        assert!(usual.secret.is_some() && !format!("{usual:?}").contains("hush"));
        let other = [
            ISSUER,
            CLIENT,
            ("oidc_scopes", "openid,groups"),
            ("oidc_groups_claim", "roles"),
            ("oidc_name_claim", "nick"),
            ("oidc_groups", "platform=team:writer, ops=admin"),
            ("oidc_hours", "1"),
        ];
        let other = load(&other, None).expect("nothing is wrong").expect("a provider");
        assert_eq!((other.scopes.as_str(), other.groups.len(), other.hours), ("openid groups", 2, 1));
        assert_eq!((other.groups_claim.as_str(), other.name_claim.as_deref()), ("roles", Some("nick")));
        let named = load(&[ISSUER, CLIENT, ("oidc_groups", "cn=a,ou=b=team:writer\n")], None);
        assert_eq!(named.expect("nothing is wrong").expect("a provider").groups[0].group, "cn=a,ou=b");
    }

    #[test]
    fn what_is_wrong_is_said_with_where_it_stands() {
        for (pairs, says) in [
            (vec![CLIENT], "--oidc_client_id: `layer0` means nothing without a provider"),
            (vec![ISSUER], "needs `--oidc-client-id ID`"),
            (vec![("oidc_issuer", "http://sso.example.com"), CLIENT], "is no provider"),
            (vec![ISSUER, ("oidc_client_id", "a b")], "is no client's id"),
            (vec![ISSUER, CLIENT, ("oidc_scopes", "profile")], "must have `openid`"),
            (vec![ISSUER, CLIENT, ("oidc_groups", "platform=team")], "`platform=team` is no rule for a group"),
            (vec![ISSUER, CLIENT, ("oidc_hours", "0")], "from 1 to 168"),
            (vec![ISSUER, CLIENT, ("oidc_client_secret_file", "/nowhere/x")], "can't be read"),
        ] {
            let why = load(&pairs, None).expect_err("refused");
            assert!(why.contains(says), "{why}");
        }
        let file = tempfile::NamedTempFile::new().expect("a file");
        let path = file.path().to_str().expect("UTF-8");
        let with_file = [ISSUER, CLIENT, ("oidc_client_secret_file", path)];
        assert!(load(&with_file, None).expect_err("refused").contains("is empty"));
        std::fs::write(path, "hush\n").expect("written");
        assert_eq!(
            load(&with_file, None).expect("read").expect("a provider").secret.as_ref().map(Secret::expose),
            Some("hush")
        );
        assert!(load(&with_file, Some("other")).expect_err("refused").contains("another"));
    }
}
