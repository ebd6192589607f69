//! `/v2/<name>/blobs/uploads/<id>` of a repository in ECR: what comes into an upload, how far it is, and its end. How small chunks
//! become ECR's parts, and what is known of an upload here: module `ecr::uploads`.

use std::time::Duration;

use axum::body::{Body, HttpBody};
use axum::response::Response;
use bytes::Bytes;
use http::header::{CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, HeaderValue};
use http::{Method, StatusCode};
use hyper::body::Incoming;
use layer0_domain::model::access::Action;
use layer0_domain::model::digest::Digest;
use layer0_domain::model::image::RepositoryName;

use super::upload::{Location, PUSH, address, shown, status};
use crate::ecr::images::refusal;
use crate::ecr::replay::Replay;
use crate::ecr::translate::{Refusal, behind_range, last_byte};
use crate::ecr::uploads::{Gathered, Held};
use crate::ecr::upstream::Question;
use crate::ecr::{Ecr, Taking};
use crate::error::RegistryError;
use crate::range;
use crate::registry::Registry;
use crate::routes::upload::given_up;
use crate::routes::{Ask, created, digest, empty};

const OCTETS: HeaderValue = HeaderValue::from_static("application/octet-stream");
/// A byte that no layer has: ECR takes layers of 52,000 MiB (service quotas), this is at 1 TiB.
const BEYOND: HeaderValue = HeaderValue::from_static("1099511627775-1099511627775");

/// How long a request waits for another one on the same upload. A client that was cut off comes back at once, and finds its own
/// request there until that notices.
pub(super) const BUSY_WAIT: Duration = Duration::from_secs(5);

/// Everything on an upload that was begun.
pub(super) async fn serve(
    registry: &Registry,
    ecr: &Ecr,
    ask: &Ask,
    body: Body,
    name: &str,
    id: &str,
) -> Result<Response, RegistryError> {
    let (name, _) = registry.admit(ask, name, &PUSH, None).await?;
    let location = Location::asked(id, ask.uri.query());
    let on = Upload { registry, ecr, ask, name: &name, location: &location };
    let mut held = ecr.uploads().hold(&name, location.id(), BUSY_WAIT).await?;
    // One whose requests say nothing of where they belong needs no look: docker's, wherever a balancer sends them.
    let goes_on = matches!(ask.method, Method::PATCH | Method::PUT) && !ask.headers.contains_key(CONTENT_RANGE);
    if !goes_on || held.is_in_doubt() {
        on.locate(&mut held).await?;
    }
    match ask.method {
        Method::PATCH => on.append(held, body).await,
        Method::PUT => {
            let wanted = ask
                .param("digest")
                .ok_or_else(|| RegistryError::DigestInvalid("the parameter digest is missing".to_owned()))?;
            on.finish(held, body, digest(wanted)?).await
        }
        Method::DELETE => on.cancel(held).await,
        _ => {
            // Where nobody says how far it is, it is as good as none: the client begins that layer again.
            let offset = held.offset().ok_or(RegistryError::UploadUnknown)?;
            Ok(status(StatusCode::NO_CONTENT, &location, &name, offset))
        }
    }
}

/// A request on an upload.
pub(super) struct Upload<'a> {
    pub(super) registry: &'a Registry,
    pub(super) ecr: &'a Ecr,
    pub(super) ask: &'a Ask,
    pub(super) name: &'a RepositoryName,
    pub(super) location: &'a Location,
}

/// What ECR refused; `None` when it did what it was asked.
async fn refused(answer: http::Response<Incoming>) -> Result<Option<Refusal>, RegistryError> {
    if answer.status().is_success() { Ok(None) } else { refusal(answer).await.map(Some) }
}

/// How much goes to ECR in all, where that can be known before: what is here, and what still comes.
fn length_of(first: &Bytes, body: &Body) -> Option<u64> {
    let rest = if body.is_end_stream() { Some(0) } else { body.size_hint().exact() };
    rest.map(|rest| rest + first.len() as u64)
}

impl Upload<'_> {
    fn question(&self, method: Method) -> Question {
        Question::new(method, self.location.path(self.ecr, self.name, None))
    }

    /// Finds out how far an upload is that is not known here, or no more: one that another server has begun, or whose last request
    /// broke. ECR's private registry does not document that it tells; it does say where an upload goes on when it is offered
    /// what does not follow. Nothing is offered, so that one who looks at less takes nothing in.
    async fn locate(&self, held: &mut Held) -> Result<(), RegistryError> {
        if held.has().is_some() {
            return Ok(());
        }
        let answer = self.ecr.upstream().ask(self.question(Method::GET)).await?;
        if answer.status().is_success() {
            held.found(last_byte(answer.headers()).filter(|last| *last > 0).map_or(0, |last| last + 1));
            return Ok(());
        }
        let question = self
            .question(Method::PATCH)
            .with(CONTENT_TYPE, Some(&OCTETS))
            .with(CONTENT_LENGTH, Some(&HeaderValue::from(0)))
            .with(CONTENT_RANGE, Some(&BEYOND));
        let answer = self.ecr.upstream().ask(question).await?;
        let Some(refusal) = refused(answer).await? else { return Ok(()) };
        match (refusal.status, behind_range(&refusal.message)) {
            (StatusCode::RANGE_NOT_SATISFIABLE, Some(has)) => held.found(has),
            (StatusCode::NOT_FOUND, _) => return Err(self.refuse(held, refusal)),
            // Then it can be gone on with, but nothing can be said of it.
            _ => {}
        }
        Ok(())
    }

    /// A refusal of something on an upload.
    fn refuse(&self, held: &mut Held, refusal: Refusal) -> RegistryError {
        match (refusal.code, refusal.status) {
            ("NAME_UNKNOWN", _) => RegistryError::NameUnknown(self.name.clone()),
            (_, StatusCode::NOT_FOUND) => {
                self.ecr.uploads().forget(self.name, self.location.id());
                RegistryError::UploadUnknown
            }
            // ECR does not say where the upload ends but in words.
            (_, StatusCode::RANGE_NOT_SATISFIABLE) => {
                if let Some(has) = behind_range(&refusal.message) {
                    held.found(has);
                }
                self.out_of_order(held.offset().unwrap_or(0))
            }
            _ => refusal.into_error(),
        }
    }

    fn out_of_order(&self, offset: u64) -> RegistryError {
        RegistryError::OutOfOrder { location: address(self.location, self.name), range: shown(offset) }
    }

    /// Whether a request follows on what there is.
    fn follows(&self, held: &Held) -> Result<(), RegistryError> {
        let (Some(header), Some(offset)) = (self.ask.headers.get(CONTENT_RANGE), held.offset()) else { return Ok(()) };
        let chunk = header.to_str().ok().and_then(range::chunk).filter(|(first, _)| *first == offset);
        let (first, last) = chunk.ok_or_else(|| self.out_of_order(offset))?;
        let announced = (last - first).saturating_add(1);
        match self.ask.content_length() {
            Some(length) if length != announced => Err(RegistryError::SizeInvalid(format!(
                "the Content-Range has {announced} bytes, the Content-Length says {length}"
            ))),
            _ => Ok(()),
        }
    }

    /// Sends what is here on, and the rest of the request's body, for as long as the caller may push.
    async fn send(
        &self,
        held: &mut Held,
        body: Body,
        to: (Method, String),
    ) -> Result<(http::Response<Incoming>, Option<u64>, u64), RegistryError> {
        let at = held.has();
        let first = held.take();
        let length = length_of(&first, &body);
        let mut question = Question::new(to.0, to.1).with(CONTENT_TYPE, Some(&OCTETS));
        if let Some(length) = length {
            question.headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
        }
        let sent_range = self.ask.headers.get(CONTENT_RANGE);
        match (at, length) {
            (Some(at), Some(length)) if length > 0 && (at > 0 || sent_range.is_some()) => {
                let range = format!("{at}-{}", at + length - 1);
                question.headers.insert(CONTENT_RANGE, HeaderValue::try_from(range).expect("digits and a dash"));
            }
            // Nothing is here of one that is not known, so what the client says of it is right.
            (None, _) if first.is_empty() => question = question.with(CONTENT_RANGE, sent_range),
            _ => {}
        }
        let replay = Replay::new(body, self.registry.parts().config.body_idle).behind(first);
        let question = question.body(replay.clone());
        let asked = self.ecr.upstream().ask(question);
        let answer = self.registry.while_allowed(self.ask, self.name, Action::Push, asked).await??;
        Ok((answer, at.map(|at| at + replay.came()), replay.came()))
    }

    /// A chunk. How far the upload is then is told by what was sent: ECR's own `Range` stays behind after the first one
    /// (containers-roadmap #2831).
    async fn append(&self, mut held: Held, mut body: Body) -> Result<Response, RegistryError> {
        self.follows(&held)?;
        // One without a range is the whole layer, as docker sends it. It is not kept here, so that its end may come to another
        // server, as happens behind a balancer.
        let is_chunk = self.ask.headers.contains_key(CONTENT_RANGE) || held.has_more();
        if is_chunk && held.has().is_some() {
            let (length, idle) = (self.ask.content_length(), self.registry.parts().config.body_idle);
            let gathering = self.ecr.uploads().gather(&mut held, &mut body, length, idle);
            let gathered = self.registry.while_allowed(self.ask, self.name, Action::Push, gathering).await??;
            if let (Gathered::All, Some(offset)) = (gathered, held.offset()) {
                return Ok(status(StatusCode::ACCEPTED, self.location, self.name, offset));
            }
        }
        let announced = self.ask.header(&CONTENT_RANGE).and_then(range::chunk).map(|(_, last)| last.saturating_add(1));
        let to = (Method::PATCH, self.location.path(self.ecr, self.name, None));
        let (answer, arrived, came) = self.send(&mut held, body, to).await?;
        let told = last_byte(answer.headers()).map(|last| last.saturating_add(1));
        let next = Location::of(&answer, self.ecr, self.name);
        if let Some(refusal) = refused(answer).await? {
            return Err(self.refuse(&mut held, refusal));
        }
        held.arrived(arrived);
        let end = arrived.or(announced).unwrap_or_else(|| came.max(told.unwrap_or(0)));
        Ok(status(StatusCode::ACCEPTED, next.as_ref().unwrap_or(self.location), self.name, end))
    }

    /// Closes an upload, with what is here and what the request still brings.
    pub(super) async fn finish(&self, mut held: Held, body: Body, wanted: Digest) -> Result<Response, RegistryError> {
        self.follows(&held)?;
        self.ecr.turn(Taking::Complete).await;
        let more = (!self.location.has_digest()).then(|| format!("digest={wanted}"));
        let path = self.location.path(self.ecr, self.name, more.as_deref());
        let (answer, ..) = self.send(&mut held, body, (Method::PUT, path)).await?;
        if let Some(refusal) = refused(answer).await? {
            return Err(self.refuse(&mut held, refusal));
        }
        self.ecr.uploads().forget(self.name, self.location.id());
        let name = self.name;
        tracing::info!(repository.name = %name, blob.digest = %wanted, "stored blob {wanted} in {name}, in ECR");
        Ok(created(format!("/v2/{name}/blobs/{wanted}"), &wanted))
    }

    /// Ends an upload before its time. ECR documents no such request: where it has none, the upload is over here, and goes there
    /// by itself.
    async fn cancel(&self, mut held: Held) -> Result<Response, RegistryError> {
        let answer = self.ecr.upstream().ask(self.question(Method::DELETE)).await?;
        match refused(answer).await? {
            None => self.ecr.uploads().forget(self.name, self.location.id()),
            Some(Refusal { status: StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED, .. })
                if held.has().is_some() =>
            {
                held.end();
            }
            Some(refusal) => return Err(self.refuse(&mut held, refusal)),
        }
        given_up(self.name);
        Ok(empty(StatusCode::NO_CONTENT, []))
    }
}
