//! Calls of services whose SDK is not worth its weight: EC2, of which a few reads are wanted (`aws-sdk-ec2` alone takes
//! eleven minutes to compile), Organizations and CloudTrail. Signed with the same credentials, sent with the same HTTP client,
//! within the same times and tries as the SDK's own calls.

use std::time::{Duration, SystemTime};

use aws_config::SdkConfig;
use aws_credential_types::provider::ProvideCredentials;
use aws_sigv4::http_request::{
    PayloadChecksumKind, PercentEncodingMode, SignableBody, SignableRequest, SigningSettings, UriPathNormalizationMode,
    sign,
};
use aws_sigv4::sign::v4;
use aws_smithy_runtime::client::auth::no_auth::{NO_AUTH_SCHEME_ID, NoAuthScheme};
use aws_smithy_runtime::client::identity::IdentityCache;
use aws_smithy_runtime::client::identity::no_auth::NoAuthIdentityResolver;
use aws_smithy_runtime::client::orchestrator::endpoints::StaticUriEndpointResolver;
use aws_smithy_runtime::client::retries::strategy::NeverRetryStrategy;
use aws_smithy_runtime_api::client::auth::static_resolver::StaticAuthSchemeOptionResolver;
use aws_smithy_runtime_api::client::http::{HttpClient, HttpConnector, HttpConnectorSettings};
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_runtime_api::client::runtime_components::{RuntimeComponents, RuntimeComponentsBuilder};
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::byte_stream::ByteStream;
use aws_smithy_types::timeout::TimeoutConfig;
use aws_types::service_config::ServiceConfigKey;
use futures_util::future::BoxFuture;
use layer0_domain::model::image_map::partition_of;
use layer0_domain::port::BoxError;
use serde_json::Value;

use crate::{AwsError, Kind};

/// The longest answer that is read. A VPC with a hundred route tables of a hundred routes stays below it.
const ANSWER_MAX: usize = 8 * 1024 * 1024;
/// One try, where the configuration says nothing.
const TRY_MAX: Duration = Duration::from_secs(10);
/// Tries of one call, where the configuration says nothing.
pub const TRIES: u32 = 4;
/// The first wait before a repetition; each next one is twice as long.
const FIRST_WAIT: Duration = Duration::from_millis(100);

/// A service that is called so.
#[derive(Debug, Clone)]
pub struct Place {
    /// Its name in signatures.
    pub service: &'static str,
    /// The region of the signature.
    pub region: String,
    /// `https://…`
    pub endpoint: String,
}

/// A request to be signed.
#[derive(Debug, Clone)]
pub struct Question {
    /// The call, as IAM writes it.
    pub op: &'static str,
    /// `POST` for all but the REST protocols.
    pub method: &'static str,
    /// Path and query, percent-encoded as they go out.
    pub path: String,
    /// Headers beside those of the signature.
    pub headers: Vec<(&'static str, String)>,
    /// What is said.
    pub body: String,
}

impl Question {
    /// A POST to `/`, as all but the REST protocols make it.
    #[must_use]
    pub fn post(op: &'static str, content_type: &str, body: String) -> Self {
        let headers = vec![("content-type", content_type.to_owned())];
        Self { op, method: "POST", path: "/".to_owned(), headers, body }
    }

    /// A call by the JSON protocol, with its `X-Amz-Target`.
    #[must_use]
    pub fn json(op: &'static str, target: &str, asked: &Value) -> Self {
        let mut question = Self::post(op, "application/x-amz-json-1.1", asked.to_string());
        question.headers.push(("x-amz-target", target.to_owned()));
        question
    }

    /// The same with another type of content.
    #[must_use]
    pub fn content_type(mut self, content_type: &str) -> Self {
        self.headers.retain(|(name, _)| *name != "content-type");
        self.headers.push(("content-type", content_type.to_owned()));
        self
    }

    /// A call of a REST protocol without a body.
    #[must_use]
    pub fn rest(op: &'static str, method: &'static str, path: impl Into<String>) -> Self {
        Self { op, method, path: path.into(), headers: Vec::new(), body: String::new() }
    }
}

/// What was answered.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The headers, names in small letters. What is no text is left out.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

impl Answer {
    /// A header by its name in small letters.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }
}

/// Waits until a call may be made.
pub type Turn<'a> = dyn Fn() -> BoxFuture<'a, ()> + Send + Sync + 'a;

/// For calls that are made at once.
#[must_use]
pub fn at_once<'a>() -> BoxFuture<'a, ()> {
    Box::pin(std::future::ready(()))
}

/// What the calls are made with.
pub struct Sender {
    sdk: SdkConfig,
    settings: HttpConnectorSettings,
    /// The HTTP client takes time and sleep from it; the rest is there because the type demands it.
    components: Option<RuntimeComponents>,
    try_max: Duration,
    tries: u32,
}

impl Sender {
    /// With the credentials, the HTTP client, the times and the tries of the SDK's clients.
    #[must_use]
    pub fn new(sdk: &SdkConfig) -> Self {
        let timeouts = sdk.timeout_config();
        let mut settings = HttpConnectorSettings::builder();
        settings.set_connect_timeout(timeouts.and_then(TimeoutConfig::connect_timeout));
        settings.set_read_timeout(timeouts.and_then(TimeoutConfig::read_timeout));
        Self {
            settings: settings.build(),
            components: components(sdk),
            try_max: timeouts.and_then(TimeoutConfig::operation_attempt_timeout).unwrap_or(TRY_MAX),
            tries: sdk.retry_config().map_or(TRIES, aws_config::retry::RetryConfig::max_attempts).max(1),
            sdk: sdk.clone(),
        }
    }

    /// Where a service is reached: what is set for it, or for all, else what AWS calls it.
    #[must_use]
    pub fn place(&self, service: &'static str, id: &str, region: &str) -> Place {
        let endpoint =
            endpoint_set(&self.sdk, id).unwrap_or_else(|| format!("https://{service}.{region}.{}", domain(region)));
        Place { service, region: region.to_owned(), endpoint }
    }

    /// The moment that a signature is made at.
    fn now(&self) -> SystemTime {
        self.sdk.time_source().map_or_else(SystemTime::now, |source| source.now())
    }

    /// Signs a request as of a moment.
    async fn signed(&self, place: &Place, question: &Question, at: SystemTime) -> Result<HttpRequest, BoxError> {
        let provider = self.sdk.credentials_provider().ok_or("no credentials are set")?;
        let identity = provider.provide_credentials().await?.into();
        let url = format!("{}{}", place.endpoint.trim_end_matches('/'), question.path);
        let headers = question.headers.iter().map(|(name, value)| (*name, value.as_str()));
        let params = v4::SigningParams::builder()
            .identity(&identity)
            .region(&place.region)
            .name(place.service)
            .time(at)
            .settings(settings(place.service))
            .build()?
            .into();
        let body = SignableBody::Bytes(question.body.as_bytes());
        let signable = SignableRequest::new(question.method, url.as_str(), headers, body)?;
        let (signature, _) = sign(signable, &params)?.into_parts();
        let mut request = HttpRequest::new(SdkBody::from(question.body.as_str()));
        request.set_method(question.method)?;
        request.set_uri(url)?;
        for (name, value) in &question.headers {
            request.headers_mut().try_insert(*name, value.clone())?;
        }
        for (name, value) in signature.headers() {
            request.headers_mut().try_insert(name.to_owned(), value.to_owned())?;
        }
        Ok(request)
    }

    /// Sends a request as it is and reads what is answered: at most `longest` bytes, within `time`.
    ///
    /// # Errors
    /// Nobody answered in time, or too much.
    pub async fn sent(&self, request: HttpRequest, longest: usize, time: Duration) -> Result<Answer, BoxError> {
        let client = self.sdk.http_client().ok_or("no HTTP client is set")?;
        let components = self.components.as_ref().ok_or("the HTTP client can't be set up")?;
        let connector = client.http_connector(&self.settings, components);
        let answer = async {
            let response = connector.call(request).await?;
            let status = response.status().as_u16();
            let headers = response.headers().iter().map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()));
            let headers = headers.collect();
            let mut body = ByteStream::new(response.into_body());
            let mut bytes: Vec<u8> = Vec::new();
            while let Some(chunk) = body.try_next().await? {
                if bytes.len() + chunk.len() > longest {
                    return Err(BoxError::from(format!("the answer is longer than {longest} bytes")));
                }
                bytes.extend_from_slice(&chunk);
            }
            Ok(Answer { status, headers, body: bytes })
        };
        tokio::time::timeout(time, answer).await.map_err(|_| BoxError::from("no answer in time"))?
    }
}

/// What was set to be a service, for it or for all of them. By the rule of the SDK's own clients: what the program was told goes
/// before what the environment says of one service.
#[must_use]
pub fn endpoint_set(sdk: &SdkConfig, id: &str) -> Option<String> {
    let for_all = || sdk.endpoint_url().map(str::to_owned);
    let for_it = || {
        let key = ServiceConfigKey::builder().service_id(id).env("AWS_ENDPOINT_URL").profile("endpoint_url").build();
        sdk.service_config().and_then(|config| config.load_config(key.ok()?))
    };
    if sdk.get_origin("endpoint_url").is_client_config() { for_all() } else { for_it().or_else(for_all) }
}

/// All that the type of the components demands. Only the HTTP client, the time and the sleep are ever used.
fn components(sdk: &SdkConfig) -> Option<RuntimeComponents> {
    RuntimeComponentsBuilder::new("layer0")
        .with_auth_scheme_option_resolver(Some(StaticAuthSchemeOptionResolver::new(vec![NO_AUTH_SCHEME_ID])))
        .with_auth_scheme(NoAuthScheme::new())
        .with_identity_cache(Some(IdentityCache::no_cache()))
        .with_identity_resolver(NO_AUTH_SCHEME_ID, NoAuthIdentityResolver::new())
        .with_endpoint_resolver(Some(StaticUriEndpointResolver::uri("http://localhost")))
        .with_retry_strategy(Some(NeverRetryStrategy::new()))
        .with_http_client(sdk.http_client())
        .with_time_source(sdk.time_source())
        .with_sleep_impl(sdk.sleep_impl())
        .build()
        .ok()
}

/// The domain of a region's services (`dnsSuffix` in AWS's `partitions.json`).
#[must_use]
pub fn domain(region: &str) -> &'static str {
    match partition_of(region) {
        "aws-cn" => "amazonaws.com.cn",
        "aws-iso" => "c2s.ic.gov",
        "aws-iso-b" => "sc2s.sgov.gov",
        "aws-iso-e" => "cloud.adc-e.uk",
        "aws-iso-f" => "csp.hci.ic.gov",
        "aws-eusc" => "amazonaws.eu",
        _ => "amazonaws.com",
    }
}

/// How a service wants its signatures ("Signature Version 4 signing process"): S3 has the payload's hash in a header, and takes
/// paths as they are; all others encode them once more.
fn settings(service: &str) -> SigningSettings {
    let mut settings = SigningSettings::default();
    if service == "s3" {
        settings.percent_encoding_mode = PercentEncodingMode::Single;
        settings.payload_checksum_kind = PayloadChecksumKind::XAmzSha256;
        settings.uri_path_normalization_mode = UriPathNormalizationMode::Disabled;
    }
    settings
}

impl Sender {
    /// Makes a call, each try in its turn: repeated while AWS is in trouble or throttles. Gives the answer's body; `refusal` reads
    /// code and words of an answer that is no success.
    ///
    /// # Errors
    /// AWS refused it, or did not answer.
    pub async fn ask<'a>(
        &'a self,
        place: &'a Place,
        question: &'a Question,
        refusal: fn(&str) -> (String, String),
        turn: &'a Turn<'a>,
    ) -> Result<String, AwsError> {
        let mut wait = FIRST_WAIT;
        let mut tried = 0;
        loop {
            turn().await;
            tried += 1;
            let error = match self.ask_once(place, question, refusal).await {
                Ok(answer) => return Ok(answer),
                Err(error) => error,
            };
            let again = matches!(error.kind, Kind::Throttled | Kind::Unreachable) && tried < self.tries;
            if !again {
                return Err(error);
            }
            tokio::time::sleep(wait).await;
            wait *= 2;
        }
    }

    /// Makes a call by the JSON protocol.
    ///
    /// # Errors
    /// AWS refused it, or did not answer.
    pub async fn ask_json<'a>(
        &'a self,
        place: &'a Place,
        question: &'a Question,
        turn: &'a Turn<'a>,
    ) -> Result<Value, AwsError> {
        let answer = self.ask(place, question, json_refusal, turn).await?;
        // Some calls have nothing to say, and say nothing.
        if answer.is_empty() {
            return Ok(Value::Null);
        }
        serde_json::from_str(&answer).map_err(|_| AwsError::incomplete(question.op, "readable content"))
    }

    async fn ask_once(
        &self,
        place: &Place,
        question: &Question,
        refusal: fn(&str) -> (String, String),
    ) -> Result<String, AwsError> {
        let request = self.signed(place, question, self.now()).await;
        let request = request.map_err(|why| AwsError::unsigned(question.op, why))?;
        let sent = self.sent(request, ANSWER_MAX, self.try_max).await;
        let answer = sent.map_err(|why| AwsError::unanswered(question.op, "AWS could not be reached", why))?;
        let body = String::from_utf8(answer.body).map_err(|_| AwsError::incomplete(question.op, "readable text"))?;
        if (200..300).contains(&answer.status) {
            return Ok(body);
        }
        let (code, words) = refusal(&body);
        Err(AwsError::refused(question.op, &code, &words, answer.status))
    }

    /// Fetches a presigned URL: at most `longest` bytes of it. Neither the URL nor the content is in any message or log.
    ///
    /// # Errors
    /// It could not be fetched.
    pub async fn fetch(&self, op: &'static str, url: &str, longest: usize) -> Result<Vec<u8>, AwsError> {
        // The errors of URLs and connectors may have the URL in them.
        let unreachable =
            || AwsError::unanswered(op, "what it leads to could not be fetched", "no more is shown".into());
        let request = HttpRequest::get(url).map_err(|_| unreachable())?;
        let answer = self.sent(request, longest, self.try_max).await.map_err(|_| unreachable())?;
        let status = answer.status;
        if status == 200 {
            return Ok(answer.body);
        }
        // A refusal is not the call's: that gave the URL.
        let words = format!("what it leads to could not be fetched (HTTP status {status})");
        Err(AwsError::refused(op, "", &words, status).with_kind(Kind::Refused))
    }
}

/// Code and words of an answer that is an error: `{"__type": "prefix#Code", "Message": "…"}`.
fn json_refusal(body: &str) -> (String, String) {
    let answer: Value = serde_json::from_str(body).unwrap_or_default();
    let text = |names: &[&str]| names.iter().find_map(|name| answer[*name].as_str()).unwrap_or_default().to_owned();
    let code = text(&["__type", "code"]);
    (code.rsplit('#').next().unwrap_or_default().to_owned(), text(&["message", "Message"]))
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use aws_credential_types::Credentials;
    use aws_credential_types::provider::SharedCredentialsProvider;

    use super::*;

    const SECRET: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";

    async fn signed_by(keys: Credentials, place: Place, question: &Question, then: u64) -> HttpRequest {
        let mut sdk = SdkConfig::builder();
        sdk.set_credentials_provider(Some(SharedCredentialsProvider::new(keys)));
        let then = UNIX_EPOCH + Duration::from_secs(then);
        Sender::new(&sdk.build()).signed(&place, question, then).await.expect("it can be signed")
    }

    /// The keys and the moment of AWS's published test vectors, "Signature Version 4 test suite": 2015-08-30 12:36:00.
    async fn signed(session: Option<&str>, question: &Question) -> HttpRequest {
        let keys = Credentials::new("AKIDEXAMPLE", SECRET, session.map(str::to_owned), None, "test");
        let (region, endpoint) = ("us-east-1".to_owned(), "https://example.amazonaws.com".to_owned());
        signed_by(keys, Place { service: "service", region, endpoint }, question, 1_440_938_160).await
    }

    fn form(content_type: &'static str) -> Question {
        Question::post("test", content_type, "Param1=value1".to_owned())
    }

    fn authorization(request: &HttpRequest) -> &str {
        request.headers().get("authorization").unwrap_or_default()
    }

    /// Of the same suite those that have a method, a path or a query: `get-vanilla`, `post-vanilla`,
    /// `get-vanilla-query-order-key-case` (in another order than it is signed) and `get-unreserved`.
    #[tokio::test]
    async fn signatures_of_other_methods_paths_and_queries_are_those_of_the_published_vectors() {
        for (method, path, signature) in [
            ("GET", "/", "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"),
            ("POST", "/", "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b"),
            (
                "GET",
                "/?Param2=value2&Param1=value1",
                "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500",
            ),
            (
                "GET",
                "/-._~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz",
                "07ef7494c76fa4850883e2b006601f940f8a34d404d0cfa977f52a65bbf5f24f",
            ),
        ] {
            let request = signed(None, &Question::rest("test", method, path)).await;
            assert_eq!(request.method(), method);
            assert!(request.uri().ends_with(path), "{}", request.uri());
            let expected = format!("SignedHeaders=host;x-amz-date, Signature={signature}");
            assert!(authorization(&request).ends_with(&expected), "{path}: {}", authorization(&request));
        }
    }

    /// The examples of S3's own reference ("Signature calculations for the authorization header"): a bucket's lifecycle and its list.
    #[tokio::test]
    async fn signatures_for_s3_are_those_of_its_reference() {
        let empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        for (path, signature) in [
            ("/?lifecycle", "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543"),
            ("/?max-keys=2&prefix=J", "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7"),
        ] {
            let secret = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";
            let keys = Credentials::new("AKIAIOSFODNN7EXAMPLE", secret, None, None, "test");
            let endpoint = "https://examplebucket.s3.amazonaws.com".to_owned();
            let place = Place { service: "s3", region: "us-east-1".to_owned(), endpoint };
            let request = signed_by(keys, place, &Question::rest("s3:List", "GET", path), 1_369_353_600).await;
            assert_eq!(request.headers().get("x-amz-content-sha256"), Some(empty));
            let expected = format!("SignedHeaders=host;x-amz-content-sha256;x-amz-date, Signature={signature}");
            assert!(authorization(&request).ends_with(&expected), "{path}: {}", authorization(&request));
        }
    }

    /// The two vectors of the suite that are forms: `post-x-www-form-urlencoded` and `post-x-www-form-urlencoded-parameters`.
    #[tokio::test]
    async fn signatures_are_those_of_the_published_vectors() {
        for (content_type, signature) in [
            ("application/x-www-form-urlencoded", "ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a"),
            (
                "application/x-www-form-urlencoded; charset=utf8",
                "1a72ec8f64bd914b0e42e42607c7fbce7fb2c7465f63e3092b3b0d39fa77a6fe",
            ),
        ] {
            let request = signed(None, &form(content_type)).await;
            assert_eq!(request.headers().get("x-amz-date"), Some("20150830T123600Z"));
            let scope = "Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request";
            let signed_headers = "SignedHeaders=content-type;host;x-amz-date";
            let expected = format!("AWS4-HMAC-SHA256 {scope}, {signed_headers}, Signature={signature}");
            assert_eq!(request.headers().get("authorization"), Some(expected.as_str()));
        }
    }

    /// What says which call it is and whose session are part of the signature: nobody on the way can put others in their place.
    #[tokio::test]
    async fn the_call_and_the_session_are_signed() {
        let question = Question::json("test", "Service.Call", &serde_json::json!({}));
        let request = signed(Some("session"), &question).await;
        let authorization = request.headers().get("authorization").unwrap_or_default();
        let covered = "SignedHeaders=content-type;host;x-amz-date;x-amz-security-token;x-amz-target,";
        assert!(authorization.contains(covered), "{authorization}");
        assert_eq!(request.headers().get("x-amz-security-token"), Some("session"));
        assert_eq!(request.headers().get("x-amz-target"), Some("Service.Call"));
        assert!(!format!("{request:?}").contains("wJalrXUtnFEMI"), "the secret goes nowhere");
    }

    #[test]
    fn a_service_is_reached_where_it_is_set_or_in_its_partition() {
        let sender = |endpoint: Option<&str>| {
            let mut sdk = SdkConfig::builder();
            sdk.set_endpoint_url(endpoint.map(str::to_owned));
            Sender::new(&sdk.build())
        };
        for (endpoint, region, expected) in [
            (None, "eu-central-1", "https://ec2.eu-central-1.amazonaws.com"),
            (None, "cn-north-1", "https://ec2.cn-north-1.amazonaws.com.cn"),
            (None, "us-gov-west-1", "https://ec2.us-gov-west-1.amazonaws.com"),
            (None, "eusc-de-east-1", "https://ec2.eusc-de-east-1.amazonaws.eu"),
            (Some("http://127.0.0.1:5000"), "us-east-1", "http://127.0.0.1:5000"),
        ] {
            assert_eq!(sender(endpoint).place("ec2", "EC2", region).endpoint, expected);
        }
    }
}
