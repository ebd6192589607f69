//! Which port of a target a request is for, and where a redirect leads.

use http::header::{self, HeaderValue};
use http::uri::Authority;
use http::{Response, StatusCode, request};

use super::config::{Rule, Serves};
use super::response::{self, ResponseBody};

/// The port that HTTPS has of itself, and that no address needs to name.
const HTTPS_PORT: u16 = 443;

/// What becomes of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    /// It goes to this port of a target.
    To(u16),
    /// The client is to ask again, by HTTPS on this port.
    Redirect(u16),
}

/// What becomes of a request whose head is ready for a target: one host field, the path in its URI.
pub(super) fn way(serves: &Serves, parts: &request::Parts) -> Way {
    match serves {
        Serves::Tcp { target_port } => Way::To(*target_port),
        Serves::Redirect { https_port } => Way::Redirect(*https_port),
        Serves::Http { target_port, rules } if rules.is_empty() => Way::To(*target_port),
        Serves::Http { target_port, rules } => {
            let host = host(parts).map(str::to_ascii_lowercase).unwrap_or_default();
            let rule = rules.iter().find(|rule| matches(rule, parts.uri.path(), &host));
            Way::To(rule.map_or(*target_port, |rule| rule.target_port))
        }
    }
}

/// The host that was asked for, without its port; `None` for one that is none.
fn host(parts: &request::Parts) -> Option<&str> {
    let field = parts.headers.get(header::HOST)?.to_str().ok()?;
    let name = match field.rfind(':') {
        // An address of IPv6 has colons of its own, in brackets.
        Some(at) if !field[at..].contains(']') => &field[..at],
        _ => field,
    };
    (!name.is_empty()).then_some(name)
}

/// Whether one of the paths fits, where there are any, and one of the hosts, where there are any. The host is in lower case.
fn matches(rule: &Rule, path: &str, host: &str) -> bool {
    let any = |patterns: &[String], text: &str| {
        patterns.is_empty() || patterns.iter().any(|pattern| fits(pattern.as_bytes(), text.as_bytes()))
    };
    any(&rule.paths, path) && any(&rule.hosts, host)
}

/// Whether a pattern fits a text from end to end: `*` stands for any bytes, none included, `?` for one. Takes the last star
/// back by one byte at a time, so the time is bounded by the product of the lengths.
fn fits(pattern: &[u8], text: &[u8]) -> bool {
    let (mut p, mut t) = (0, 0);
    let mut star = None;
    while t < text.len() {
        match pattern.get(p) {
            Some(b'*') => {
                star = Some((p, t));
                p += 1;
            }
            Some(b'?') => (p, t) = (p + 1, t + 1),
            Some(byte) if *byte == text[t] => (p, t) = (p + 1, t + 1),
            _ => {
                let Some((at, from)) = star else { return false };
                star = Some((at, from + 1));
                (p, t) = (at + 1, from + 1);
            }
        }
    }
    pattern[p..].iter().all(|byte| *byte == b'*')
}

/// The answer that sends a client to HTTPS: the same host, path and query.
pub(super) fn redirect(parts: &request::Parts, https_port: u16) -> Response<ResponseBody> {
    let path = parts.uri.path_and_query().map_or("/", |path| path.as_str());
    let path = if path.starts_with('/') { path } else { "/" };
    // What is no host could lead anywhere once it stands in an address.
    let host = host(parts).filter(|host| host.parse::<Authority>().is_ok_and(|it| it.host() == *host));
    let location = host.and_then(|host| {
        let port = if https_port == HTTPS_PORT { String::new() } else { format!(":{https_port}") };
        HeaderValue::try_from(format!("https://{host}{port}{path}")).ok()
    });
    let Some(location) = location else {
        return response::text(StatusCode::BAD_REQUEST, "the request names no host to redirect to");
    };
    let mut answer = response::text(StatusCode::MOVED_PERMANENTLY, "this is served by HTTPS");
    answer.headers_mut().insert(header::LOCATION, location);
    answer
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    fn asked(path: &str, host: &str) -> request::Parts {
        Request::get(path).header(header::HOST, host).body(()).expect("a request").into_parts().0
    }

    fn rule(paths: &[&str], hosts: &[&str], target_port: u16) -> Rule {
        let texts = |all: &[&str]| all.iter().map(|text| (*text).to_owned()).collect();
        Rule { paths: texts(paths), hosts: texts(hosts), target_port }
    }

    #[test]
    fn patterns_fit_from_end_to_end() {
        for (pattern, text) in [
            ("/", "/"),
            ("*", ""),
            ("/api/*", "/api/"),
            ("/api/*", "/api/a/b"),
            ("/a?c", "/abc"),
            ("*.php", "/x/y.php"),
            ("/*/b/*c", "/a/b/b/xc"),
            ("/a**", "/a"),
        ] {
            assert!(fits(pattern.as_bytes(), text.as_bytes()), "{pattern} {text}");
        }
        for (pattern, text) in
            [("/api/*", "/api"), ("/a?c", "/ac"), ("/a", "/ab"), ("/A", "/a"), ("*b", "/ba"), ("", "/"), ("/?", "/")]
        {
            assert!(!fits(pattern.as_bytes(), text.as_bytes()), "{pattern} {text}");
        }
        let hard = format!("{}b", "a*".repeat(60));
        assert!(!fits(hard.as_bytes(), "a".repeat(4000).as_bytes()), "and in no time");
    }

    #[test]
    fn the_first_rule_that_matches_decides() {
        let rules = vec![
            rule(&["/api/v2/*"], &[], 1),
            rule(&["/api/*", "/v1"], &["api.example.com"], 2),
            rule(&[], &["*.example.com"], 3),
        ];
        let serves = Serves::Http { target_port: 9, rules };
        for (path, host, to) in [
            ("/api/v2/x?y=/v1", "other.test", 1),
            ("/api/x", "API.example.com:8080", 2),
            ("/v1", "api.example.com", 2),
            ("/v1/", "api.example.com", 3),
            ("/api/x", "other.test", 9),
            ("/", "www.example.com", 3),
            ("/", "example.com", 9),
            ("/", "[::1]:80", 9),
        ] {
            assert_eq!(way(&serves, &asked(path, host)), Way::To(to), "{host}{path}");
        }
    }

    #[test]
    fn a_redirect_keeps_host_path_and_query() {
        let location = |path: &str, host: &str, port: u16| {
            let answer = redirect(&asked(path, host), port);
            let location = answer.headers().get(header::LOCATION).map(|it| it.to_str().expect("text").to_owned());
            (answer.status().as_u16(), location.unwrap_or_default())
        };
        assert_eq!(location("/a/b?c=d", "x.test:80", 443), (301, "https://x.test/a/b?c=d".to_owned()));
        assert_eq!(location("/", "x.test", 8443), (301, "https://x.test:8443/".to_owned()));
        assert_eq!(location("//evil.test", "[::1]:80", 443), (301, "https://[::1]//evil.test".to_owned()));
        for bad in ["", ":80", "a/b", "user@evil.test", "a b"] {
            assert_eq!(location("/", bad, 443).0, 400, "{bad}");
        }
    }
}
