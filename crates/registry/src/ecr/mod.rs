//! Repositories whose bytes lie in ECR, behind the same front: the same users, tokens and rights, the same routes.
//!
//! ```text
//! client ──/v2/team/app/…──▶ routes: who is it, may it?  ──/v2/PREFIX/team/app/…──▶ ECR's registry   token, upstream, replay, pace
//!        ◀── answer in the specification's form, our names ── translate ◀───────────┘
//! API    ──/repository/…───▶ repositories ────────────────────────────────────────▶ ECR's API        api
//! ```
//!
//! - ECR is what there is: no list of repositories or images is kept beside it. What somebody pushes to the backing URI is
//!   there under the friendly name at once.
//! - Everything under the prefix can be reached by a friendly name, by those who have rights there. Deleted as a repository is
//!   only what bears the instance's mark.
//! - A caller is let in before anything of the request goes to ECR. The server's token goes to ECR alone; of the client's
//!   request goes on only what is named in the routes.
//!
//! Choices and what was rejected: `docs/decisions/0011-ecr-registry.md`. Where ECR differs: `docs/ecr.md`.

mod adopt;
mod api;
mod backings;
mod each_policies;
mod end;
pub(crate) mod images;
mod immutable;
mod pace;
mod policies;
pub(crate) mod replay;
mod repositories;
mod token;
pub(crate) mod translate;
pub(crate) mod uploads;
pub(crate) mod upstream;
mod usage;

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use aws_smithy_types::retry::RetryConfig;
use aws_types::SdkConfig;
use http::uri::{Authority, Scheme};
use http::{HeaderValue, Uri};
use layer0_domain::model::backing::{BackingPlace, PrefixError};
use layer0_domain::model::image::RepositoryName;
use layer0_domain::model::image_map::{EcrHost, EcrHostForm};
use layer0_domain::port::BoxError;
use layer0_domain::port::clock::Clock;
use layer0_domain::port::public_store::PublicStore;

use self::api::Api;
pub use self::backings::{Backings, ONLY};
pub use self::each_policies::EachPolicies;
pub use self::immutable::TagRules;
use self::pace::Pace;
pub(crate) use self::pace::Taking;
pub use self::policies::{EcrClient, EcrPolicies};
pub(crate) use self::repositories::Rules;
pub(crate) use self::token::Tokens;
pub use self::token::{Fetched, TokenSource};
use self::uploads::Uploads;
use self::upstream::{Endpoint, Upstream};
pub use self::usage::Quotas;
pub(crate) use self::usage::Reserved;
use self::usage::Usage;
use crate::adoption::Origin;

/// Tries of one call of ECR's API.
const TRIES: u32 = 4;

/// Where tokens of ECR come from in the region of `sdk`, for whoever has nothing else to do with ECR's API.
#[must_use]
pub fn token_source(sdk: &SdkConfig) -> Arc<dyn TokenSource> {
    let sdk = sdk.to_builder().retry_config(RetryConfig::standard().with_max_attempts(TRIES)).build();
    Arc::new(Api::new(aws_sdk_ecr::Client::new(&sdk)))
}

/// What new repositories are like.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Template {
    /// Whether tags may not be moved.
    pub tags_immutable: bool,
    /// Whether ECR looks at each pushed image.
    pub scan_on_push: bool,
    /// The KMS key that images are encrypted with; `None` for ECR's own (AES-256).
    pub kms_key: Option<String>,
    /// Which images ECR lets go by itself: a lifecycle policy, as JSON; `None` for none.
    pub lifecycle: Option<String>,
    /// Tags beside the instance's own.
    pub tags: BTreeMap<String, String>,
}

/// How the bytes of blobs reach clients.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Blobs {
    /// From where ECR sends clients to (S3): they do not cross the server.
    #[default]
    Redirected,
    /// Through the server, for clients that can't reach S3.
    Streamed,
}

/// The settings.
#[derive(Debug, Clone, Default)]
pub struct EcrSettings {
    /// The account that the registry is of, 12 digits; `None` for that of the credentials, whichever it is.
    pub account: Option<String>,
    /// What stands before the names of all repositories; empty for nothing.
    pub prefix: String,
    /// Which of the registry's hosts is worked with.
    pub form: EcrHostForm,
    /// The registry's name for those who pull from it; `None` for the host.
    pub host: Option<String>,
    /// What stands in for ECR's registry, for emulators: `http://127.0.0.1:4566`.
    pub endpoint: Option<String>,
    /// How the bytes of blobs reach clients.
    pub blobs: Blobs,
    /// What new repositories are like.
    pub template: Template,
}

impl EcrSettings {
    /// The address that is worked with, out of the one that ECR names.
    fn chosen(&self, (scheme, named): (Scheme, Authority)) -> Result<(Scheme, Authority), EcrError> {
        // What stands in for ECR has a name that says nothing.
        let Some(host) = EcrHost::parse(named.as_str()) else { return Ok((scheme, named)) };
        match &self.account {
            Some(wanted) if *wanted != host.account => {
                return Err(EcrError::Account { wanted: wanted.clone(), found: host.account });
            }
            _ if self.form == EcrHostForm::Plain => return Ok((scheme, named)),
            _ => {}
        }
        let name = host.name(self.form).ok_or_else(|| EcrError::Form { region: host.region.clone() })?;
        let authority = name.parse().map_err(|_| EcrError::Endpoint(name.clone()))?;
        Ok((scheme, authority))
    }
}

/// Why ECR can't be worked with.
#[derive(Debug, thiserror::Error)]
pub enum EcrError {
    /// The prefix is none.
    #[error(transparent)]
    Prefix(#[from] PrefixError),
    /// What stands in for ECR is no address.
    #[error("`{0}` is no address of a registry, such as `http://127.0.0.1:4566`")]
    Endpoint(String),
    /// The credentials are of another account.
    #[error(
        "the registry is to be that of account {wanted}, and the server's credentials are for {found}: name a role of that account (`role_arn`)"
    )]
    Account {
        /// Whose registry is wanted.
        wanted: String,
        /// Whose is had.
        found: String,
    },
    /// The partition has no such host.
    #[error("no dual-stack host of ECR is known in {region}: say the name that is used (`host`)")]
    Form {
        /// Where.
        region: String,
    },
    /// No token is given, or TLS can't be used.
    #[error("ECR lets this server not in")]
    Closed(#[source] BoxError),
}

/// What else a repository gets when it is made, adopted, or has moved into ECR: its policy.
#[async_trait]
pub trait Furnish: Send + Sync {
    /// Gives the repository of this name in ECR what it needs, and takes away what it must not have any more when it was there
    /// before. Called after each creation, and again when a creation is repeated: a second call must change nothing.
    ///
    /// # Errors
    /// The creation fails with it, and can be repeated.
    async fn furnish(&self, repository: &RepositoryName, ecr_name: &str, origin: Origin) -> Result<(), BoxError>;
}

/// ECR, as the backing of a registry. Clones are the same.
#[derive(Clone)]
pub struct Ecr {
    parts: Arc<Parts>,
}

#[derive(Clone)]
struct Parts {
    api: Api,
    upstream: Upstream,
    place: BackingPlace,
    /// The value of the mark on repositories.
    instance: String,
    template: Template,
    blobs: Blobs,
    pace: Arc<Pace>,
    uploads: Arc<Uploads>,
    furnish: Option<Arc<dyn Furnish>>,
    tag_rules: Option<Arc<dyn TagRules>>,
    quotas: Option<Arc<dyn Quotas>>,
    public: Option<Arc<dyn PublicStore>>,
    usage: Arc<Usage>,
}

impl std::fmt::Debug for Ecr {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ecr").field("place", &self.parts.place).finish_non_exhaustive()
    }
}

impl Ecr {
    /// Asks ECR for a token and for the registry's address, with the credentials of `sdk`.
    ///
    /// # Errors
    /// A setting is wrong, or ECR does not let this server in.
    pub async fn connect(sdk: &SdkConfig, settings: EcrSettings, clock: Arc<dyn Clock>) -> Result<Self, EcrError> {
        // The adaptive retry makes a client that hardly calls wait for seconds after a single throttle.
        let sdk = sdk.to_builder().retry_config(RetryConfig::standard().with_max_attempts(TRIES)).build();
        let api = Api::new(aws_sdk_ecr::Client::new(&sdk));
        let (token, address) = api.token().await.map_err(|error| EcrError::Closed(error.into()))?;
        let (scheme, authority) = settings.chosen(address_of(&address)?)?;
        let name = authority.to_string();
        let (scheme, authority) = match &settings.endpoint {
            Some(endpoint) => address_of(endpoint)?,
            None => (scheme, authority),
        };
        let host = HeaderValue::from_str(&name).map_err(|_| EcrError::Endpoint(address.clone()))?;
        let place = BackingPlace::new(settings.host.unwrap_or(name), &settings.prefix)?;
        let tokens = Tokens::new(Arc::new(api.clone()), clock).holding(&token).map_err(EcrError::Closed)?;
        let upstream = Upstream::new(Endpoint { scheme, authority, host }, tokens).map_err(EcrError::Closed)?;
        let (template, blobs, pace) = (settings.template, settings.blobs, Arc::new(Pace::new()));
        let uploads = Arc::new(Uploads::new());
        let instance = String::new();
        let parts = Parts {
            api,
            upstream,
            place,
            instance,
            template,
            blobs,
            pace,
            uploads,
            furnish: None,
            tag_rules: None,
            quotas: None,
            public: None,
            usage: Arc::default(),
        };
        Ok(Self { parts: Arc::new(parts) })
    }

    /// The same, which marks what it makes as this instance's.
    #[must_use]
    pub fn of_instance(self, instance: impl Into<String>) -> Self {
        let instance = instance.into();
        Self { parts: Arc::new(Parts { instance, ..Parts::clone(&self.parts) }) }
    }

    /// The same, which gives new repositories what else they need.
    #[must_use]
    pub fn furnished_by(self, furnish: Arc<dyn Furnish>) -> Self {
        Self { parts: Arc::new(Parts { furnish: Some(furnish), ..Parts::clone(&self.parts) }) }
    }

    /// The same, which keeps to the owners' rules of immutable tags.
    #[must_use]
    pub fn ruled_by(self, rules: Arc<dyn TagRules>) -> Self {
        Self { parts: Arc::new(Parts { tag_rules: Some(rules), ..Parts::clone(&self.parts) }) }
    }

    /// The same, which keeps to the owners' quotas.
    #[must_use]
    pub fn bounded_by(self, quotas: Arc<dyn Quotas>) -> Self {
        Self { parts: Arc::new(Parts { quotas: Some(quotas), ..Parts::clone(&self.parts) }) }
    }

    /// The same, where repositories can be public.
    #[must_use]
    pub fn open_to_all_of(self, public: Arc<dyn PublicStore>) -> Self {
        Self { parts: Arc::new(Parts { public: Some(public), ..Parts::clone(&self.parts) }) }
    }

    /// Where the repositories lie.
    #[must_use]
    pub fn place(&self) -> &BackingPlace {
        &self.parts.place
    }

    /// Whether both are one registry.
    pub(crate) fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.parts, &other.parts)
    }

    /// The way to ECR's registry.
    pub(crate) fn upstream(&self) -> &Upstream {
        &self.parts.upstream
    }

    /// How the bytes of blobs reach clients.
    pub(crate) fn blobs(&self) -> Blobs {
        self.parts.blobs
    }

    /// Uploads that are under way.
    pub(crate) fn uploads(&self) -> &Uploads {
        &self.parts.uploads
    }

    /// Waits until ECR may be given one more.
    pub(crate) async fn turn(&self, what: Taking) {
        self.parts.pace.turn(what).await;
    }
}

/// Scheme and authority of an address.
fn address_of(text: &str) -> Result<(Scheme, Authority), EcrError> {
    let wrong = || EcrError::Endpoint(text.to_owned());
    let parts = text.parse::<Uri>().map_err(|_| wrong())?.into_parts();
    match (parts.scheme, parts.authority) {
        (Some(scheme), Some(authority)) if scheme == Scheme::HTTP || scheme == Scheme::HTTPS => Ok((scheme, authority)),
        _ => Err(wrong()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_registry_is_asked_at_the_host_of_the_form_that_is_chosen() {
        let chosen = |form: EcrHostForm, account: Option<&str>, named: &str| {
            let settings = EcrSettings { form, account: account.map(str::to_owned), ..EcrSettings::default() };
            settings.chosen(address_of(named).expect("an address")).map(|(_, authority)| authority.to_string())
        };
        let named = "https://123456789012.dkr.ecr.us-gov-west-1.amazonaws.com";
        for (form, host) in [
            (EcrHostForm::Plain, "123456789012.dkr.ecr.us-gov-west-1.amazonaws.com"),
            (EcrHostForm::Fips, "123456789012.dkr.ecr-fips.us-gov-west-1.amazonaws.com"),
            (EcrHostForm::DualStack, "123456789012.dkr-ecr.us-gov-west-1.on.aws"),
            (EcrHostForm::DualStackFips, "123456789012.dkr-ecr-fips.us-gov-west-1.on.aws"),
        ] {
            assert_eq!(chosen(form, Some("123456789012"), named).expect("there is one"), host);
        }
        assert!(matches!(chosen(EcrHostForm::Plain, Some("210987654321"), named), Err(EcrError::Account { .. })));
        let sovereign = "https://123456789012.dkr.ecr.eusc-de-east-1.amazonaws.eu";
        assert!(matches!(chosen(EcrHostForm::DualStack, None, sovereign), Err(EcrError::Form { .. })));
        let stand_in = chosen(EcrHostForm::Fips, Some("210987654321"), "http://127.0.0.1:4566");
        assert_eq!(stand_in.expect("it has one name"), "127.0.0.1:4566");
    }

    #[test]
    fn an_address_has_a_scheme_and_a_host() {
        let (scheme, authority) = address_of("http://127.0.0.1:4566/").expect("an address");
        assert_eq!((scheme, authority.as_str()), (Scheme::HTTP, "127.0.0.1:4566"));
        for wrong in ["127.0.0.1:4566", "ftp://host", "http://", "", "/v2/"] {
            assert!(address_of(wrong).is_err(), "{wrong}");
        }
    }
}
