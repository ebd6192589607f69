//! The little languages inside arguments: ports, overrides, repositories, images. Pure.

use std::collections::BTreeMap;

use layer0_api::types::{ContainerOverride, Port, PortRule, RuleChange};

use crate::error::CliError;

/// Reads an integer and names what it is for.
pub(crate) fn integer(label: &str, text: &str) -> Result<i64, CliError> {
    text.trim()
        .parse()
        .map_err(|_| CliError::usage(format!("Failed to parse {label} argument: '{text}' is not a valid integer")))
}

/// What stands for the protocol of a port that redirects.
const REDIRECT: &str = "redirect";

/// Reads `HOST_PORT:CONTAINER_PORT/PROTOCOL`, or `HOST_PORT:HTTPS_PORT/redirect`. The protocol keeps its case; ranges are the
/// server's business.
pub(crate) fn port(text: &str, certificate: Option<&str>) -> Result<Port, CliError> {
    let fields: Vec<&str> = text.split([':', '/']).collect();
    let [host, container, protocol] = fields[..] else {
        return Err(CliError::usage("Port format is: HOST_PORT:CONTAINER_PORT/PROTOCOL"));
    };
    let host_port = port_number(host)?;
    let container_port = port_number(container)?;
    if protocol.eq_ignore_ascii_case(REDIRECT) {
        return Ok(redirection(host_port, container_port));
    }
    let certificate = certificate.unwrap_or_default();
    if certificate.is_empty() {
        if protocol.eq_ignore_ascii_case("https") {
            return Err(CliError::usage("HTTPS protocol specified in a port, but no certificate provided"));
        }
    } else if !certificate.to_ascii_lowercase().starts_with("arn:") {
        return Err(CliError::usage("SSL Certificate must be in ARN format"));
    }
    let certificate_arn = certificate.to_owned();
    Ok(Port { certificate_arn, container_port, host_port, protocol: protocol.to_owned(), ..Port::default() })
}

/// Reads `HOST_PORT:HTTPS_PORT`.
pub(crate) fn redirect(text: &str) -> Result<Port, CliError> {
    let (host, https) = text.split_once(':').ok_or_else(|| {
        CliError::usage(format!("'{text}' is not a redirect: the format is HOST_PORT:HTTPS_PORT, as in 80:443"))
    })?;
    Ok(redirection(port_number(host)?, port_number(https)?))
}

fn redirection(host_port: i64, https_port: i64) -> Port {
    Port { host_port, redirect_port: Some(https_port), protocol: "http".to_owned(), ..Port::default() }
}

/// How a port is written.
pub(crate) fn port_text(port: &Port) -> String {
    match port.redirect_port {
        Some(https_port) => format!("{}:{https_port}/{}", port.host_port, REDIRECT.to_uppercase()),
        None => format!("{}:{}/{}", port.host_port, port.container_port, port.protocol.to_uppercase()),
    }
}

/// Reads `HOST_PORT:CONDITIONS:CONTAINER_PORT`, where conditions are `path=PATTERN` and `host=PATTERN`, divided by commas; what
/// stands without a word in front belongs to the one before. No pattern has a comma or `=` in it, and a path may have a `:`.
pub(crate) fn rule(text: &str) -> Result<RuleChange, CliError> {
    let unfit = |why: &str| {
        CliError::usage(format!("'{text}' is not a rule: {why}")).hint(
            "the format is HOST_PORT:CONDITIONS:CONTAINER_PORT, as in 443:path=/api/*,/v1/*,host=api.example.com:8081",
        )
    };
    let parts = text.split_once(':').and_then(|(host, rest)| Some((host, rest.rsplit_once(':')?)));
    let (host, (conditions, container)) = parts.ok_or_else(|| unfit("it has three parts, divided by `:`"))?;
    let mut rule = PortRule { container_port: port_number(container)?, ..PortRule::default() };
    let mut word_before = "";
    for condition in conditions.split(',') {
        let (word, pattern) = match condition.split_once('=') {
            Some((word, pattern)) => (word, pattern),
            None => (word_before, condition),
        };
        match word {
            "path" => rule.paths.push(pattern.to_owned()),
            "host" => rule.hosts.push(pattern.to_owned()),
            "" => return Err(unfit("a condition begins with `path=` or `host=`")),
            other => return Err(unfit(&format!("`{other}` is no condition, `path` and `host` are"))),
        }
        word_before = word;
    }
    Ok(RuleChange { host_port: port_number(host)?, rule, place: None })
}

/// How a rule of a port is written.
pub(crate) fn rule_text(host_port: i64, rule: &PortRule) -> String {
    let conditions = [("path=", &rule.paths), ("host=", &rule.hosts)].into_iter();
    let conditions = conditions.filter(|(_, patterns)| !patterns.is_empty());
    let conditions: Vec<String> = conditions.map(|(key, patterns)| format!("{key}{}", patterns.join(","))).collect();
    format!("{host_port}:{}:{}", conditions.join(","), rule.container_port)
}

/// Reads one port number.
pub(crate) fn port_number(text: &str) -> Result<i64, CliError> {
    text.parse().map_err(|_| CliError::usage(format!("'{text}' is not a valid integer")))
}

/// Reads `CONTAINER:VAR=VAL` texts and gathers them by container. A value may hold `:` and `=` and may be empty: the text is
/// split at its first `:` and then at the first `=`.
pub(crate) fn overrides(texts: &[String]) -> Result<Vec<ContainerOverride>, CliError> {
    let mut out: Vec<ContainerOverride> = Vec::new();
    for text in texts {
        let unfit = || {
            CliError::usage("Environment Variable Override format is: CONTAINER:VAR=VAL")
                .hint(format!("this is not: {}", text.split('=').next().unwrap_or_default()))
        };
        let (container, rest) = text.split_once(':').ok_or_else(unfit)?;
        let (variable, value) = rest.split_once('=').ok_or_else(unfit)?;
        if container.is_empty() || variable.is_empty() {
            return Err(unfit());
        }
        let entry = (variable.to_owned(), value.to_owned());
        match out.iter_mut().find(|known| known.container_name == container) {
            Some(known) => {
                known.environment_overrides.insert(entry.0, entry.1);
            }
            None => out.push(ContainerOverride {
                container_name: container.to_owned(),
                environment_overrides: BTreeMap::from([entry]),
            }),
        }
    }
    Ok(out)
}

/// A repository: its owner and its name, which may hold further `/`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RepositoryName {
    pub(crate) owner: String,
    pub(crate) name: String,
}

/// Reads `OWNER/NAME`. A name with a registry's host is refused: which registry is asked is a matter of the endpoint, and
/// deleting in ours what was named of another would be a trap.
pub(crate) fn repository(text: &str) -> Result<RepositoryName, CliError> {
    let unfit = |why: &str| CliError::usage(format!("'{text}' is not a repository: {why}"));
    let Some((owner, name)) = text.split_once('/') else {
        return Err(unfit("the format is OWNER/NAME"));
    };
    if owner.contains(['.', ':']) || owner == "localhost" {
        return Err(unfit("give OWNER/NAME without the registry's host"));
    }
    for part in text.split('/') {
        let legal = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '.' | '_' | '-');
        if part.is_empty() || !part.chars().all(legal) || part.chars().all(|c| c == '.') {
            return Err(unfit("its parts are made of lower-case letters, digits, `.`, `_` and `-`"));
        }
    }
    Ok(RepositoryName { owner: owner.to_owned(), name: name.to_owned() })
}

/// Reads `OWNER/NAME:TAG` or `OWNER/NAME@DIGEST`.
pub(crate) fn image(text: &str) -> Result<(RepositoryName, String), CliError> {
    let format =
        || CliError::usage(format!("'{text}' is not an image: the format is OWNER/NAME:TAG or OWNER/NAME@DIGEST"));
    let (name, reference) = match text.split_once('@') {
        Some(parts) => parts,
        None => {
            let slash = text.rfind('/').ok_or_else(format)?;
            let colon = text[slash..].find(':').ok_or_else(format)? + slash;
            (&text[..colon], &text[colon + 1..])
        }
    };
    if reference.is_empty() {
        return Err(format());
    }
    Ok((repository(name)?, reference.to_owned()))
}

/// Reads `OWNER/PATTERN`, the repositories of a rule: the owner itself, and a pattern for the names behind it.
pub(crate) fn repositories(text: &str) -> Result<RepositoryName, CliError> {
    let unfit = |why: &str| CliError::usage(format!("'{text}' names no repositories: {why}"));
    let Some((owner, pattern)) = text.split_once('/') else {
        return Err(unfit("the format is OWNER/PATTERN").hint("OWNER/* means all repositories of an owner"));
    };
    if owner.contains('*') {
        return Err(unfit("a rule is one owner's, so only what follows the owner may be a pattern"));
    }
    if owner.contains(['.', ':']) || owner == "localhost" {
        return Err(unfit("give OWNER/PATTERN without the registry's host"));
    }
    if pattern.contains([':', '@']) {
        return Err(unfit("give the tags as --tags"));
    }
    let legal = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '.' | '_' | '-' | '/' | '*');
    if owner.is_empty() || pattern.is_empty() || !text.chars().all(legal) {
        return Err(unfit("it is made of lower-case letters, digits, `.`, `_`, `-`, `/` and `*`"));
    }
    Ok(RepositoryName { owner: owner.to_owned(), name: pattern.to_owned() })
}

/// Looks whether a text has the form of a scope, `ACTIONS:OWNER/NAME[:TAGS]` or `ACTIONS:*`, and passes it on as it is. Which
/// actions there are is the server's business.
pub(crate) fn scope(text: &str) -> Result<String, String> {
    let formed = text.split_once(':').is_some_and(|(actions, what)| {
        let (name, tags) = match what.split_once('/') {
            Some((owner, rest)) if !owner.is_empty() => rest.split_once(':').unwrap_or((rest, "*")),
            Some(_) => ("", ""),
            None => (if what == "*" { what } else { "" }, "*"),
        };
        actions.split(',').all(|action| !action.trim().is_empty()) && !name.is_empty() && !tags.is_empty()
    });
    if formed {
        Ok(text.to_owned())
    } else {
        Err("the format is ACTIONS:OWNER/NAME[:TAGS], as in pull,push:team/* or push:team/app:v*".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ARN: &str = "arn:aws:iam::123456789012:server-certificate/name";

    #[test]
    fn ports_are_read() {
        let read = port("80:8080/Http", None).expect("a port");
        assert_eq!((read.host_port, read.container_port, read.protocol.as_str()), (80, 8080, "Http"));
        let read = port("443:80/HTTPS", Some(ARN)).expect("a port");
        assert_eq!(read.certificate_arn, ARN);
        // One certificate is applied to every port, those without TLS too.
        assert_eq!(port("80:80/tcp", Some(ARN)).expect("a port").certificate_arn, ARN);
    }

    #[test]
    fn malformed_ports_are_refused_in_the_words_of_the_contract() {
        let format = "Port format is: HOST_PORT:CONTAINER_PORT/PROTOCOL";
        for (text, certificate, message) in [
            ("80:80", None, format),
            ("80", None, format),
            ("", None, format),
            ("80:80/tcp/x", None, format),
            ("80:x/redirect", None, "'x' is not a valid integer"),
            (":80/tcp", None, "'' is not a valid integer"),
            ("80:/tcp", None, "'' is not a valid integer"),
            ("80p:80/tcp", None, "'80p' is not a valid integer"),
            ("80:80p/tcp", None, "'80p' is not a valid integer"),
            ("443:80/https", None, "HTTPS protocol specified in a port, but no certificate provided"),
            ("443:80/https", Some("my-cert"), "SSL Certificate must be in ARN format"),
        ] {
            let error = port(text, certificate).expect_err(text);
            assert_eq!((error.message.as_str(), error.exit.code()), (message, 2), "{text}");
        }
    }

    #[test]
    fn redirects_are_read_and_written() {
        let read = redirect("80:443").expect("a redirect");
        assert_eq!((read.host_port, read.container_port, read.redirect_port), (80, 0, Some(443)));
        assert_eq!(port("80:443/Redirect", Some(ARN)).expect("a port"), read);
        assert_eq!(port_text(&read), "80:443/REDIRECT");
        assert_eq!(redirect("80").expect_err("no port of HTTPS").exit.code(), 2);
        assert_eq!(redirect("80:https").expect_err("no number").message, "'https' is not a valid integer");
    }

    #[test]
    fn rules_are_read_and_written() {
        for text in [
            "443:path=/api/*:8081",
            "80:host=*.example.com:90",
            "443:path=/a:b,/c,host=a.example.com,b.example.com:8081",
        ] {
            let read = rule(text).expect(text);
            assert_eq!(rule_text(read.host_port, &read.rule), text);
        }
        let read = rule("443:host=a.b,path=/x,/y:80").expect("in any order");
        assert_eq!((read.rule.paths.len(), read.rule.hosts.len()), (2, 1));
        for (text, why) in [
            ("443", "three parts"),
            ("443:path=/x", "three parts"),
            ("443:/x:80", "begins with"),
            ("443::80", "begins with"),
            ("443:header=x:80", "`header` is no condition"),
            ("x:path=/x:80", "'x' is not a valid integer"),
            ("443:path=/x:y", "'y' is not a valid integer"),
        ] {
            let error = rule(text).expect_err(text);
            assert!(error.exit.code() == 2 && error.message.contains(why), "{}", error.message);
        }
    }

    #[test]
    fn an_override_value_may_hold_anything() {
        let read = overrides(&[
            "app:URL=http://a:80/?x=1".to_owned(),
            "app:EMPTY=".to_owned(),
            "side:A=b,c".to_owned(),
            "app:EMPTY=later wins".to_owned(),
        ])
        .expect("overrides");
        assert_eq!(read.len(), 2);
        assert_eq!(read[0].container_name, "app");
        assert_eq!(read[0].environment_overrides["URL"], "http://a:80/?x=1");
        assert_eq!(read[0].environment_overrides["EMPTY"], "later wins");
        assert_eq!(read[1].environment_overrides["A"], "b,c");
    }

    #[test]
    fn malformed_overrides_are_refused() {
        for text in [":key=val", "container:=val", "container:key", "container", "key=val", ""] {
            let error = overrides(&[text.to_owned()]).expect_err(text);
            assert_eq!(error.message, "Environment Variable Override format is: CONTAINER:VAR=VAL", "{text}");
        }
    }

    #[test]
    fn an_override_without_its_colon_does_not_put_its_value_on_the_screen() {
        let error = overrides(&["PASSWORD=hunter2".to_owned()]).expect_err("no container");
        assert!(!error.text().contains("hunter2"), "{}", error.text());
    }

    #[test]
    fn repositories_and_images_are_read() {
        let read = repository("team/app/web").expect("a repository");
        assert_eq!((read.owner.as_str(), read.name.as_str()), ("team", "app/web"));
        let (read, tag) = image("team/app:1.2").expect("an image");
        assert_eq!((read.name.as_str(), tag.as_str()), ("app", "1.2"));
        let (_, digest) = image("team/app@sha256:ab").expect("an image");
        assert_eq!(digest, "sha256:ab");
        for text in [
            "app",
            "",
            "/app",
            "team/",
            "Team/app",
            "team/../app",
            "team/a?b",
            "localhost:9090/team/app",
            "registry.example.com/team/app",
        ] {
            assert!(repository(text).is_err(), "{text}");
        }
        for text in ["team/app", "team/app:", "app:1", "host:80/team/app:1", "team/app@"] {
            assert!(image(text).is_err(), "{text}");
        }
    }

    #[test]
    fn the_repositories_of_a_rule_are_read() {
        for (text, pattern) in [("team/*", "*"), ("team/app", "app"), ("team/app/web-*", "app/web-*")] {
            let read = repositories(text).expect(text);
            assert_eq!((read.owner.as_str(), read.name.as_str()), ("team", pattern));
        }
        for (text, why) in [
            ("team", "OWNER/PATTERN"),
            ("*/app", "one owner's"),
            ("localhost:9090/team/*", "without the registry's host"),
            ("registry.example.com/team/*", "without the registry's host"),
            ("team/app:v*", "--tags"),
            ("team/", "lower-case"),
            ("/app", "lower-case"),
            ("Team/app", "lower-case"),
            ("team/a?b", "lower-case"),
        ] {
            let error = repositories(text).expect_err(text);
            assert!(error.exit.code() == 2 && error.message.contains(why), "{}", error.message);
        }
    }

    #[test]
    fn scopes_pass_as_they_are() {
        for text in [
            "pull:team/app",
            "pull,push:team/*",
            "push,delete:team/app:v*",
            "pull, push:team/a/b",
            "admin:*",
            "fly:team/*:a:b",
        ] {
            assert_eq!(scope(text).as_deref(), Ok(text));
        }
        for text in [
            "",
            "pull",
            "team/app",
            ":team/app",
            "pull:",
            "pull:team",
            "pull:team/",
            "pull:/app",
            "pull,:team/app",
            "push:team/app:",
            "pull:*:v",
        ] {
            assert!(scope(text).is_err(), "{text}");
        }
    }

    #[test]
    fn integers_name_their_argument() {
        assert_eq!(integer("COUNT", "3").expect("an integer"), 3);
        assert_eq!(integer("COUNT", "-1").expect("the server judges it"), -1);
        assert_eq!(
            integer("COUNT", "x").expect_err("no integer").message,
            "Failed to parse COUNT argument: 'x' is not a valid integer"
        );
    }
}
