//! The pieces of the reference grammar: host, path, path component, tag.

use super::{ImageRefError, shorten};

/// Whether the first component of a name is a host rather than the start of the path.
pub(in crate::model) fn has_host_form(component: &str) -> bool {
    component.contains(['.', ':']) || component == "localhost"
}

/// Checks `host[:port]`: DNS labels, an IPv4 address or an IPv6 address in brackets, and a port in 1-65535.
pub(in crate::model) fn check_host(host: &str) -> Result<(), ImageRefError> {
    let refuse = |reason| Err(ImageRefError::Host { host: shorten(host), reason });
    let (name, port) = if let Some(rest) = host.strip_prefix('[') {
        let Some((address, port)) = rest.split_once(']') else {
            return refuse("an IPv6 address ends with ]");
        };
        if address.parse::<std::net::Ipv6Addr>().is_err() {
            return refuse("not an IPv6 address between [ and ]");
        }
        match port {
            "" => return Ok(()),
            port => match port.strip_prefix(':') {
                Some(port) => ("", Some(port)),
                None => return refuse("only a :port may follow the ]"),
            },
        }
    } else {
        match host.split_once(':') {
            Some((name, port)) => (name, Some(port)),
            None => (host, None),
        }
    };
    if let Some(port) = port {
        let digits = !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit());
        if !digits || !port.parse::<u16>().is_ok_and(|port| port > 0) {
            return refuse("the port is a number from 1 to 65535");
        }
    }
    if host.starts_with('[') {
        return Ok(());
    }
    for label in name.split('.') {
        if label.is_empty() {
            return refuse("a part between two periods is empty");
        }
        if !label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-') {
            return refuse("letters, digits, hyphens and periods are legal in a host name");
        }
        if label.starts_with('-') || label.ends_with('-') {
            return refuse("no part of a host name starts or ends with a hyphen");
        }
    }
    Ok(())
}

/// Checks a whole path: lower-case components separated by single slashes.
pub(in crate::model) fn check_path(path: &str) -> Result<(), ImageRefError> {
    if path.chars().any(|c| c.is_ascii_uppercase()) {
        return Err(ImageRefError::UpperCase { path: shorten(path), suggestion: shorten(&path.to_ascii_lowercase()) });
    }
    path.split('/').try_for_each(|component| {
        check_component(component).map_err(|reason| ImageRefError::Path { path: shorten(path), reason })
    })
}

/// Checks one path component: `[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*` (distribution specification, "Pulling manifests").
pub(in crate::model) fn check_component(component: &str) -> Result<(), String> {
    if is_component(component.as_bytes()) { Ok(()) } else { Err(no_component(component)) }
}

/// Whether it is one, in one pass: lists read thousands.
fn is_component(component: &[u8]) -> bool {
    let mut separator: &[u8] = b"";
    let mut begins = 0;
    for (at, byte) in component.iter().enumerate() {
        match byte {
            b'a'..=b'z' | b'0'..=b'9' => {
                let legal = matches!(separator, b"" | b"." | b"_" | b"__") || separator.iter().all(|b| *b == b'-');
                if !legal || (begins == 0 && !separator.is_empty()) {
                    return false;
                }
                (begins, separator) = (at + 1, b"");
            }
            b'.' | b'_' | b'-' => separator = &component[begins..=at],
            _ => return false,
        }
    }
    begins > 0 && separator.is_empty()
}

/// What keeps it from being one.
fn no_component(component: &str) -> String {
    if component.is_empty() {
        return "a part between slashes is empty".to_owned();
    }
    if let Some(bad) = component.chars().find(|c| !matches!(c, 'a'..='z' | '0'..='9' | '.' | '_' | '-')) {
        return format!(
            "the character {bad:?} is not legal; lower-case letters, digits, periods, underscores and hyphens are"
        );
    }
    let is_separator = |c: char| matches!(c, '.' | '_' | '-');
    if component.starts_with(is_separator) || component.ends_with(is_separator) {
        return format!("{:?} must start and end with a letter or a digit", shorten(component));
    }
    let is_legal = |run: &&str| matches!(*run, "" | "." | "_" | "__") || run.bytes().all(|b| b == b'-');
    let run = component.split(|c: char| !is_separator(c)).find(|run| !is_legal(run)).unwrap_or_default();
    format!(
        "{run:?} in {:?} is not a legal separator; one period, one or two underscores, or hyphens are",
        shorten(component)
    )
}

/// Checks a tag: `[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}`.
pub(super) fn check_tag(tag: &str) -> Result<(), ImageRefError> {
    let legal = !tag.is_empty()
        && tag.len() <= 128
        && !tag.starts_with(['.', '-'])
        && tag.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-'));
    if legal { Ok(()) } else { Err(ImageRefError::Tag(shorten(tag))) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As the grammar is written: words, and between two of them a separator.
    fn as_written(component: &str) -> bool {
        let is_word = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
        let words: Vec<&str> = component.split(|c| !is_word(c)).collect();
        let separators: Vec<&str> = component.split(is_word).filter(|run| !run.is_empty()).collect();
        let legal = |run: &&str| matches!(*run, "." | "_" | "__") || run.bytes().all(|b| b == b'-');
        words.first().is_some_and(|word| !word.is_empty())
            && words.last().is_some_and(|word| !word.is_empty())
            && separators.iter().all(legal)
    }

    #[test]
    fn every_short_component_is_judged_as_the_grammar_is_written() {
        let mut all = vec![String::new()];
        for _ in 0..5 {
            let longer = all.iter().flat_map(|text| ['a', '9', '.', '_', '-', 'A'].map(|c| format!("{text}{c}")));
            all.extend(longer.collect::<Vec<_>>());
            all.sort();
            all.dedup();
        }
        for component in &all {
            let judged = check_component(component);
            assert_eq!(judged.is_ok(), as_written(component), "{component:?}: {judged:?}");
        }
    }
}
