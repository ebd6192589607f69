//! Values of single settings: from text to what they mean, or to what is wrong with them.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use layer0_domain::model::image_map::{ImageMap, MapRule};

use super::{ConfigError, EngineKind, Given};

pub(super) fn default_data_dir(environment: &dyn Fn(&str) -> Option<String>) -> Option<PathBuf> {
    let variable = |name: &str| environment(name).filter(|text| !text.is_empty()).map(PathBuf::from);
    let base = variable("XDG_DATA_HOME").or_else(|| variable("HOME").map(|home| home.join(".local/share")))?;
    Some(base.join("layer0"))
}

/// A log filter wins over `--debug` from the same source, not over one from a stronger source.
pub(super) fn log(filter: Option<Given>, debug: Option<Given>) -> Result<String, ConfigError> {
    let debug = match debug {
        Some(given) => given.boolean()?.then_some(given),
        None => None,
    };
    Ok(match (filter, debug) {
        (Some(filter), Some(debug)) if debug.source <= filter.source => filter.text,
        (_, Some(_)) => "debug".to_owned(),
        (Some(filter), None) => filter.text,
        (None, None) => "info".to_owned(),
    })
}

/// An address with its port wins over a port from the same source, not over one from a stronger source.
pub(super) fn listen(address: Option<Given>, port: Option<Given>) -> Result<SocketAddr, ConfigError> {
    let stronger = |given: &Given| port.as_ref().is_none_or(|port| port.source <= given.source);
    if let Some(given) = address.filter(stronger) {
        let text = match given.text.strip_prefix("localhost:") {
            Some(port) => format!("127.0.0.1:{port}"),
            None if given.text.starts_with(':') => format!("0.0.0.0{}", given.text),
            None => given.text.clone(),
        };
        return text.parse().map_err(|_| given.wrong("is no address and port, such as `127.0.0.1:9090`"));
    }
    let port = match port {
        Some(given) => given.text.parse().map_err(|_| given.wrong("is no port (0 to 65535)"))?,
        None => 9090,
    };
    Ok(SocketAddr::from(([127, 0, 0, 1], port)))
}

/// Seconds of a stop. Nobody waits an hour for one.
pub(super) fn seconds(given: Option<Given>, usual: Duration) -> Result<Duration, ConfigError> {
    let Some(given) = given else { return Ok(usual) };
    match given.text.parse() {
        Ok(seconds @ 0..=3600) => Ok(Duration::from_secs(seconds)),
        _ => Err(given.wrong("must be a number of seconds from 0 to 3600")),
    }
}

/// The rule of the predecessor's instance names, so that `l0-<instance>-<id>` fits everywhere.
pub(super) fn instance(given: &Given) -> Result<String, ConfigError> {
    let text = &given.text;
    let legal = text.len() <= 16
        && text.starts_with(|c: char| c.is_ascii_lowercase())
        && text.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit());
    if legal {
        Ok(text.clone())
    } else {
        Err(given.wrong("must be 1 to 16 lower-case letters and digits, a letter first"))
    }
}

/// A host that an image can begin with.
pub(super) fn registry_host(given: &Given) -> Result<String, ConfigError> {
    let probe = layer0_domain::model::image::ImageRef::parse(&format!("{}/x", given.text));
    match probe {
        Ok(image) if image.host() == Some(given.text.as_str()) => Ok(given.text.clone()),
        _ => Err(given.wrong("is no registry host, such as `registry.example.com` or `localhost:9090`")),
    }
}

pub(super) fn image_map(given: &Given) -> Result<Vec<MapRule>, ConfigError> {
    match ImageMap::parse_list(&given.text) {
        Ok(map) => Ok(map.rules().to_vec()),
        Err(why) => {
            let mut message = format!("is no image map: {why}");
            let mut source = std::error::Error::source(&why);
            while let Some(inner) = source {
                message = format!("{message}: {inner}");
                source = inner.source();
            }
            Err(given.wrong(message))
        }
    }
}

pub(super) fn engine(given: &Given) -> Result<EngineKind, ConfigError> {
    match given.text.as_str() {
        "docker" => Ok(EngineKind::Docker),
        "fake" => Ok(EngineKind::Fake),
        "none" => Ok(EngineKind::None),
        "ecs" if cfg!(feature = "aws") => Ok(EngineKind::Ecs),
        "ecs" => Err(given.wrong("is not built into this executable: build it with `--features aws`")),
        _ => Err(given.wrong("is no engine; `docker`, `ecs` and `fake` are, and `none` is for the registry alone")),
    }
}
