//! The server's own authorization token for ECR: one for the whole registry, fetched once for all who wait, renewed beside
//! the requests long before it ends.
//!
//! ```text
//! none ──fetch──▶ good ──from renew_at on──▶ good, a new one is fetched beside ──▶ good (the new one)
//!   ▲               │ refused by ECR                     │ could not be fetched, or its end came
//!   └───────────────┴────────────────────────────────────┘ everybody waits for the one fetch
//! ```
//!
//! The token never leaves this module but in a header that is marked as sensitive, which no log shows.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Shared};
use http::HeaderValue;
use layer0_domain::model::access::Secret;
use layer0_domain::model::time::Timestamp;
use layer0_domain::port::BoxError;
use layer0_domain::port::clock::{Clock, ClockExt};

/// How long a token is believed whose end is not told, or is past when it is fetched.
const UNTOLD_MS: i64 = 60 * 1000;
/// A token that is younger than this is not renewed because ECR refused it: it is not the token that is wrong.
const YOUNG_MS: u64 = 10 * 1000;
/// How long after a fetch that failed the next one begins, while the old token is still good.
const AGAIN_MS: u64 = 30 * 1000;

/// A token as ECR gives it.
#[derive(Debug, Clone)]
pub struct Fetched {
    /// base64 of `AWS:password`: what stands behind `Basic`.
    pub authorization: Secret,
    /// When it ends; `None` when that is not told.
    pub expires: Option<Timestamp>,
}

/// Where tokens come from.
#[async_trait]
pub trait TokenSource: Send + Sync {
    /// A new token.
    ///
    /// # Errors
    /// Whatever kept it from being had; the text goes to the log and names no secret.
    async fn fetch(&self) -> Result<Fetched, BoxError>;
}

/// A token that was fetched.
#[derive(Debug)]
pub(crate) struct Token {
    /// `Basic …`, marked as sensitive.
    pub(crate) header: HeaderValue,
    fetched: Timestamp,
    renew_at: Timestamp,
    expires: Timestamp,
}

/// No token could be had. Cloned to everybody who waited for it.
#[derive(Debug, Clone, thiserror::Error)]
#[error("no authorization token for ECR could be had")]
pub(crate) struct TokenError(#[source] Arc<dyn std::error::Error + Send + Sync>);

type Fetching = Shared<BoxFuture<'static, Result<Arc<Token>, TokenError>>>;

#[derive(Default)]
struct State {
    held: Option<Arc<Token>>,
    fetching: Option<Fetching>,
    /// When a fetch failed, if that was the last one.
    failed: Option<Timestamp>,
}

struct Inner {
    source: Arc<dyn TokenSource>,
    clock: Arc<dyn Clock>,
    state: Mutex<State>,
}

/// The token of a registry. Clones share it.
#[derive(Clone)]
pub(crate) struct Tokens {
    inner: Arc<Inner>,
}

impl Tokens {
    pub(crate) fn new(source: Arc<dyn TokenSource>, clock: Arc<dyn Clock>) -> Self {
        Self { inner: Arc::new(Inner { source, clock, state: Mutex::default() }) }
    }

    /// The same, with a token that was just fetched.
    ///
    /// # Errors
    /// It is none.
    pub(crate) fn holding(self, fetched: &Fetched) -> Result<Self, BoxError> {
        let token = self.inner.token(self.inner.clock.now(), fetched)?;
        self.inner.state().held = Some(Arc::new(token));
        Ok(self)
    }

    /// A token that is good now. Waits only when there is none.
    ///
    /// # Errors
    /// There is none, and none could be fetched.
    pub(crate) async fn current(&self) -> Result<Arc<Token>, TokenError> {
        let now = self.inner.clock.now();
        let fetching = {
            let mut state = self.inner.state();
            match state.held.clone() {
                Some(token) if now < token.renew_at => return Ok(token),
                Some(token) if now < token.expires => {
                    if !state.failed.is_some_and(|at| now.is_within(AGAIN_MS, at)) {
                        drop(self.begin(&mut state));
                    }
                    return Ok(token);
                }
                _ => self.begin(&mut state),
            }
        };
        fetching.await
    }

    /// Another token than `refused`, which ECR did not take; `None` when that one is so young that a new one would be
    /// refused as well.
    ///
    /// # Errors
    /// None could be fetched.
    pub(crate) async fn instead_of(&self, refused: &Arc<Token>) -> Result<Option<Arc<Token>>, TokenError> {
        let fetching = {
            let mut state = self.inner.state();
            match state.held.clone() {
                // Somebody else met the same refusal before.
                Some(held) if !Arc::ptr_eq(&held, refused) => return Ok(Some(held)),
                _ => {}
            }
            if self.inner.clock.now().is_within(YOUNG_MS, refused.fetched) {
                return Ok(None);
            }
            self.begin(&mut state)
        };
        fetching.await.map(Some)
    }

    /// The fetch that is under way, or a new one. It goes on when nobody waits for it any more.
    fn begin(&self, state: &mut State) -> Fetching {
        if let Some(fetching) = &state.fetching {
            return fetching.clone();
        }
        let inner = Arc::clone(&self.inner);
        let fetching = async move { inner.fetch().await }.boxed().shared();
        state.fetching = Some(fetching.clone());
        tokio::spawn(fetching.clone());
        fetching
    }
}

impl Inner {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn fetch(&self) -> Result<Arc<Token>, TokenError> {
        let asked = self.clock.now();
        let result = self.source.fetch().await.and_then(|fetched| self.token(asked, &fetched));
        let mut state = self.state();
        state.fetching = None;
        match result {
            Ok(token) => {
                tracing::debug!("fetched an authorization token for ECR");
                let token = Arc::new(token);
                state.held = Some(Arc::clone(&token));
                state.failed = None;
                Ok(token)
            }
            Err(source) => {
                tracing::warn!(error = %source, "no authorization token for ECR could be had: {source}");
                state.failed = Some(self.clock.now());
                Err(TokenError(Arc::from(source)))
            }
        }
    }

    /// From `asked` on a token lives until it expires. It is renewed after half of that and up to a quarter more, by chance, so
    /// that many servers that were started together do not all renew together.
    fn token(&self, asked: Timestamp, fetched: &Fetched) -> Result<Token, BoxError> {
        let told = fetched.expires.map_or(0, |expires| expires.0.saturating_sub(asked.0));
        let lives_ms = if told > 0 { told } else { UNTOLD_MS };
        let chance = i64::try_from(self.clock.random_u64() % 1024).unwrap_or(0);
        let renew_ms = lives_ms / 2 + lives_ms / 4 / 1024 * chance;
        let mut header = HeaderValue::from_str(&format!("Basic {}", fetched.authorization.expose()))
            .map_err(|_| BoxError::from("what ECR answered is no token"))?;
        header.set_sensitive(true);
        Ok(Token { header, fetched: asked, renew_at: asked.plus_ms(renew_ms), expires: asked.plus_ms(lives_ms) })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use layer0_testkit::clock::FixedClock;
    use tokio::sync::Semaphore;

    use super::*;

    const LIFE_MS: i64 = 12 * 60 * 60 * 1000;

    /// Gives numbered tokens, each when it is let.
    struct Numbered {
        clock: Arc<FixedClock>,
        given: AtomicUsize,
        let_go: Semaphore,
        fails: AtomicUsize,
    }

    #[async_trait]
    impl TokenSource for Numbered {
        async fn fetch(&self) -> Result<Fetched, BoxError> {
            self.let_go.acquire().await?.forget();
            let number = self.given.fetch_add(1, Ordering::SeqCst);
            if number < self.fails.load(Ordering::SeqCst) {
                return Err("denied".into());
            }
            let expires = Some(self.clock.now().plus_ms(LIFE_MS));
            Ok(Fetched { authorization: Secret::new(format!("token{number}")), expires })
        }
    }

    fn stage(fails: usize) -> (Arc<FixedClock>, Arc<Numbered>, Tokens) {
        let clock = Arc::new(FixedClock::default());
        let source = Arc::new(Numbered {
            clock: Arc::clone(&clock),
            given: AtomicUsize::new(0),
            let_go: Semaphore::new(0),
            fails: AtomicUsize::new(fails),
        });
        let tokens = Tokens::new(Arc::clone(&source) as Arc<dyn TokenSource>, Arc::clone(&clock) as Arc<dyn Clock>);
        (clock, source, tokens)
    }

    fn text(token: &Token) -> &str {
        token.header.to_str().expect("plain text")
    }

    #[tokio::test]
    async fn all_who_wait_share_one_fetch() {
        let (_, source, tokens) = stage(0);
        let waiting: Vec<_> = (0..50)
            .map(|_| {
                let tokens = tokens.clone();
                tokio::spawn(async move { tokens.current().await })
            })
            .collect();
        tokio::task::yield_now().await;
        source.let_go.add_permits(100);
        for one in waiting {
            let token = one.await.expect("no panic").expect("a token");
            assert_eq!(text(&token), "Basic token0");
        }
        assert_eq!(source.given.load(Ordering::SeqCst), 1);
    }

    #[tokio::test]
    async fn a_token_is_renewed_beside_the_requests_and_early() {
        let (clock, source, tokens) = stage(0);
        source.let_go.add_permits(1);
        let first = tokens.current().await.expect("a token");
        clock.advance_ms(LIFE_MS / 2 - 1);
        assert!(Arc::ptr_eq(&first, &tokens.current().await.expect("a token")));
        clock.advance_ms(LIFE_MS / 4 + 1);
        // The fetch can't end yet, and nobody waits for it.
        assert!(Arc::ptr_eq(&first, &tokens.current().await.expect("a token")));
        source.let_go.add_permits(1);
        let fetching = tokens.inner.state().fetching.clone().expect("a fetch is under way");
        fetching.await.expect("a token");
        assert_eq!(text(&tokens.current().await.expect("a token")), "Basic token1");
    }

    #[tokio::test]
    async fn a_refused_token_is_renewed_once_for_all_and_not_when_it_is_young() {
        let (clock, source, tokens) = stage(0);
        source.let_go.add_permits(10);
        let first = tokens.current().await.expect("a token");
        assert!(tokens.instead_of(&first).await.expect("no failure").is_none(), "it is young");
        clock.advance_ms(YOUNG_MS as i64);
        let (one, other) = tokio::join!(tokens.instead_of(&first), tokens.instead_of(&first));
        let (one, other) = (one.expect("a token").expect("another"), other.expect("a token").expect("another"));
        assert!(Arc::ptr_eq(&one, &other));
        assert_eq!(source.given.load(Ordering::SeqCst), 2);
    }

    #[tokio::test]
    async fn a_clock_that_was_set_back_makes_no_token_young_for_ever() {
        let (clock, source, tokens) = stage(0);
        source.let_go.add_permits(10);
        let first = tokens.current().await.expect("a token");
        clock.advance_ms(-LIFE_MS);
        let other = tokens.instead_of(&first).await.expect("no failure").expect("another");
        assert_eq!(text(&other), "Basic token1");
    }

    #[tokio::test]
    async fn a_failed_renewal_leaves_the_old_token_until_its_end() {
        let (clock, source, tokens) = stage(0);
        source.let_go.add_permits(10);
        let first = tokens.current().await.expect("a token");
        source.fails.store(usize::MAX, Ordering::SeqCst);
        clock.advance_ms(LIFE_MS - 1);
        assert!(Arc::ptr_eq(&first, &tokens.current().await.expect("a token")));
        let fetching = tokens.inner.state().fetching.clone();
        if let Some(fetching) = fetching {
            fetching.await.expect_err("it fails");
        }
        // Not at once again.
        assert!(Arc::ptr_eq(&first, &tokens.current().await.expect("a token")));
        assert_eq!(source.given.load(Ordering::SeqCst), 2);
        clock.advance_ms(1);
        let error = tokens.current().await.expect_err("it has expired");
        assert_eq!(error.to_string(), "no authorization token for ECR could be had");
    }

    #[tokio::test]
    async fn no_text_of_a_token_shows_it() {
        let (_, source, tokens) = stage(0);
        source.let_go.add_permits(1);
        let token = tokens.current().await.expect("a token");
        assert!(!format!("{token:?}").contains("token0"), "{token:?}");
    }
}
