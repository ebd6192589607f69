//! From a request's credential to a [`Caller`]: the one place where it is decided who somebody is.
//!
//! Token, user, role and rule are read for every request, so whoever is shut out is out with the next one; but for what a look
//! found in the very state that the store is in still ([`Remembered`]). Beyond that only that a password was right for a
//! stored hash is remembered ([`Passwords`]).

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;
use layer0_domain::model::access::{Action, Caller, Place, Rights, Secret, Subject, Token, Who};
use layer0_domain::model::audit::{AuditRecord, PART_MAX};
use layer0_domain::model::name::Name;
use layer0_domain::model::time::Timestamp;
use layer0_domain::ops::token::{SECRET_PREFIX, hash, worth_noting};
use layer0_domain::port::access_store::{AccessStore, AccessStoreError, TokenAccess, UserAccess};
use layer0_domain::port::clock::Clock;
use sha2::{Digest as _, Sha256};
use tokio::sync::watch;

use super::announcing::Changes;
use super::password::Passwords;
use super::remembered::Remembered;
use super::signed::{Claims, Keys, REGISTRY_PREFIX, Session};
use super::throttle::Throttle;
use super::{PULL_USER, Presented, presented};
use crate::app::App;

/// Who a request comes from.
#[derive(Debug)]
pub(crate) enum Verdict {
    /// Nobody said who they are.
    Nothing,
    /// The credential opens nothing.
    Wrong,
    /// Too many wrong ones: no password is looked at now.
    Throttled {
        /// Seconds to wait.
        after_s: u64,
    },
    /// Somebody.
    Known(Arc<Known>),
}

/// Somebody who signed in.
#[derive(Debug, Clone)]
pub(crate) struct Known {
    /// Who, and what the credential allows.
    pub(crate) caller: Caller,
    /// What the caller may when the bounds of a signed credential are left out: it could get a wider one.
    pub(crate) at_most: Rights,
    /// What was signed in with; `None` for the engine.
    pub(crate) session: Option<Session>,
    /// When a signed credential ends.
    pub(crate) expires: Option<Timestamp>,
    /// When the token behind the credential ends; `None` for a password, and for a token without an end.
    pub(crate) ends: Option<Timestamp>,
}

/// Whether a signed credential is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Signed {
    /// In the registry.
    Accepted,
    /// Everywhere else: they are made for the registry.
    Refused,
}

/// How often the clock is looked at for what ends by its time, and the store is asked again that did not answer.
const LOOK: Duration = Duration::from_secs(10);

/// How often it is asked whether another server shut somebody out. With the read that follows it is the longest that anything
/// goes on which was begun by a right that another server took away.
const OTHERS: Duration = Duration::from_secs(2);

/// When to look again whether somebody still may what goes on, though nobody tells of a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LookBy {
    /// No right of it ends by itself.
    Never,
    /// Then a right ends.
    End(Timestamp),
    /// It could not be found out: soon.
    Soon,
}

impl LookBy {
    /// For a verdict.
    pub(crate) fn of(verdict: &Verdict) -> Self {
        match verdict {
            Verdict::Known(known) => known.ends.map_or(LookBy::Never, LookBy::End),
            Verdict::Nothing | Verdict::Wrong => LookBy::Never,
            Verdict::Throttled { .. } => LookBy::Soon,
        }
    }
}

/// Waits until it is worth looking again whether somebody still may what goes on: somebody was shut out, here or by another
/// server, or `by` has come. Reads nothing but the clock, so that what goes on costs no read while nobody is shut out.
pub(crate) async fn next_look(changes: &mut watch::Receiver<()>, clock: &dyn Clock, by: LookBy) {
    let due = async {
        loop {
            tokio::time::sleep(LOOK).await;
            match by {
                LookBy::Soon => return,
                LookBy::End(at) if at <= clock.now() => return,
                LookBy::End(_) | LookBy::Never => {}
            }
        }
    };
    tokio::select! {
        // Whoever tells lives as long as the server.
        _ = changes.changed() => {}
        () = due => {}
    }
}

/// Asks again and again whether another server shut somebody out, and tells everybody who waits: one small read in
/// [`OTHERS`], and none while nobody waits, however many streams are open. Ends when the app stops.
pub(crate) async fn hear_others(app: App) {
    // Nobody else writes to a store that this process has for itself.
    if app.store.version().is_some() {
        return;
    }
    let mut known = None;
    while !app.stop.asked() {
        tokio::select! {
            () = tokio::time::sleep(OTHERS) => {}
            () = app.stop.wait() => return,
        }
        if !app.sign_in.changes.is_heard() {
            continue;
        }
        match app.access.shut_out_count().await {
            Ok(count) if known == Some(count) => {}
            Ok(count) => {
                known = Some(count);
                app.sign_in.changes.tell();
            }
            Err(why) => tracing::warn!(error = %why, "it could not be asked whether another server shut somebody out"),
        }
    }
}

/// Finds out who somebody is.
pub(crate) struct SignIn {
    /// Users and tokens.
    pub(crate) access: Arc<dyn AccessStore>,
    /// When they end.
    pub(crate) clock: Arc<dyn Clock>,
    /// What signed ones are checked with.
    pub(crate) keys: Keys,
    /// Passwords.
    pub(crate) passwords: Passwords,
    /// Who showed what.
    pub(crate) remembered: Remembered,
    /// Bounds on guessing.
    pub(crate) throttle: Throttle,
    /// Tells of changes.
    pub(crate) changes: Changes,
    /// Whether the last address in `X-Forwarded-For` is believed.
    pub(crate) trusted_proxy: bool,
}

impl SignIn {
    /// The address a request comes from. Behind a proxy that we trust, the one that the proxy saw.
    pub(crate) fn address(&self, headers: &HeaderMap, peer: Option<SocketAddr>) -> Option<IpAddr> {
        let forwarded = || headers.get_all("x-forwarded-for").iter().next_back()?.to_str().ok()?.rsplit(',').next();
        let seen = if self.trusted_proxy { forwarded().and_then(|text| text.trim().parse().ok()) } else { None };
        seen.or_else(|| peer.map(|peer| peer.ip()))
    }

    /// Who a request comes from.
    pub(crate) async fn who(
        &self,
        headers: &HeaderMap,
        peer: Option<SocketAddr>,
        signed: Signed,
    ) -> Result<Verdict, AccessStoreError> {
        // Asked before anything is read.
        let version = self.access.version().filter(|_| signed == Signed::Accepted);
        let Some((version, shown)) = version.zip(headers.get(AUTHORIZATION)) else {
            return self.looked_up(headers, peer, signed).await;
        };
        let (mark, now) = (self.remembered.mark(shown.as_bytes()), self.clock.now());
        if let Some(known) = self.remembered.get(version, &mark, now) {
            return Ok(Verdict::Known(known));
        }
        let verdict = self.looked_up(headers, peer, signed).await?;
        if let Verdict::Known(known) = &verdict {
            self.remembered.put(version, mark, known, now);
        }
        Ok(verdict)
    }

    /// A number for whoever showed a credential that was looked up, while another look would find the same.
    pub(crate) fn somebody(&self, headers: &HeaderMap) -> Option<u64> {
        let version = self.access.version()?;
        let mark = self.remembered.mark(headers.get(AUTHORIZATION)?.as_bytes());
        self.remembered.number(version, &mark, self.clock.now())
    }

    async fn looked_up(
        &self,
        headers: &HeaderMap,
        peer: Option<SocketAddr>,
        signed: Signed,
    ) -> Result<Verdict, AccessStoreError> {
        let from = self.address(headers, peer);
        match presented(headers) {
            Presented::Nothing => Ok(Verdict::Nothing),
            Presented::Unreadable => Ok(Verdict::Wrong),
            Presented::Basic(user, secret) if user == PULL_USER => match signed {
                Signed::Accepted => self.signed(&secret).await,
                Signed::Refused => Ok(Verdict::Wrong),
            },
            Presented::Basic(_, secret) if is_registry(&secret) && signed == Signed::Refused => Ok(Verdict::Wrong),
            Presented::Basic(user, secret) => self.basic(&user, &secret, from).await,
            Presented::Bearer(secret) if secret.expose().starts_with(SECRET_PREFIX) => self.bearer(&secret, from).await,
            Presented::Bearer(secret) => match signed {
                Signed::Accepted => self.signed(&secret).await,
                Signed::Refused => Ok(Verdict::Wrong),
            },
        }
    }

    /// A token's secret alone.
    pub(crate) async fn bearer(&self, secret: &Secret, from: Option<IpAddr>) -> Result<Verdict, AccessStoreError> {
        match self.by_token(None, secret).await? {
            Some(known) => Ok(known),
            None => Ok(self.wrong("(bearer)", from).await),
        }
    }

    /// A name with a token, a registry credential or a password.
    pub(crate) async fn basic(
        &self,
        user: &str,
        secret: &Secret,
        from: Option<IpAddr>,
    ) -> Result<Verdict, AccessStoreError> {
        if secret.expose().starts_with(SECRET_PREFIX) {
            return match self.by_token(Some(user), secret).await? {
                Some(known) => Ok(known),
                None => Ok(self.wrong(user, from).await),
            };
        }
        if let Some(signed) = secret.expose().strip_prefix(REGISTRY_PREFIX) {
            return self.by_registry_credential(user, &Secret::new(signed)).await;
        }
        let Ok(name) = Name::parse(user) else { return Ok(self.wrong(user, from).await) };
        let found = self.access.user_get(&name).await?;
        let stored = found.as_ref().and_then(|it| it.user.password.as_ref());
        let remembered = stored.is_some_and(|stored| self.passwords.remembered(&name, secret, stored));
        if !remembered {
            let held_up = || self.throttle.wait_s(user, from, self.clock.now());
            if let Some(after_s) = held_up() {
                return Ok(Verdict::Throttled { after_s });
            }
            let turn = self.passwords.turn().await;
            // Many who came at once with the right one wait for the first of them only.
            if !stored.is_some_and(|stored| self.passwords.remembered(&name, secret, stored)) {
                // The wrong ones of those who came at once have been counted since.
                if let Some(after_s) = held_up() {
                    return Ok(Verdict::Throttled { after_s });
                }
                let (right, turn) = self.passwords.right(turn, &name, secret, stored).await;
                if !right {
                    let verdict = self.wrong(user, from).await;
                    // Only now: whoever has it next sees this one counted.
                    drop(turn);
                    return Ok(verdict);
                }
            }
        }
        Ok(match found {
            Some(found) => by_password(found),
            None => Verdict::Wrong,
        })
    }

    /// A registry credential, in the name of whoever it was made for.
    async fn by_registry_credential(&self, user: &str, signed: &Secret) -> Result<Verdict, AccessStoreError> {
        let claims =
            self.keys.read(signed, self.clock.now()).filter(|claims| claims.registry && claims.session.is_some());
        let Some(claims) = claims else { return Ok(Verdict::Wrong) };
        Ok(match self.claimed(claims).await? {
            Verdict::Known(known) if known.caller.who.to_string() == user => Verdict::Known(known),
            _ => Verdict::Wrong,
        })
    }

    /// The live token behind a secret; with a name, only if it is the one that goes with it.
    pub(crate) async fn by_token(
        &self,
        name: Option<&str>,
        secret: &Secret,
    ) -> Result<Option<Verdict>, AccessStoreError> {
        let Some(found) = self.access.token_find(&hash(secret)).await? else { return Ok(None) };
        if name.is_some_and(|name| name != found.token.sign_in_name()) {
            return Ok(None);
        }
        let now = self.clock.now();
        let Some(known) = self.live(found) else { return Ok(None) };
        if worth_noting(&known.1, now) {
            // A lost note of a use is no reason to refuse the use.
            if let Err(why) = self.access.token_touch(&known.1.id, now).await {
                tracing::warn!(error = %why, "the use of a token could not be noted");
            }
        }
        Ok(Some(Verdict::Known(Arc::new(known.0))))
    }

    fn live(&self, found: TokenAccess) -> Option<(Known, Token)> {
        let TokenAccess { token, user } = found;
        if !token.is_live(self.clock.now()) {
            return None;
        }
        let (who, rights) = match &token.subject {
            Subject::User(name) => (Who::User(name.clone()), rights_of(&user?)),
            // A robot's scopes are its rights.
            Subject::Owner(owner) => {
                let who = Who::Robot { owner: owner.clone(), name: token.name.clone() };
                (who, Rights::scopes(token.scopes.clone().unwrap_or_default()))
            }
        };
        let rights = match (&token.subject, &token.scopes) {
            (Subject::User(_), Some(scopes)) => rights.bounded(scopes.clone()),
            _ => rights,
        };
        let session = Some(Session::Token(token.id.clone(), start(&token.hash)));
        let caller = Caller { who, token: Some(token.id.clone()), rights: rights.clone() };
        let ends = token.expires;
        Some((Known { caller, at_most: rights, session, expires: None, ends }, token))
    }

    /// A signed credential opens only what it names, and only as long as what it was made with lives.
    async fn signed(&self, secret: &Secret) -> Result<Verdict, AccessStoreError> {
        match self.keys.read(secret, self.clock.now()) {
            Some(claims) if !claims.refresh && !claims.registry => self.claimed(claims).await,
            _ => Ok(Verdict::Wrong),
        }
    }

    /// What a refresh token stands for: the token or password it was made with, with all its rights.
    pub(crate) async fn refreshed(&self, secret: &Secret, from: Option<IpAddr>) -> Result<Verdict, AccessStoreError> {
        if secret.expose().starts_with(SECRET_PREFIX) {
            return self.bearer(secret, from).await;
        }
        let claims = self.keys.read(secret, self.clock.now()).filter(|claims| claims.refresh);
        let Some(Claims { session: Some(session), expires, .. }) = claims else {
            return Ok(self.wrong("(refresh)", from).await);
        };
        Ok(match self.resumed(session).await? {
            // What is made with it ends with it: it may come from something that ends sooner than what is resumed.
            Some(known) => Verdict::Known(Arc::new(Known { expires: Some(expires), ..known })),
            None => Verdict::Wrong,
        })
    }

    /// Whoever is behind a session, if it lives.
    async fn resumed(&self, session: Session) -> Result<Option<Known>, AccessStoreError> {
        Ok(match session {
            Session::Anonymous => None,
            Session::Token(id, mark) => {
                let found = self.access.token_get(&id).await?.filter(|found| start(&found.token.hash) == mark);
                found.and_then(|found| self.live(found)).map(|(known, _)| known)
            }
            Session::Password(name, mark) => {
                let found = self.access.user_get(&name).await?;
                match found.map(by_password) {
                    Some(Verdict::Known(known)) if known.session == Some(Session::Password(name, mark)) => {
                        Some(Arc::unwrap_or_clone(known))
                    }
                    _ => None,
                }
            }
        })
    }

    /// The same when the credential's own few minutes don't matter: somebody is in the middle of what it let begin.
    pub(crate) async fn still(
        &self,
        headers: &HeaderMap,
        peer: Option<SocketAddr>,
    ) -> Result<Verdict, AccessStoreError> {
        let secret = match presented(headers) {
            Presented::Bearer(secret) => secret,
            Presented::Basic(user, secret) if user == PULL_USER => secret,
            Presented::Basic(_, secret) if is_registry(&secret) => {
                Secret::new(secret.expose().strip_prefix(REGISTRY_PREFIX).unwrap_or_default())
            }
            _ => return self.who(headers, peer, Signed::Accepted).await,
        };
        match self.keys.read_ended(&secret) {
            Some(claims) => self.claimed(claims).await,
            None => self.who(headers, peer, Signed::Accepted).await,
        }
    }

    async fn claimed(&self, claims: Claims) -> Result<Verdict, AccessStoreError> {
        let scopes = claims.scopes();
        let Claims { session, expires, .. } = claims;
        let expires = Some(expires);
        let known = match session {
            // The engine's credential is its own proof.
            None => {
                let caller = Caller { who: Who::Engine, token: None, rights: Rights::scopes(scopes) };
                return Ok(Verdict::Known(Arc::new(Known {
                    at_most: caller.rights.clone(),
                    caller,
                    session: None,
                    expires,
                    ends: None,
                })));
            }
            Some(Session::Anonymous) => {
                let caller = Caller::anonymous();
                let session = Some(Session::Anonymous);
                return Ok(Verdict::Known(Arc::new(Known {
                    at_most: caller.rights.clone(),
                    caller,
                    session,
                    expires,
                    ends: None,
                })));
            }
            Some(session) => self.resumed(session).await?,
        };
        Ok(match known {
            Some(mut known) => {
                known.caller.rights = known.caller.rights.bounded(scopes);
                known.expires = expires;
                Verdict::Known(Arc::new(known))
            }
            None => Verdict::Wrong,
        })
    }

    /// Counts a wrong credential and writes it down.
    async fn wrong(&self, name: &str, from: Option<IpAddr>) -> Verdict {
        let now = self.clock.now();
        if self.throttle.wrong(name, from, now) {
            self.refused("sign_in", name, from, now).await;
        }
        Verdict::Wrong
    }

    /// Counts what somebody from elsewhere showed and what opens nothing, and writes it down under the operation.
    pub(crate) async fn refused_elsewhere(&self, action: &str, who: &str, from: Option<IpAddr>) {
        let now = self.clock.now();
        if self.throttle.wrong_from(from, now) {
            self.refused(action, who, from, now).await;
        }
    }

    async fn refused(&self, action: &str, who: &str, from: Option<IpAddr>, now: Timestamp) {
        let record = AuditRecord {
            at: now,
            who: printable(who),
            token: None,
            from: from.map(|from| from.to_string()).unwrap_or_default(),
            action: action.to_owned(),
            target: String::new(),
            status: 401,
            environment: None,
        };
        if let Err(why) = self.access.audit_append(&record).await {
            tracing::error!(error = %why, "a refused sign-in could not be written to the audit log");
        }
    }
}

/// Text that somebody unknown sent, fit for a log. Some put a token where the name belongs: it may be a living one.
fn printable(text: &str) -> String {
    if [SECRET_PREFIX, REGISTRY_PREFIX].iter().any(|prefix| text.contains(prefix)) {
        return "(a token in the place of a name)".to_owned();
    }
    text.chars().map(|c| if c.is_control() { '?' } else { c }).take(PART_MAX / 4).collect()
}

/// Whether it says of itself that it is a registry credential.
fn is_registry(secret: &Secret) -> bool {
    secret.expose().starts_with(REGISTRY_PREFIX)
}

fn rights_of(access: &UserAccess) -> Rights {
    if access.user.admin { Rights::everything() } else { Rights::of_members(&access.members) }
}

fn by_password(access: UserAccess) -> Verdict {
    let Some(stored) = &access.user.password else { return Verdict::Wrong };
    let mark = start(&Sha256::digest(stored.expose().as_bytes()).into());
    let rights = rights_of(&access);
    let caller = Caller { who: Who::User(access.user.name.clone()), token: None, rights: rights.clone() };
    let session = Some(Session::Password(access.user.name, mark));
    Verdict::Known(Arc::new(Known { caller, at_most: rights, session, expires: None, ends: None }))
}

/// Enough of a hash to tell one from another.
fn start(hash: &[u8; 32]) -> [u8; 8] {
    [hash[0], hash[1], hash[2], hash[3], hash[4], hash[5], hash[6], hash[7]]
}

/// Whether somebody may do all of some actions on a place.
pub(crate) fn may_all(rights: &Rights, actions: &[Action], place: Place<'_>) -> bool {
    actions.iter().all(|action| rights.may(*action, place))
}
