//! The AWS identity that this program runs with, as a signed call of `sts:GetCallerIdentity` that the server makes: AWS tells it who
//! signed. The call is signed together with the server's address, so it is of no use to any other.

use std::collections::BTreeMap;

use layer0_api::types::SignedAwsCall;

use crate::error::CliError;

/// Whether this program can sign with an AWS identity.
pub(crate) const IS_BUILT: bool = cfg!(feature = "aws");

#[cfg(not(feature = "aws"))]
#[expect(clippy::unused_async, reason = "the other build of it waits for credentials")]
pub(crate) async fn signed(_: &str, _: &BTreeMap<String, String>) -> Result<SignedAwsCall, CliError> {
    Err(CliError::usage("this l0 was built without AWS and can't sign with an AWS identity")
        .hint("build it with `--features aws`, or show a token of OpenID Connect: --oidc-token-stdin"))
}

#[cfg(feature = "aws")]
pub(crate) use with_aws::signed;

#[cfg(feature = "aws")]
mod with_aws {
    use std::time::SystemTime;

    use aws_config::{BehaviorVersion, SdkConfig};
    use aws_credential_types::provider::ProvideCredentials as _;
    use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
    use aws_sigv4::sign::v4;
    use aws_smithy_http_client::Builder;
    use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};

    use super::{BTreeMap, CliError, SignedAwsCall};
    use crate::error::Exit;
    use crate::settings::{authority_of, set};

    /// The call, as the server writes it too.
    const BODY: &str = "Action=GetCallerIdentity&Version=2011-06-15";
    const CONTENT_TYPE: &str = "application/x-www-form-urlencoded; charset=utf-8";
    const AUDIENCE_HEADER: &str = "x-layer0-server";

    /// Where STS is asked when no region is set; every region's answers for all of its partition.
    const REGION: &str = "us-east-1";

    /// Signs with what the SDK's default chain finds: environment, profile, the role of a build, a task or a machine.
    pub(crate) async fn signed(audience: &str, env: &BTreeMap<String, String>) -> Result<SignedAwsCall, CliError> {
        let http = Builder::new().tls_provider(Provider::Rustls(CryptoMode::Ring)).build_https();
        let sdk = aws_config::defaults(BehaviorVersion::v2026_01_12()).http_client(http).load().await;
        let endpoint = set(env, "AWS_ENDPOINT_URL_STS").or_else(|| set(env, "AWS_ENDPOINT_URL"));
        of(&sdk, endpoint, audience, SystemTime::now()).await.map_err(|why| {
            CliError::new(Exit::Other, format!("nothing can be signed with an AWS identity: {why}"))
                .hint("set AWS_PROFILE or the usual variables, or run where a role is at hand")
        })
    }

    async fn of(
        sdk: &SdkConfig,
        endpoint: Option<&str>,
        audience: &str,
        at: SystemTime,
    ) -> Result<SignedAwsCall, Box<dyn std::error::Error + Send + Sync>> {
        let provider = sdk.credentials_provider().ok_or("there are no credentials")?;
        let identity = provider.provide_credentials().await?.into();
        let region = sdk.region().map_or(REGION, AsRef::as_ref);
        let url = match endpoint {
            Some(url) => format!("{}/", url.trim_end_matches('/')),
            None => format!("https://sts.{region}.{}/", domain(region)),
        };
        let params = v4::SigningParams::builder()
            .identity(&identity)
            .region(region)
            .name("sts")
            .time(at)
            .settings(SigningSettings::default())
            .build()?
            .into();
        let headers = [("content-type", CONTENT_TYPE), (AUDIENCE_HEADER, audience)];
        let body = SignableBody::Bytes(BODY.as_bytes());
        let signable = SignableRequest::new("POST", url.as_str(), headers.into_iter(), body)?;
        let (signature, _) = sign(signable, &params)?.into_parts();
        let mut call = SignedAwsCall {
            host: authority_of(&url).to_owned(),
            server: audience.to_owned(),
            ..SignedAwsCall::default()
        };
        for (name, value) in signature.headers() {
            match name {
                "authorization" => call.authorization = value.to_owned(),
                "x-amz-date" => call.date = value.to_owned(),
                "x-amz-security-token" => call.security_token = Some(value.to_owned()),
                _ => {}
            }
        }
        Ok(call)
    }

    /// The domain of a region's services (`dnsSuffix` in AWS's `partitions.json`).
    fn domain(region: &str) -> &'static str {
        match region.split('-').next() {
            Some("cn") => "amazonaws.com.cn",
            Some("eusc") => "amazonaws.eu",
            _ => "amazonaws.com",
        }
    }

    #[cfg(test)]
    mod tests {
        use std::time::{Duration, UNIX_EPOCH};

        use aws_config::Region;
        use aws_credential_types::Credentials;
        use aws_credential_types::provider::SharedCredentialsProvider;

        use super::*;

        #[tokio::test]
        async fn the_call_is_bound_to_its_server_and_its_session() {
            let keys = Credentials::new("AKIDEXAMPLE", "a secret", Some("session".to_owned()), None, "test");
            let mut sdk = SdkConfig::builder().region(Region::new("eu-west-1"));
            sdk.set_credentials_provider(Some(SharedCredentialsProvider::new(keys)));
            let at = UNIX_EPOCH + Duration::from_secs(1_440_938_160);
            let call = of(&sdk.build(), None, "https://l0.example.com", at).await.expect("it can be signed");
            assert_eq!((call.host.as_str(), call.date.as_str()), ("sts.eu-west-1.amazonaws.com", "20150830T123600Z"));
            let covered = "Credential=AKIDEXAMPLE/20150830/eu-west-1/sts/aws4_request, \
                           SignedHeaders=content-type;host;x-amz-date;x-amz-security-token;x-layer0-server, Signature=";
            assert!(call.authorization.contains(covered), "{}", call.authorization);
            assert_eq!(call.security_token.as_deref(), Some("session"));
            assert_eq!(call.server, "https://l0.example.com");
        }
    }
}
