//! Asks AWS who signed a call, by making it.

use std::sync::Arc;

use layer0_domain::model::trust::{AUDIENCE_HEADER, AwsCaller, BODY, CONTENT_TYPE, SignedCall, StsHost};
use layer0_domain::plan::trust::shown;
use layer0_domain::port::BoxError;
use tokio::sync::Semaphore;

use super::Unproven;
use super::fetch::Fetcher;

/// So many calls go on at once. STS answers in some tens of milliseconds.
const AT_ONCE: usize = 16;

/// The Security Token Service.
pub(super) struct Sts {
    fetcher: Arc<Fetcher>,
    /// What stands in for it.
    instead: Option<String>,
    turns: Semaphore,
}

impl Sts {
    pub(super) fn new(fetcher: Arc<Fetcher>, instead: Option<String>) -> Self {
        let instead = instead.map(|url| url.trim_end_matches('/').to_owned());
        Self { fetcher, instead, turns: Semaphore::new(AT_ONCE) }
    }

    /// Where a call for this host is made: at AWS's own hosts only, or at what stands in for them.
    fn place(&self, host: &str) -> Option<String> {
        match &self.instead {
            Some(url) => (url.split_once("://")?.1 == host).then(|| format!("{url}/")),
            None => StsHost::parse(host).map(|host| format!("https://{}/", host.as_str())),
        }
    }

    /// Whom AWS names as the signer of a call. All of the call but its signature is written here, so it can be no other.
    pub(super) async fn caller(&self, host: &str, call: &SignedCall, server: &str) -> Result<AwsCaller, Unproven> {
        let Some(url) = self.place(host) else {
            return Err(Unproven::Refused(format!("`{}` is no host of AWS's Security Token Service", shown(host))));
        };
        let away = |source: BoxError| Unproven::Unavailable { what: "AWS does not answer now".to_owned(), source };
        let _turn = self.turns.acquire().await.map_err(|why| away(why.into()))?;
        let mut request = self.fetcher.client().map_err(away)?.post(url).body(BODY);
        request = request
            .header("content-type", CONTENT_TYPE)
            .header("x-amz-date", &call.date)
            .header("authorization", &call.authorization)
            .header(AUDIENCE_HEADER, server);
        if let Some(session) = &call.session {
            request = request.header("x-amz-security-token", session);
        }
        let (status, body) = self.fetcher.send(request).await.map_err(away)?;
        let body = String::from_utf8_lossy(&body);
        match status {
            200 => element(&body, "Arn").and_then(AwsCaller::parse).ok_or_else(|| away("it names nobody".into())),
            400..500 => {
                let code = element(&body, "Code").filter(|code| code.bytes().all(|byte| byte.is_ascii_alphanumeric()));
                Err(Unproven::Refused(format!(
                    "AWS does not take the signature: {}",
                    code.unwrap_or("it says no more")
                )))
            }
            _ => Err(away(format!("it answered with status {status}").into())),
        }
    }
}

/// The text of the one element of this name; `None` when there is none, or another one.
fn element<'a>(xml: &'a str, name: &str) -> Option<&'a str> {
    let (open, close) = (format!("<{name}>"), format!("</{name}>"));
    let (_, rest) = xml.split_once(&open)?;
    let (text, rest) = rest.split_once(&close)?;
    (!rest.contains(&open) && !text.contains('<')).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(instead: Option<&str>, host: &str) -> Option<String> {
        Sts::new(Arc::default(), instead.map(str::to_owned)).place(host)
    }

    #[test]
    fn calls_go_to_aws_or_to_what_stands_in_for_it() {
        let aws = place(None, "sts.eu-west-1.amazonaws.com");
        assert_eq!(aws.as_deref(), Some("https://sts.eu-west-1.amazonaws.com/"));
        for other in ["", "127.0.0.1:4566", "evil.com", "sts.evil.com"] {
            assert_eq!(place(None, other), None, "{other}");
        }
        let emulator = Some("http://127.0.0.1:4566/");
        assert_eq!(place(emulator, "127.0.0.1:4566").as_deref(), Some("http://127.0.0.1:4566/"));
        assert_eq!(place(emulator, "sts.eu-west-1.amazonaws.com"), None);
        assert_eq!(place(emulator, "127.0.0.1:4567"), None);
    }

    #[test]
    fn an_element_is_read_when_there_is_one() {
        let answer = "<R xmlns=\"x\"><GetCallerIdentityResult><Arn>arn:aws:iam::1:root</Arn><UserId>A</UserId></R>";
        assert_eq!(element(answer, "Arn"), Some("arn:aws:iam::1:root"));
        assert_eq!(element(answer, "Code"), None);
        assert_eq!(element("<Arn>a</Arn><Arn>b</Arn>", "Arn"), None);
        assert_eq!(element("<Arn>a<b></Arn>", "Arn"), None);
        assert_eq!(element("<Arn>a", "Arn"), None);
    }
}
