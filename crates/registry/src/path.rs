//! The paths under `/v2/`. Repository names hold slashes, so the paths are read from their end: the last segments say
//! what is meant, all before them is the name.

use std::borrow::Cow;

use percent::decode;

/// The registry's routes: the form of each path, and the methods that it takes, as `Allow` names them. Nothing else is served:
/// a route that is missing here is refused at the door, so that whoever lists who may do what lists this.
pub const ROUTES: &[(&str, &str)] = &[
    ("/v2/", "GET, HEAD"),
    ("/v2/_catalog", "GET, HEAD"),
    ("/v2/<name>/blobs/<digest>", "GET, HEAD, DELETE"),
    ("/v2/<name>/blobs/uploads/", "POST"),
    ("/v2/<name>/blobs/uploads/<id>", "GET, HEAD, PATCH, PUT, DELETE"),
    ("/v2/<name>/manifests/<reference>", "GET, HEAD, PUT, DELETE"),
    ("/v2/<name>/tags/list", "GET, HEAD"),
    ("/v2/<name>/referrers/<digest>", "GET, HEAD"),
];

/// What a path means; texts are not checked yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Target {
    /// `/v2/`
    Base,
    /// `/v2/_catalog`
    Catalog,
    /// `/v2/<name>/blobs/<digest>`
    Blob { name: String, digest: String },
    /// `/v2/<name>/blobs/uploads/`
    Uploads { name: String },
    /// `/v2/<name>/blobs/uploads/<id>`
    Upload { name: String, id: String },
    /// `/v2/<name>/manifests/<reference>`
    Manifest { name: String, reference: String },
    /// `/v2/<name>/tags/list`
    Tags { name: String },
    /// `/v2/<name>/referrers/<digest>`
    Referrers { name: String, digest: String },
}

impl Target {
    /// The text that stands where a repository's name does.
    pub(crate) fn name(&self) -> Option<&str> {
        match self {
            Self::Base | Self::Catalog => None,
            Self::Blob { name, .. }
            | Self::Uploads { name }
            | Self::Upload { name, .. }
            | Self::Manifest { name, .. }
            | Self::Tags { name }
            | Self::Referrers { name, .. } => Some(name),
        }
    }

    /// The form of its path, as it stands in [`ROUTES`].
    fn form(&self) -> &'static str {
        match self {
            Self::Base => "/v2/",
            Self::Catalog => "/v2/_catalog",
            Self::Blob { .. } => "/v2/<name>/blobs/<digest>",
            Self::Uploads { .. } => "/v2/<name>/blobs/uploads/",
            Self::Upload { .. } => "/v2/<name>/blobs/uploads/<id>",
            Self::Manifest { .. } => "/v2/<name>/manifests/<reference>",
            Self::Tags { .. } => "/v2/<name>/tags/list",
            Self::Referrers { .. } => "/v2/<name>/referrers/<digest>",
        }
    }

    /// The methods that it takes, as `Allow` names them.
    pub(crate) fn allow(&self) -> &'static str {
        ROUTES.iter().find(|(form, _)| *form == self.form()).map_or("", |(_, methods)| methods)
    }

    /// Reads the path of a request; `None` when it means nothing here.
    ///
    /// Segments are split before they are decoded. A repository's name is put together of them afterwards, so `%2F` in it is a `/`; a
    /// digest or tag that holds one after decoding breaks its grammar and is refused later.
    pub(crate) fn parse(path: &str) -> Option<Self> {
        let rest = path.strip_prefix("/v2")?;
        let rest = match rest {
            "" | "/" => return Some(Self::Base),
            rest => rest.strip_prefix('/')?,
        };
        let segments: Vec<Cow<'_, str>> = rest.split('/').map(decode).collect::<Option<_>>()?;
        let words: Vec<&str> = segments.iter().map(AsRef::as_ref).collect();
        let name = |parts: &[&str]| (!parts.is_empty()).then(|| parts.join("/"));
        match words.as_slice() {
            ["_catalog"] => Some(Self::Catalog),
            [head @ .., "blobs", "uploads", ""] | [head @ .., "blobs", "uploads"] => {
                Some(Self::Uploads { name: name(head)? })
            }
            [head @ .., "blobs", "uploads", id] => Some(Self::Upload { name: name(head)?, id: (*id).to_owned() }),
            [head @ .., "blobs", digest] => Some(Self::Blob { name: name(head)?, digest: (*digest).to_owned() }),
            [head @ .., "manifests", reference] => {
                Some(Self::Manifest { name: name(head)?, reference: (*reference).to_owned() })
            }
            [head @ .., "tags", "list"] => Some(Self::Tags { name: name(head)? }),
            [head @ .., "referrers", digest] => {
                Some(Self::Referrers { name: name(head)?, digest: (*digest).to_owned() })
            }
            _ => None,
        }
    }
}

/// Percent-encoding (RFC 3986, section 2.1).
pub(crate) mod percent {
    use std::borrow::Cow;

    /// Decodes; `None` when an escape is broken or the result is no UTF-8.
    pub(crate) fn decode(text: &str) -> Option<Cow<'_, str>> {
        if !text.contains('%') {
            return Some(Cow::Borrowed(text));
        }
        let mut bytes = Vec::with_capacity(text.len());
        let mut rest = text.as_bytes();
        while let [first, tail @ ..] = rest {
            if *first == b'%' {
                let [high, low, tail @ ..] = tail else { return None };
                let digit = |byte: &u8| char::from(*byte).to_digit(16);
                bytes.push(u8::try_from(digit(high)? * 16 + digit(low)?).ok()?);
                rest = tail;
            } else {
                bytes.push(*first);
                rest = tail;
            }
        }
        String::from_utf8(bytes).ok().map(Cow::Owned)
    }

    /// Encodes a text for a query: all but the unreserved characters.
    pub(crate) fn encode(text: &str) -> String {
        let mut encoded = String::with_capacity(text.len());
        for byte in text.bytes() {
            if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
                encoded.push(char::from(byte));
            } else {
                encoded.push_str(&format!("%{byte:02X}"));
            }
        }
        encoded
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_may_hold_any_number_of_slashes_and_even_our_own_words() {
        let manifest =
            |name: &str, reference: &str| Some(Target::Manifest { name: name.into(), reference: reference.into() });
        assert_eq!(Target::parse("/v2/team/app/manifests/1.0"), manifest("team/app", "1.0"));
        assert_eq!(Target::parse("/v2/a/b/c/d/manifests/x"), manifest("a/b/c/d", "x"));
        assert_eq!(Target::parse("/v2/manifests/blobs/manifests/x"), manifest("manifests/blobs", "x"));
        assert_eq!(Target::parse("/v2/tags/list/tags/list"), Some(Target::Tags { name: "tags/list".into() }));
        assert_eq!(Target::parse("/v2/app/manifests/x"), manifest("app", "x"));
    }

    #[test]
    fn uploads_with_and_without_the_last_slash() {
        let want = Some(Target::Uploads { name: "team/app".into() });
        assert_eq!(Target::parse("/v2/team/app/blobs/uploads/"), want);
        assert_eq!(Target::parse("/v2/team/app/blobs/uploads"), want);
        assert_eq!(
            Target::parse("/v2/team/app/blobs/uploads/7"),
            Some(Target::Upload { name: "team/app".into(), id: "7".into() })
        );
    }

    #[test]
    fn colons_may_come_encoded_and_slashes_stay_inside_their_segment() {
        assert_eq!(
            Target::parse("/v2/t/a/blobs/sha256%3Aab"),
            Some(Target::Blob { name: "t/a".into(), digest: "sha256:ab".into() })
        );
        assert_eq!(
            Target::parse("/v2/t/a/blobs/..%2F..%2Fx"),
            Some(Target::Blob { name: "t/a".into(), digest: "../../x".into() })
        );
    }

    #[test]
    fn what_is_encoded_is_decoded() {
        assert_eq!(percent::encode("application/x+é"), "application%2Fx%2B%C3%A9");
        let text = "a b/&=?#%+\0é";
        assert_eq!(decode(&percent::encode(text)).as_deref(), Some(text));
    }

    #[test]
    fn what_means_nothing() {
        for path in [
            "/v1/",
            "/v2x",
            "/v2/x",
            "/v2/manifests/x",
            "/v2//",
            "/v2/t/a/blobs/%zz",
            "/v2/t/a/blobs/%ff",
            "/v2/t/a/tags",
            "/v2/t/a/b",
        ] {
            assert_eq!(Target::parse(path), None, "{path}");
        }
    }
}
