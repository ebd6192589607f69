//! Answers as they were last given, to be given again while nothing they depend on can have changed.
//!
//! Most requests of a registry ask for the same few manifests, and for the same blobs whether they are there, with the same
//! credentials: a deploy of a hundred copies, a build farm. What is answered depends on the credential and on what the store
//! has. The gate says whether both are as they were ([`Gate::standing`](crate::Gate::standing)): with the next commit of the
//! store, whatever it is about, nothing that is kept here is given again. So what is given is what would be found; only that a
//! blob's file is still there is not looked at anew, for seconds.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use bytes::Bytes;
use http::header::{HOST, IF_NONE_MATCH, RANGE};
use http::{HeaderMap, Method, StatusCode, Version};

use crate::gate::Standing;

/// So many bytes of answers are kept, heads included.
const BYTES_MAX: usize = 4 << 20;

/// The largest answer that is kept.
const BYTES_MAX_EACH: usize = 32 << 10;

/// What an answer's head takes, near enough.
const HEAD_BYTES: usize = 1 << 10;

/// Says of an answer, as an extension of it, that it depends on nothing but the credential and the store, and what its body is; a
/// request without one is answered with the head alone.
#[derive(Debug, Clone)]
pub(crate) struct Lasting(pub(crate) Option<Bytes>);

/// Answers that were given.
#[derive(Default)]
pub(crate) struct Answers {
    kept: Mutex<Kept>,
}

#[derive(Default)]
struct Kept {
    /// By whom was asked, then by the path.
    answers: HashMap<Standing, HashMap<Box<str>, Answer>>,
    bytes: usize,
}

struct Answer {
    headers: HeaderMap,
    /// `None` of one that was asked for without.
    body: Option<Bytes>,
}

/// Whether answers to a request may be kept: it asks for nothing but what stands at its path.
pub(crate) fn may_be_kept(request: &Request) -> bool {
    let path = request.uri().path();
    let plain = match *request.method() {
        Method::GET => path.contains("/manifests/"),
        Method::HEAD => path.contains("/manifests/") || path.contains("/blobs/"),
        _ => false,
    };
    let headers = request.headers();
    // One without a Host is refused, whatever was answered before.
    let is_whole = request.version() != Version::HTTP_11 || headers.contains_key(HOST);
    plain
        && is_whole
        && request.uri().query().is_none()
        && !headers.contains_key(IF_NONE_MATCH)
        && !headers.contains_key(RANGE)
}

impl Answers {
    /// The answer that was given to this before.
    pub(crate) fn get(&self, standing: Standing, method: &Method, path: &str) -> Option<Response> {
        let (headers, body) = {
            let kept = self.lock();
            let answer = kept.answers.get(&standing)?.get(path)?;
            let body = if method == Method::HEAD { Body::empty() } else { Body::from(answer.body.clone()?) };
            (answer.headers.clone(), body)
        };
        let mut response = Response::new(body);
        *response.headers_mut() = headers;
        Some(response)
    }

    /// Keeps an answer, if it is a good one that lasts, and small.
    pub(crate) fn put(&self, standing: Standing, path: &str, response: &mut Response) {
        let Some(Lasting(body)) = response.extensions_mut().remove::<Lasting>() else { return };
        let size = path.len() + HEAD_BYTES + body.as_ref().map_or(0, Bytes::len);
        if response.status() != StatusCode::OK || size > BYTES_MAX_EACH {
            return;
        }
        let answer = Answer { headers: response.headers().clone(), body };
        let mut kept = self.lock();
        // Standings that are no more are never asked for again, and go with the rest.
        if kept.bytes + size > BYTES_MAX {
            *kept = Kept::default();
        }
        kept.bytes += size;
        kept.answers.entry(standing).or_default().insert(path.into(), answer);
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        // A map is whole after each of its calls.
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: Standing = Standing { somebody: 1, state: 1 };

    fn answer(status: StatusCode, bytes: &'static [u8]) -> Response {
        let mut response = Response::new(Body::from(bytes));
        *response.status_mut() = status;
        response.headers_mut().insert("x-of", "one".parse().expect("a value"));
        response.extensions_mut().insert(Lasting(Some(Bytes::from_static(bytes))));
        response
    }

    #[test]
    fn an_answer_is_given_again_to_whom_it_was_given_for_what_he_asked() {
        let answers = Answers::default();
        answers.put(ONE, "/v2/a/manifests/1", &mut answer(StatusCode::OK, b"{}"));
        let again = |standing, method, path| answers.get(standing, &method, path);
        let got = again(ONE, Method::GET, "/v2/a/manifests/1").expect("it is kept");
        assert_eq!((got.status(), &got.headers()["x-of"]), (StatusCode::OK, &"one".parse().expect("a value")));
        assert!(again(ONE, Method::HEAD, "/v2/a/manifests/1").is_some());
        assert!(again(Standing { somebody: 2, ..ONE }, Method::GET, "/v2/a/manifests/1").is_none(), "somebody else");
        assert!(again(Standing { state: 2, ..ONE }, Method::GET, "/v2/a/manifests/1").is_none(), "another state");
        assert!(again(ONE, Method::GET, "/v2/a/manifests/2").is_none());
    }

    #[test]
    fn refusals_large_answers_and_bodies_that_were_not_asked_for_are_not_kept() {
        static LARGE: [u8; BYTES_MAX_EACH] = [0; BYTES_MAX_EACH];
        let answers = Answers::default();
        answers.put(ONE, "/1", &mut answer(StatusCode::NOT_FOUND, b"{}"));
        answers.put(ONE, "/2", &mut answer(StatusCode::OK, &LARGE));
        let mut head = answer(StatusCode::OK, b"");
        head.extensions_mut().insert(Lasting(None));
        let mut elsewhere = answer(StatusCode::OK, b"{}");
        elsewhere.extensions_mut().remove::<Lasting>();
        answers.put(ONE, "/4", &mut elsewhere);
        assert!(answers.get(ONE, &Method::HEAD, "/4").is_none());
        answers.put(ONE, "/3", &mut head);
        assert!(answers.get(ONE, &Method::GET, "/1").is_none() && answers.get(ONE, &Method::GET, "/2").is_none());
        assert!(answers.get(ONE, &Method::GET, "/3").is_none() && answers.get(ONE, &Method::HEAD, "/3").is_some());
    }

    #[test]
    fn what_is_kept_has_a_bound() {
        let answers = Answers::default();
        for number in 0..10_000 {
            answers.put(
                Standing { somebody: number, ..ONE },
                "/v2/a/manifests/1",
                &mut answer(StatusCode::OK, &[1; 8_000]),
            );
        }
        assert!(answers.lock().bytes <= BYTES_MAX);
        assert!(answers.get(Standing { somebody: 9_999, ..ONE }, &Method::GET, "/v2/a/manifests/1").is_some());
    }
}
