//! Requests to an upstream: with what it wants to be shown, redirects followed, and nothing waited for without an end.

use std::sync::Arc;

use axum::body::{Body, Bytes};
use http::header::{AUTHORIZATION, HOST, LOCATION, USER_AGENT, VIA};
use http::uri::{PathAndQuery, Scheme};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Uri};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::Incoming;
use layer0_domain::port::clock::Clock;

use super::auth::Auth;
use super::refusal::Refusal;
use super::settings::{MirrorLogin, Patience, UpstreamUrl};
use crate::outgoing::{AGENT, Outgoing};

/// So many redirects are followed; registries need two at most.
const REDIRECTS_MAX: usize = 5;
/// How much of a refusal's body is read.
const REFUSAL_MAX: usize = 64 << 10;

/// The way to one upstream, without its credentials.
pub(super) struct Wire {
    http: Outgoing,
    url: UpstreamUrl,
    patience: Patience,
    /// What this server calls itself in requests, by which it knows its own again.
    via: HeaderValue,
}

/// An answer, at the end of redirects.
pub(super) struct Followed {
    pub(super) answer: Response<Incoming>,
    /// It comes from where the request went at first, and from nowhere else on the way.
    is_upstreams: bool,
    /// Who gave it.
    by: Uri,
}

/// One upstream.
pub(crate) struct Upstream {
    wire: Wire,
    auth: Auth,
}

impl Upstream {
    pub(super) fn new(
        http: Outgoing,
        url: UpstreamUrl,
        login: MirrorLogin,
        patience: Patience,
        via: HeaderValue,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self { wire: Wire { http, url, patience, via }, auth: Auth::new(login, clock) }
    }

    pub(super) fn host(&self) -> &str {
        self.wire.host()
    }

    pub(super) fn patience(&self) -> Patience {
        self.wire.patience
    }

    /// Asks for something of a repository, `path` behind its name. Any answer but a good one is a refusal.
    pub(super) async fn ask(
        &self,
        method: Method,
        repository: &str,
        path: &str,
        mut headers: HeaderMap,
    ) -> Result<Response<Incoming>, Refusal> {
        let UpstreamUrl { scheme, authority, .. } = &self.wire.url;
        let address = Uri::builder().scheme(scheme.clone()).authority(authority.clone());
        let address = address.path_and_query(format!("/v2/{repository}/{path}")).build();
        let address = address.map_err(|error| Refusal::nonsense(self.host(), error))?;
        headers.insert(VIA, self.wire.via.clone());
        let mut shown = self.auth.known(&self.wire, repository).await?;
        let mut is_renewed = false;
        loop {
            match &shown {
                Some(shown) => drop(headers.insert(AUTHORIZATION, shown.clone())),
                None => drop(headers.remove(AUTHORIZATION)),
            }
            let Followed { answer, is_upstreams, by } = self.wire.follow(&method, address.clone(), &headers).await?;
            // ECR says of a token that has ended that it is denied.
            let is_refused = matches!(answer.status(), StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN);
            // Where a redirect has led to, nobody may ask for what is the upstream's.
            if is_refused && is_upstreams && !is_renewed {
                is_renewed = true;
                let other = self.auth.instead(&self.wire, repository, shown.as_ref(), answer.headers()).await?;
                if other.is_some() {
                    shown = other;
                    continue;
                }
            }
            let by = if is_upstreams { self.host() } else { by.authority().map_or(self.host(), |it| it.as_str()) };
            return self.wire.good(answer, by).await;
        }
    }

    /// All of a body, of at most so many bytes.
    pub(super) async fn collect(&self, body: Incoming, most: usize) -> Result<Bytes, Refusal> {
        self.wire.collect(body, most).await
    }
}

impl Wire {
    pub(super) fn host(&self) -> &str {
        self.url.host()
    }

    pub(super) fn scheme(&self) -> &Scheme {
        &self.url.scheme
    }

    /// Sends a request and follows redirects. What shows who we are goes to no other host, and nothing leaves TLS.
    pub(super) async fn follow(&self, method: &Method, address: Uri, headers: &HeaderMap) -> Result<Followed, Refusal> {
        let (mut address, mut headers, mut is_upstreams) = (address, headers.clone(), true);
        for _ in 0..=REDIRECTS_MAX {
            let answer = self.once(method, &address, headers.clone()).await?;
            if !matches!(answer.status().as_u16(), 301 | 302 | 303 | 307 | 308) {
                return Ok(Followed { answer, is_upstreams, by: address });
            }
            let to = answer.headers().get(LOCATION).and_then(|value| value.to_str().ok());
            let to = to.and_then(|to| resolved(&address, to));
            let Some(to) = to else { return Err(Refusal::nonsense(self.host(), "redirects to nowhere")) };
            if address.scheme() == Some(&Scheme::HTTPS) && to.scheme() != Some(&Scheme::HTTPS) {
                return Err(Refusal::nonsense(self.host(), "redirects to where all can read along"));
            }
            if (to.scheme(), to.authority()) != (address.scheme(), address.authority()) {
                headers.remove(AUTHORIZATION);
                is_upstreams = false;
            }
            address = to;
        }
        Err(Refusal::nonsense(self.host(), "redirects in a circle"))
    }

    /// Sends a request; once more when a connection broke under it, which one that was kept for too long does. All are such that may
    /// be made twice (RFC 9110, section 9.2.2).
    async fn once(&self, method: &Method, address: &Uri, headers: HeaderMap) -> Result<Response<Incoming>, Refusal> {
        let send = |headers| {
            let sent = self.http.request(Self::request(method, address, headers));
            sent.map_err(|why| Refusal::away(self.host(), &*why))
        };
        let answered = async {
            match send(headers.clone())?.await {
                Err(error) if !error.is_connect() => Ok(send(headers)?.await),
                answered => Ok(answered),
            }
        };
        match tokio::time::timeout(self.patience.answer, answered).await {
            Ok(Ok(Ok(answer))) => Ok(answer),
            Ok(Ok(Err(error))) => Err(Refusal::away(self.host(), &error)),
            Ok(Err(refusal)) => Err(refusal),
            Err(_) => Err(Refusal::late(self.host(), self.patience.answer)),
        }
    }

    fn request(method: &Method, address: &Uri, headers: HeaderMap) -> Request<Body> {
        let mut request = Request::new(Body::empty());
        *request.method_mut() = method.clone();
        *request.uri_mut() = address.clone();
        *request.headers_mut() = headers;
        request.headers_mut().insert(USER_AGENT, HeaderValue::from_static(AGENT));
        if let Some(host) = address.authority().and_then(|it| HeaderValue::from_str(it.as_str()).ok()) {
            request.headers_mut().insert(HOST, host);
        }
        request
    }

    /// An answer that is one; any other is a refusal.
    /// An answer that is no refusal; `by` is who gave it, which may be another than was asked.
    pub(super) async fn good(&self, answer: Response<Incoming>, by: &str) -> Result<Response<Incoming>, Refusal> {
        if answer.status().is_success() {
            return Ok(answer);
        }
        let (head, body) = answer.into_parts();
        // Without its words it is still the refusal that it is.
        let body = self.collect(body, REFUSAL_MAX).await.unwrap_or_default();
        let from = if by == self.host() { by.to_owned() } else { format!("{} (by {by})", self.host()) };
        Err(Refusal::answered(&from, head.status, &head.headers, &body))
    }

    pub(super) async fn collect(&self, body: Incoming, most: usize) -> Result<Bytes, Refusal> {
        match tokio::time::timeout(self.patience.answer, Limited::new(body, most).collect()).await {
            Ok(Ok(body)) => Ok(body.to_bytes()),
            Ok(Err(error)) if error.is::<LengthLimitError>() => {
                Err(Refusal::nonsense(self.host(), format!("sends more than {most} bytes where less is expected")))
            }
            Ok(Err(error)) => Err(Refusal::away(self.host(), error.as_ref())),
            Err(_) => Err(Refusal::late(self.host(), self.patience.answer)),
        }
    }
}

/// Where a `Location` points (RFC 9110, section 10.2.2).
fn resolved(from: &Uri, to: &str) -> Option<Uri> {
    let to = to.split('#').next().unwrap_or_default();
    if to.starts_with("//") {
        return format!("{}:{to}", from.scheme_str()?).parse().ok();
    }
    if to.starts_with('/') {
        let mut parts = from.clone().into_parts();
        parts.path_and_query = Some(to.parse::<PathAndQuery>().ok()?);
        return Uri::from_parts(parts).ok();
    }
    to.parse().ok().filter(|uri: &Uri| uri.scheme().is_some() && uri.authority().is_some())
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failing call fails the test")]
    use super::*;

    #[test]
    fn a_location_is_resolved() {
        let from: Uri = "https://a.example/v2/x/blobs/1".parse().unwrap();
        let to = |text: &str| resolved(&from, text).map(|uri| uri.to_string());
        assert_eq!(to("https://b.example/k?s=1").as_deref(), Some("https://b.example/k?s=1"));
        assert_eq!(to("/k?s=1#f").as_deref(), Some("https://a.example/k?s=1"));
        assert_eq!(to("//b.example/k").as_deref(), Some("https://b.example/k"));
        assert_eq!(to("k"), None);
        assert_eq!(to(""), None);
    }
}
