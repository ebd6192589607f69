//! Who somebody from elsewhere is: the signature of a token is its issuer's, the caller is whom AWS names. What that is good for
//! the trusts say ([`choose`](layer0_domain::plan::trust::choose)).
//!
//! Whoever asks is unknown, so nothing is fetched that nobody trusts: the issuers are those of trusts and the provider of the
//! configuration, the hosts those of AWS. Redirects are not followed, and answers are read up to a bound.

mod fetch;
mod issuers;
mod provider;
mod signature;
mod sts;

use std::sync::Arc;

use layer0_api::types::SignedAwsCall;
use layer0_domain::model::time::Timestamp;
use layer0_domain::model::trust::{Audience, Claims, Evidence, Issuer, SignedCall, SignedToken, Trust};
use layer0_domain::plan::trust::{Identity, shown};
use layer0_domain::port::BoxError;
use layer0_domain::port::clock::Clock;
use tokio::sync::Semaphore;

use self::fetch::Fetcher;
use self::issuers::Issuers;
pub(crate) use self::provider::{DeviceBegun, Standing};
use self::sts::Sts;

/// So many questions to the provider of people go on at once.
const AT_ONCE: usize = 16;

/// Why it is not known who somebody is.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unproven {
    /// What was shown proves nothing.
    #[error("{0}")]
    Refused(String),
    /// Whoever could say it does not answer.
    #[error("{what}")]
    Unavailable {
        /// Who, in words that may be shown to anybody.
        what: String,
        /// What went wrong; for the log.
        #[source]
        source: BoxError,
    },
}

impl Unproven {
    fn refused(why: impl ToString) -> Self {
        Unproven::Refused(why.to_string())
    }
}

/// Finds out who somebody is.
pub(crate) struct Exchange {
    clock: Arc<dyn Clock>,
    fetcher: Arc<Fetcher>,
    issuers: Issuers,
    sts: Sts,
    turns: Semaphore,
}

impl Exchange {
    /// With nothing known yet. `sts` stands in for AWS.
    pub(crate) fn new(clock: Arc<dyn Clock>, sts: Option<String>) -> Self {
        let fetcher = Arc::new(Fetcher::default());
        Self {
            issuers: Issuers::new(fetcher.clone(), clock.clone()),
            sts: Sts::new(fetcher.clone(), sts),
            turns: Semaphore::new(AT_ONCE),
            fetcher,
            clock,
        }
    }

    fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Whom a token of OpenID Connect was given to. Its issuer must be one of a trust's.
    pub(crate) async fn of_token(&self, text: &str, trusts: &[Trust]) -> Result<Identity, Unproven> {
        let token = SignedToken::parse(text.trim()).map_err(Unproven::refused)?;
        let named = token.claims.issuer().unwrap_or_default();
        let issuer = trusts.iter().find_map(|trust| match &trust.evidence {
            Evidence::Oidc { issuer, .. } if issuer.as_str() == named => Some(issuer),
            Evidence::Oidc { .. } | Evidence::Aws { .. } => None,
        });
        let Some(issuer) = issuer else {
            return Err(Unproven::Refused(format!("no trust is about tokens of `{}`", shown(named))));
        };
        Ok(Identity::Oidc(self.checked(issuer, token).await?))
    }

    /// What a token says that this issuer signed.
    async fn signed_by(&self, issuer: &Issuer, text: &str) -> Result<Claims, Unproven> {
        let token = SignedToken::parse(text.trim()).map_err(Unproven::refused)?;
        self.checked(issuer, token).await
    }

    async fn checked(&self, issuer: &Issuer, token: SignedToken) -> Result<Claims, Unproven> {
        // Before any key is fetched: whoever has an old token is told so, whatever its issuer does now.
        token.claims.check_time(self.now()).map_err(Unproven::refused)?;
        let key = self.issuers.key(issuer, &token.key_id, token.algorithm).await?;
        if !signature::holds(&key, token.signed.as_bytes(), &token.signature) {
            return Err(Unproven::Refused(format!("the token's signature is not that of {issuer}")));
        }
        Ok(token.claims)
    }

    /// Who signed a call of AWS.
    pub(crate) async fn of_call(&self, call: SignedAwsCall) -> Result<Identity, Unproven> {
        let SignedAwsCall { host, authorization, date, security_token, server } = call;
        let audience = Audience::parse(&server).map_err(Unproven::refused)?;
        let signed = SignedCall { authorization, date, session: security_token, audience };
        signed.check(self.now()).map_err(Unproven::refused)?;
        // Sent as it was signed: what differs by a slash is not what was signed.
        let caller = self.sts.caller(&host, &signed, &server).await?;
        Ok(Identity::Aws { caller, audience: signed.audience })
    }
}
