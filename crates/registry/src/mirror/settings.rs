//! What a mirror can be told.

use std::fmt;
#[cfg(feature = "ecr")]
use std::sync::Arc;
use std::time::Duration;

use http::Uri;
use http::uri::{Authority, Scheme};
use layer0_domain::model::access::Secret;
use layer0_domain::model::image::RepositoryName;
use layer0_domain::model::placement::RepositoryPrefix;

#[cfg(feature = "ecr")]
use crate::ecr::TokenSource;

/// Docker Hub's registry, which is none of the names that people write for it.
const HUB: &str = "registry-1.docker.io";
/// What people write for it.
const HUB_NAMES: [&str; 4] = ["docker.io", "index.docker.io", "hub.docker.com", "www.docker.com"];
/// Where Docker Hub keeps images whose names have one part.
const HUB_OFFICIAL: &str = "library";

/// A prefix of repositories' names, and the registry whose images are found under it.
#[derive(Debug, Clone)]
pub struct MirrorSettings {
    /// The first parts of the names here.
    pub prefix: RepositoryPrefix,
    /// The registry behind it.
    pub upstream: UpstreamUrl,
    /// How this server signs in there.
    pub login: MirrorLogin,
    /// How long a tag is believed before the upstream is asked whether it has moved.
    pub tag_ttl: Duration,
    /// What is waited for.
    pub patience: Patience,
}

impl MirrorSettings {
    /// How long a tag is believed where nothing is said.
    pub const TAG_TTL: Duration = Duration::from_secs(15 * 60);

    /// With nobody signed in, and the usual times.
    #[must_use]
    pub fn new(prefix: RepositoryPrefix, upstream: UpstreamUrl) -> Self {
        let login = MirrorLogin::Anonymous;
        Self { prefix, upstream, login, tag_ttl: Self::TAG_TTL, patience: Patience::default() }
    }

    /// What the upstream calls a repository; `None` for one that has no name there. The repository that is called as the prefix is
    /// the one that the upstream's address names, where it names one.
    #[must_use]
    pub fn theirs(&self, name: &RepositoryName) -> Option<String> {
        let below = self.upstream.below.as_str();
        let rest = name.as_str().strip_prefix(self.prefix.as_str())?;
        let rest = match rest.strip_prefix('/') {
            Some(rest) => rest,
            None if rest.is_empty() && !below.is_empty() => rest,
            None => return None,
        };
        let official = match self.upstream.official {
            Official::Nowhere => false,
            Official::AtTheTop => below.is_empty() && !rest.contains('/'),
            Official::BelowAll => !rest.is_empty() && !rest.contains('/'),
        };
        let parts = [below, if official { HUB_OFFICIAL } else { "" }, rest];
        Some(parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("/"))
    }
}

/// How long an upstream may be silent.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// Until the head of its answer is there.
    pub answer: Duration,
    /// Between two pieces of a body.
    pub idle: Duration,
}

impl Default for Patience {
    /// Half a minute each: docker itself gives up after as long.
    fn default() -> Self {
        Self { answer: Duration::from_secs(30), idle: Duration::from_secs(30) }
    }
}

/// How a mirror signs in at its upstream.
#[derive(Clone)]
pub enum MirrorLogin {
    /// Not at all.
    Anonymous,
    /// With user and password, or a token in its place.
    Password {
        /// Who.
        user: String,
        /// By what.
        password: Secret,
    },
    /// As a role that may pull from ECR.
    #[cfg(feature = "ecr")]
    Ecr(Arc<dyn TokenSource>),
}

impl fmt::Debug for MirrorLogin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Anonymous => f.write_str("Anonymous"),
            Self::Password { user, .. } => write!(f, "Password({user})"),
            #[cfg(feature = "ecr")]
            Self::Ecr(_) => f.write_str("Ecr"),
        }
    }
}

/// Where an upstream is: `https://registry-1.docker.io`, `https://quay.io/team`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UpstreamUrl {
    pub(crate) scheme: Scheme,
    pub(crate) authority: Authority,
    /// What stands before all names there; may be empty.
    below: String,
    official: Official,
}

/// Whether images whose names have one part lie below `library/`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Official {
    /// No registry but Docker Hub does that.
    Nowhere,
    /// In Docker Hub itself, where what stands before all names is an owner's.
    AtTheTop,
    /// In what mirrors it, behind what stands before all names.
    BelowAll,
}

/// Why a text is no address of an upstream. It does not repeat the text, which may hold a password.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UpstreamUrlError {
    /// It is none at all.
    #[error("is no address of a registry, such as `https://registry-1.docker.io`")]
    NoUrl,
    /// It has a user in it.
    #[error("has a user in it: a password stands in a file or in the environment")]
    User,
}

impl UpstreamUrl {
    /// Reads one. All names of Docker Hub are its registry's.
    ///
    /// # Errors
    /// [`UpstreamUrlError`]
    pub fn parse(text: &str) -> Result<Self, UpstreamUrlError> {
        let uri: Uri = text.parse().map_err(|_| UpstreamUrlError::NoUrl)?;
        let parts = uri.into_parts();
        let scheme = parts.scheme.filter(|it| *it == Scheme::HTTPS || *it == Scheme::HTTP);
        let (Some(scheme), Some(authority)) = (scheme, parts.authority) else { return Err(UpstreamUrlError::NoUrl) };
        if authority.as_str().contains('@') {
            return Err(UpstreamUrlError::User);
        }
        let path = parts.path_and_query.filter(|it| it.query().is_none()).ok_or(UpstreamUrlError::NoUrl)?;
        let below = path.path().trim_matches('/').to_owned();
        if !below.is_empty() && RepositoryPrefix::parse(&below).is_err() {
            return Err(UpstreamUrlError::NoUrl);
        }
        let is_hub = authority.host() == HUB || HUB_NAMES.contains(&authority.host());
        let authority = if is_hub { Authority::from_static(HUB) } else { authority };
        let official = if is_hub { Official::AtTheTop } else { Official::Nowhere };
        Ok(Self { scheme, authority, below, official })
    }

    /// The same, which keeps images whose names have one part below `library/`, as Docker Hub does: a mirror of it.
    #[must_use]
    pub fn like_hub(self) -> Self {
        match self.official {
            Official::Nowhere => Self { official: Official::BelowAll, ..self },
            Official::AtTheTop | Official::BelowAll => self,
        }
    }

    /// Its host, with a port where one was given.
    #[must_use]
    pub fn host(&self) -> &str {
        self.authority.as_str()
    }

    /// Whether what is sent there can be read on the way.
    #[must_use]
    pub fn is_open(&self) -> bool {
        let host = self.authority.host().trim_matches(['[', ']']);
        let is_loopback = host == "localhost" || host.parse().is_ok_and(|it: std::net::IpAddr| it.is_loopback());
        self.scheme == Scheme::HTTP && !is_loopback
    }

    /// Whether it is where this host and port are.
    #[must_use]
    pub fn is_at(&self, address: &str) -> bool {
        let Ok(address) = address.parse::<Authority>() else { return false };
        let usual = if self.scheme == Scheme::HTTP { 80 } else { 443 };
        let port = |it: &Authority| it.port_u16().unwrap_or(usual);
        let loopback = |host: &str| matches!(host, "localhost" | "127.0.0.1" | "[::1]");
        let (ours, theirs) = (address.host(), self.authority.host());
        port(&address) == port(&self.authority)
            && (ours.eq_ignore_ascii_case(theirs) || (loopback(ours) && loopback(theirs)))
    }
}

impl fmt::Display for UpstreamUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let slash = if self.below.is_empty() { "" } else { "/" };
        write!(f, "{}://{}{slash}{}", self.scheme, self.authority, self.below)
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failing call fails the test")]
    use super::*;

    fn theirs(prefix: &str, upstream: &str, name: &str) -> Option<String> {
        let url = UpstreamUrl::parse(upstream).unwrap();
        MirrorSettings::new(RepositoryPrefix::parse(prefix).unwrap(), url).theirs(&RepositoryName::parse(name).unwrap())
    }

    #[test]
    fn names_are_those_of_the_upstream() {
        let hub = "https://docker.io";
        assert_eq!(theirs("hub", hub, "hub/alpine").as_deref(), Some("library/alpine"));
        assert_eq!(theirs("hub", hub, "hub/library/alpine").as_deref(), Some("library/alpine"));
        assert_eq!(theirs("hub", hub, "hub/grafana/loki").as_deref(), Some("grafana/loki"));
        assert_eq!(theirs("mirror/hub", hub, "mirror/hub/alpine").as_deref(), Some("library/alpine"));
        assert_eq!(theirs("hub", hub, "hubble/alpine"), None);
        assert_eq!(theirs("quay", "https://quay.io", "quay/alpine").as_deref(), Some("alpine"));
        assert_eq!(theirs("quay", "https://quay.io/org/", "quay/app").as_deref(), Some("org/app"));
        assert_eq!(theirs("my/app", "https://quay.io/org/app", "my/app").as_deref(), Some("org/app"));
        assert_eq!(theirs("my/app", "https://quay.io", "my/app"), None);
        assert_eq!(theirs("team", "https://docker.io/team", "team/app").as_deref(), Some("team/app"));
        let like_hub = |upstream: &str, name: &str| {
            let url = UpstreamUrl::parse(upstream).unwrap().like_hub();
            let settings = MirrorSettings::new(RepositoryPrefix::parse("hub").unwrap(), url);
            settings.theirs(&RepositoryName::parse(name).unwrap())
        };
        let proxy = "https://harbor.example.com/proxy";
        assert_eq!(like_hub(proxy, "hub/alpine").as_deref(), Some("proxy/library/alpine"));
        assert_eq!(like_hub(proxy, "hub/grafana/loki").as_deref(), Some("proxy/grafana/loki"));
        assert_eq!(like_hub("https://docker.io/team", "hub/app").as_deref(), Some("team/app"));
    }

    #[test]
    fn addresses_are_read_or_refused() {
        let parse = UpstreamUrl::parse;
        assert_eq!(parse("https://hub.docker.com").unwrap().to_string(), "https://registry-1.docker.io");
        assert_eq!(parse("http://127.0.0.1:5000").unwrap().host(), "127.0.0.1:5000");
        assert_eq!(parse("https://me:secret@quay.io"), Err(UpstreamUrlError::User));
        for bad in ["quay.io", "ftp://quay.io", "https://", "", "https://quay.io/?a=b", "https://quay.io/UPPER"] {
            assert_eq!(parse(bad), Err(UpstreamUrlError::NoUrl), "{bad}");
        }
    }

    #[test]
    fn an_upstream_that_is_this_server_is_known() {
        let is_at = |url: &str, address: &str| UpstreamUrl::parse(url).unwrap().is_at(address);
        assert!(is_at("http://127.0.0.1:9090", "localhost:9090"));
        assert!(is_at("https://Registry.example.com", "registry.example.com"));
        assert!(is_at("https://registry.example.com:443", "registry.example.com"));
        assert!(!is_at("http://127.0.0.1:9091", "localhost:9090"));
        assert!(!is_at("https://quay.io", "registry.example.com"));
    }

    #[test]
    fn nothing_shows_a_password() {
        let login = MirrorLogin::Password { user: "me".to_owned(), password: Secret::new("hunter2") };
        assert_eq!(format!("{login:?}"), "Password(me)");
        assert!(UpstreamUrl::parse("http://registry.example.com").unwrap().is_open());
        assert!(!UpstreamUrl::parse("http://localhost:5000").unwrap().is_open());
    }
}
