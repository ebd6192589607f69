//! A call of `sts:GetCallerIdentity` that somebody signed and this server makes: AWS answers who that was. What can be in it is
//! fixed here, so that nothing but this one call can be handed on, and only to AWS.

use super::audience::Audience;
use crate::model::time::Timestamp;

/// The header that binds a call to one server: signed with the rest, so that who gets to see a call can't use it elsewhere.
pub const AUDIENCE_HEADER: &str = "x-layer0-server";

/// The body of the call.
pub const BODY: &str = "Action=GetCallerIdentity&Version=2011-06-15";

/// Its content type.
pub const CONTENT_TYPE: &str = "application/x-www-form-urlencoded; charset=utf-8";

/// How far the moment of a signature may be from now. AWS takes those of the last five minutes in most cases (IAM, "Signing AWS
/// API requests"), and STS was seen to take those of fifteen.
pub const WINDOW_MS: u64 = 5 * 60 * 1000;

/// The longest session token. AWS gives no bound; they have about 1 KiB.
const SESSION_MAX: usize = 8 * 1024;

/// What the headers are that may be signed, all of which are sent.
const SENT: [&str; 5] = ["content-type", "host", "x-amz-date", "x-amz-security-token", AUDIENCE_HEADER];

/// Those that must be.
const DEMANDED: [&str; 3] = ["host", "x-amz-date", AUDIENCE_HEADER];

/// A host of the Security Token Service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StsHost(String);

impl StsHost {
    /// Reads a host: the global one, a region's, its FIPS or its dual-stack form ("AWS STS endpoints and quotas"), in any
    /// partition whose domain AWS has published.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        const DOMAINS: [&str; 4] = [".amazonaws.com", ".amazonaws.com.cn", ".amazonaws.eu", ".api.aws"];
        let region_of = |domain: &&str| {
            let rest = text.strip_suffix(*domain)?;
            rest.strip_prefix("sts.").or_else(|| rest.strip_prefix("sts-fips.")).filter(|region| is_region(region))
        };
        let known = text == "sts.amazonaws.com" || DOMAINS.iter().find_map(region_of).is_some();
        known.then(|| Self(text.to_owned()))
    }

    /// As text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Whether a text is written as a region: `eu-west-1`, `us-gov-west-1`, `eusc-de-east-1`.
fn is_region(text: &str) -> bool {
    let parts: Vec<&str> = text.split('-').collect();
    let Some((number, words)) = parts.split_last() else { return false };
    let lower =
        |word: &&str| !word.is_empty() && word.len() <= 12 && word.bytes().all(|byte| byte.is_ascii_lowercase());
    (2..=4).contains(&words.len())
        && words.iter().all(lower)
        && (1..=2).contains(&number.len())
        && number.bytes().all(|byte| byte.is_ascii_digit())
}

/// Why a call is not made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// The signature can't be read, or is one of something else.
    #[error("the signature is none of a call of sts:GetCallerIdentity (AWS4-HMAC-SHA256)")]
    Form,
    /// Something is not signed that must be.
    #[error("the signature does not cover `{0}`")]
    Uncovered(&'static str),
    /// It covers something that is not sent.
    #[error("the signature covers `{0}`, which is not sent on")]
    Unsent(String),
    /// It is too old or from the future.
    #[error("the signature is not of these minutes: are the clocks right?")]
    Late,
}

/// A signed call.
#[derive(Clone, PartialEq, Eq)]
pub struct SignedCall {
    /// `Authorization`.
    pub authorization: String,
    /// `X-Amz-Date`.
    pub date: String,
    /// `X-Amz-Security-Token`, where the credential has one.
    pub session: Option<String>,
    /// For which server it says that it was signed.
    pub audience: Audience,
}

impl std::fmt::Debug for SignedCall {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SignedCall").field("date", &self.date).field("audience", &self.audience).finish_non_exhaustive()
    }
}

impl SignedCall {
    /// Checks all that can be checked without AWS: that the signature is one of STS, of these minutes, and that it covers the
    /// server that it is for. Whether it is right only AWS knows.
    ///
    /// # Errors
    /// [`CallError`].
    pub fn check(&self, now: Timestamp) -> Result<(), CallError> {
        let at = moment(&self.date).ok_or(CallError::Form)?;
        let rest = self.authorization.strip_prefix("AWS4-HMAC-SHA256 ").ok_or(CallError::Form)?;
        let parts: Vec<&str> = rest.split(',').map(str::trim).collect();
        let [credential, headers, signature] = parts[..] else { return Err(CallError::Form) };
        let value = |part: &'_ str, name: &str| part.strip_prefix(name).map(str::to_owned).ok_or(CallError::Form);
        let credential = value(credential, "Credential=")?;
        let headers = value(headers, "SignedHeaders=")?;
        let signature = value(signature, "Signature=")?;
        let scope: Vec<&str> = credential.split('/').collect();
        let [key, day, region, "sts", "aws4_request"] = scope[..] else { return Err(CallError::Form) };
        // AWS's have 16 characters and more, emulators' as few as four.
        let key_legal = (1..=128).contains(&key.len()) && key.bytes().all(|byte| byte.is_ascii_alphanumeric());
        let hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        let session_legal =
            |text: &String| text.len() <= SESSION_MAX && text.bytes().all(|byte| byte.is_ascii_graphic());
        if !key_legal
            || !is_region(region)
            || self.date.get(..8) != Some(day)
            || signature.len() != 64
            || !signature.bytes().all(hex)
            || !self.session.as_ref().is_none_or(session_legal)
        {
            return Err(CallError::Form);
        }
        let covered: Vec<&str> = headers.split(';').collect();
        if let Some(missing) = DEMANDED.iter().find(|name| !covered.contains(name)) {
            return Err(CallError::Uncovered(missing));
        }
        if self.session.is_some() && !covered.contains(&"x-amz-security-token") {
            return Err(CallError::Uncovered("x-amz-security-token"));
        }
        if let Some(other) = covered.iter().find(|name| !SENT.contains(name)) {
            return Err(CallError::Unsent(other.chars().filter(char::is_ascii_graphic).take(40).collect()));
        }
        if at.ms_since(now).max(now.ms_since(at)) > WINDOW_MS { Err(CallError::Late) } else { Ok(()) }
    }
}

/// Reads `20260102T030405Z`.
fn moment(text: &str) -> Option<Timestamp> {
    let bytes = text.as_bytes();
    let shape = bytes.len() == 16 && bytes[8] == b'T' && bytes[15] == b'Z';
    let digits = |at: std::ops::Range<usize>| bytes.get(at).filter(|it| it.iter().all(u8::is_ascii_digit));
    if !shape || digits(0..8).is_none() || digits(9..15).is_none() {
        return None;
    }
    let number = |from: usize, to: usize| text.get(from..to)?.parse::<i64>().ok();
    let (year, month, day) = (number(0, 4)?, number(4, 6)?, number(6, 8)?);
    let (hour, minute, second) = (number(9, 11)?, number(11, 13)?, number(13, 15)?);
    if !(1..=12).contains(&month) || !(1..=31).contains(&day) || hour > 23 || minute > 59 || second > 60 || year < 1970
    {
        return None;
    }
    // Days since 1970-01-01 in the Gregorian calendar: years begin in March, so that the leap day is their last.
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let days = year * 365 + year / 4 - year / 100 + year / 400 + (month * 153 + 2) / 5 + day - 1 - 719_468;
    Some(Timestamp((((days * 24 + hour) * 60 + minute) * 60 + second) * 1000))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2015-08-30 12:36:00, the moment of AWS's published vectors.
    const NOW: Timestamp = Timestamp(1_440_938_160_000);
    const HEADERS: &str = "content-type;host;x-amz-date;x-amz-security-token;x-layer0-server";

    fn authorization(scope: &str, headers: &str) -> String {
        let signature = "0a".repeat(32);
        format!("AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE12345/{scope}, SignedHeaders={headers}, Signature={signature}")
    }

    fn call() -> SignedCall {
        SignedCall {
            authorization: authorization("20150830/us-east-1/sts/aws4_request", HEADERS),
            date: "20150830T123600Z".to_owned(),
            session: Some("session".to_owned()),
            audience: Audience::parse("https://l0.example.com").expect("an audience"),
        }
    }

    #[test]
    fn a_call_of_sts_of_these_minutes_is_made() {
        assert_eq!(call().check(NOW), Ok(()));
        let plain = SignedCall {
            authorization: authorization("20150830/us-east-1/sts/aws4_request", "host;x-amz-date;x-layer0-server"),
            session: None,
            ..call()
        };
        assert_eq!(plain.check(NOW), Ok(()));
        for off in [-300_000, 300_000] {
            assert_eq!(call().check(NOW.plus_ms(off)), Ok(()));
        }
        for off in [-300_001, 300_001, 86_400_000] {
            assert_eq!(call().check(NOW.plus_ms(off)), Err(CallError::Late));
        }
    }

    #[test]
    fn what_is_not_this_call_or_not_bound_to_a_server_is_not_made() {
        let with = |scope: &str, headers: &str| SignedCall { authorization: authorization(scope, headers), ..call() };
        let scope = "20150830/us-east-1/sts/aws4_request";
        for (bad, why) in [
            (with("20150830/us-east-1/s3/aws4_request", HEADERS), CallError::Form),
            (with("20150831/us-east-1/sts/aws4_request", HEADERS), CallError::Form),
            (with("20150830/us-east-1/sts/aws4_request/x", HEADERS), CallError::Form),
            (with("20150830//sts/aws4_request", HEADERS), CallError::Form),
            (with(scope, "host;x-amz-date;x-amz-security-token"), CallError::Uncovered(AUDIENCE_HEADER)),
            (with(scope, "x-amz-date;x-amz-security-token;x-layer0-server"), CallError::Uncovered("host")),
            (with(scope, "host;x-amz-security-token;x-layer0-server"), CallError::Uncovered("x-amz-date")),
            (with(scope, "host;x-amz-date;x-layer0-server"), CallError::Uncovered("x-amz-security-token")),
            (with(scope, &format!("{HEADERS};x-other")), CallError::Unsent("x-other".to_owned())),
            (with(scope, &HEADERS.to_uppercase()), CallError::Uncovered("host")),
            (SignedCall { authorization: String::new(), ..call() }, CallError::Form),
            (SignedCall { authorization: call().authorization.replace("AWS4", "AWS3"), ..call() }, CallError::Form),
            (SignedCall { authorization: call().authorization.replace("0a", "0A"), ..call() }, CallError::Form),
            (SignedCall { authorization: call().authorization + "0", ..call() }, CallError::Form),
            (SignedCall { authorization: call().authorization + ", x=1", ..call() }, CallError::Form),
            (
                SignedCall { authorization: call().authorization.replace("AKID", "AK\r\nX: "), ..call() },
                CallError::Form,
            ),
            (SignedCall { date: "20150830".to_owned(), ..call() }, CallError::Form),
            (SignedCall { session: Some("a\r\nHost: b".to_owned()), ..call() }, CallError::Form),
            (SignedCall { session: Some("x".repeat(SESSION_MAX + 1)), ..call() }, CallError::Form),
        ] {
            assert_eq!(bad.check(NOW), Err(why), "{}", bad.authorization);
        }
        assert!(!format!("{:?}", call()).contains("Signature"), "what is signed is shown to nobody");
    }

    #[test]
    fn only_hosts_of_sts_are_called() {
        for host in [
            "sts.amazonaws.com",
            "sts.eu-west-1.amazonaws.com",
            "sts-fips.us-east-1.amazonaws.com",
            "sts.us-gov-west-1.amazonaws.com",
            "sts.cn-north-1.amazonaws.com.cn",
            "sts.eusc-de-east-1.amazonaws.eu",
            "sts.us-east-1.api.aws",
        ] {
            assert!(StsHost::parse(host).is_some(), "{host}");
        }
        for host in [
            "",
            "sts.amazonaws.com.evil.com",
            "evil.com",
            "sts.evil.com",
            "sts.evil.amazonaws.com",
            "s3.eu-west-1.amazonaws.com",
            "x.sts.eu-west-1.amazonaws.com",
            "sts.eu-west-1.elb.amazonaws.com",
            "sts.eu-west-1.amazonaws.com:443",
            "sts.eu-west-1.amazonaws.com/x",
            "sts.eu-west-1@evil.com#.amazonaws.com",
            "STS.amazonaws.com",
            "sts.amazonaws.com.",
            "169.254.169.254",
            "sts.1.amazonaws.com",
            "sts..amazonaws.com",
        ] {
            assert!(StsHost::parse(host).is_none(), "{host}");
        }
    }

    #[test]
    fn moments_are_read_as_the_calendar_has_them() {
        for (text, ms) in [
            ("19700101T000000Z", Some(0)),
            ("20150830T123600Z", Some(NOW.0)),
            ("20000229T235959Z", Some(951_868_799_000)),
            ("20240301T000000Z", Some(1_709_251_200_000)),
            ("20241231T235959Z", Some(1_735_689_599_000)),
            ("20241301T000000Z", None),
            ("20240100T000000Z", None),
            ("2024-01-01T00:00", None),
            ("20240101T240000Z", None),
            ("20240101 000000Z", None),
            ("+0240101T000000Z", None),
            ("", None),
        ] {
            assert_eq!(moment(text), ms.map(Timestamp), "{text}");
        }
    }
}
