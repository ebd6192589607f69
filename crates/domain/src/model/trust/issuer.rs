//! Issuers of OpenID Connect: where the keys come from that tokens are checked with.

use std::fmt;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

/// The longest address.
const ISSUER_MAX: usize = 300;

/// The issuer of tokens: its address exactly as the claim `iss` has it (OpenID Connect Discovery 1.0, section 3). An `https`
/// address, or an `http` address of this very machine.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Issuer(String);

/// Why a text is no [`Issuer`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` can't be an issuer: it is an https address without a query, such as `https://gitlab.com`")]
pub struct IssuerError {
    text: String,
}

/// An address in its parts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Address<'a> {
    secure: bool,
    host: &'a str,
    /// With the port.
    authority: &'a str,
}

/// Reads `scheme://host[:port][/path]`. No user, no query, no fragment, no escapes, and nothing that is not ASCII.
fn address(text: &str) -> Option<Address<'_>> {
    let (secure, rest) = match text.split_once("://")? {
        ("https", rest) => (true, rest),
        ("http", rest) => (false, rest),
        _ => return None,
    };
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~' | b':' | b'/');
    let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
    let (host, port) = authority.split_once(':').unwrap_or((authority, "443"));
    let port = port.parse::<u16>().is_ok_and(|port| port > 0) && port.bytes().all(|byte| byte.is_ascii_digit());
    let host_legal =
        !host.is_empty() && host.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.'));
    let path_legal = !path.split('/').any(|part| matches!(part, "." | ".."));
    (rest.bytes().all(legal) && port && host_legal && path_legal).then_some(Address { secure, host, authority })
}

/// Whether a host is this machine and nothing else.
fn is_here(host: &str) -> bool {
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// Whether a host has a name that can be one in the whole of the Internet: no address, and no bare word.
fn is_public_name(host: &str) -> bool {
    // What ends in a number is read as an address by some resolvers and libraries (`127.1`, `10.0x1`; WHATWG URL, "ends in a number").
    let last = host.rsplit('.').next().unwrap_or_default();
    host.contains('.') && last.starts_with(|first: char| first.is_ascii_alphabetic())
}

impl Issuer {
    /// Reads an issuer.
    ///
    /// # Errors
    /// [`IssuerError`].
    pub fn parse(text: &str) -> Result<Self, IssuerError> {
        let legal = text.len() <= ISSUER_MAX && address(text).is_some_and(|it| it.secure || is_here(it.host));
        if legal { Ok(Self(text.to_owned())) } else { Err(IssuerError { text: text.chars().take(80).collect() }) }
    }

    /// Where it says what it is (OpenID Connect Discovery 1.0, section 4).
    #[must_use]
    pub fn discovery(&self) -> String {
        format!("{}/.well-known/openid-configuration", self.0.trim_end_matches('/'))
    }

    /// Whether its host has a name for the whole of the Internet. Any other may be somebody's machine behind the server, where
    /// only an admin may send it.
    #[must_use]
    pub fn is_public(&self) -> bool {
        address(&self.0).is_some_and(|it| it.secure && is_public_name(it.host))
    }

    /// Whether its keys may be fetched from this address, which its own document names: by https from a name of the Internet, or
    /// from where the document came from.
    #[must_use]
    pub fn admits(&self, keys: &str) -> bool {
        let (Some(own), Some(keys)) = (address(&self.0), address(keys)) else { return false };
        let same = own.secure == keys.secure && own.authority == keys.authority;
        same || keys.secure && is_public_name(keys.host)
    }

    /// As text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Issuer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for Issuer {
    type Error = IssuerError;
    fn try_from(text: String) -> Result<Self, IssuerError> {
        Self::parse(&text)
    }
}

impl From<Issuer> for String {
    fn from(issuer: Issuer) -> String {
        issuer.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn issuer(text: &str) -> Issuer {
        Issuer::parse(text).unwrap_or_else(|why| panic!("{why}"))
    }

    #[test]
    fn an_issuer_is_an_https_address_or_here() {
        for (text, public) in [
            ("https://token.actions.githubusercontent.com", true),
            ("https://gitlab.example.com:8443/group", true),
            ("https://oidc.eks.eu-west-1.amazonaws.com/id/ABC", true),
            ("https://gitlab", false),
            ("https://10.0.0.1", false),
            ("https://10.0x1", false),
            ("https://169.254.0xa9fe", false),
            ("https://127.1", false),
            ("https://localhost", false),
            ("http://127.0.0.1:8080", false),
            ("http://localhost:8080/realm", false),
        ] {
            assert_eq!(issuer(text).is_public(), public, "{text}");
        }
        for bad in [
            "",
            "gitlab.com",
            "http://gitlab.com",
            "http://10.0.0.1",
            "http://localhost.evil.com",
            "https://",
            "https://user@gitlab.com",
            "https://gitlab.com?x=1",
            "https://gitlab.com#x",
            "https://gitlab.com/%2e%2e",
            "https://gitlab.com/../x",
            "https://gitlab.com:0",
            "https://gitlab.com:+1",
            "https://gitlab.com:99999",
            "https://git lab.com",
            "https://gitläb.com",
            "file:///etc/passwd",
            &format!("https://gitlab.com/{}", "x".repeat(ISSUER_MAX)),
        ] {
            assert!(Issuer::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn its_document_lies_behind_its_path() {
        let wanted = "https://a.example.com/b/.well-known/openid-configuration";
        assert_eq!(issuer("https://a.example.com/b").discovery(), wanted);
        assert_eq!(issuer("https://a.example.com/b/").discovery(), wanted);
    }

    #[test]
    fn keys_come_from_the_internet_or_from_the_issuer_itself() {
        let google = issuer("https://accounts.google.com");
        assert!(google.admits("https://www.googleapis.com/oauth2/v3/certs"));
        for bad in [
            "http://www.googleapis.com/x",
            "https://169.254.169.254/x",
            "https://metadata/x",
            "https://localhost/x",
            "file:///x",
            "",
        ] {
            assert!(!google.admits(bad), "{bad}");
        }
        let here = issuer("http://127.0.0.1:8080");
        assert!(here.admits("http://127.0.0.1:8080/keys"));
        assert!(!here.admits("http://127.0.0.1:8081/keys") && !here.admits("http://10.0.0.1:8080/keys"));
        let inside = issuer("https://gitlab");
        assert!(inside.admits("https://gitlab/oauth/discovery/keys") && !inside.admits("https://vault/x"));
    }
}
