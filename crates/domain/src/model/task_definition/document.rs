//! The document as the user gave it, kept whole.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::canonical::{self, Canonical, key_in_any_case, kind_of};
use super::problem::{Problem, Problems};
use super::{TaskDefinition, Written, check, pascal, read};

/// Largest document: far above any real one (ECS itself refuses more than 64 KiB), far below what could hurt.
pub const MAX_BYTES: usize = 1024 * 1024;

/// Deepest nesting of lists and objects; a task definition needs fewer than ten levels.
pub const MAX_DEPTH: usize = 64;

/// A task definition document that keeps every rule, with its typed form.
///
/// Known keys have ECS's camelCase spelling, unknown keys and the keys of user maps stay as they were given. `Debug` shows no
/// values, since a document may hold secrets.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Value", into = "Value")]
pub struct Document {
    canonical: Value,
    definition: TaskDefinition,
    unknown: Vec<String>,
}

impl Document {
    /// Reads a document as a user has it: JSON in UTF-8, with or without a byte order mark, keys in any case, as written by hand, as
    /// `aws ecs describe-task-definition` prints it, or in the read form of a deploy.
    ///
    /// # Errors
    /// [`DocumentError`]; everything that is wrong with the content is in one [`DocumentError::Invalid`].
    pub fn parse(bytes: &[u8]) -> Result<Self, DocumentError> {
        if bytes.len() > MAX_BYTES {
            return Err(DocumentError::TooLarge { bytes: bytes.len(), limit: MAX_BYTES });
        }
        if bytes.starts_with(&[0xff, 0xfe]) || bytes.starts_with(&[0xfe, 0xff]) {
            return Err(DocumentError::Utf16);
        }
        let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
        if bytes.iter().all(u8::is_ascii_whitespace) {
            return Err(DocumentError::Empty);
        }
        if is_deeper_than(bytes, MAX_DEPTH) {
            return Err(DocumentError::TooDeep { limit: MAX_DEPTH });
        }
        let value: Value = serde_json::from_slice(bytes).map_err(|error| not_json(&error))?;
        Self::from_value(value)
    }

    /// Takes a document from the store, or any document that is JSON already.
    ///
    /// # Errors
    /// As [`Document::parse`], for what can be wrong with the content.
    pub fn from_canonical(value: Value) -> Result<Self, DocumentError> {
        Self::from_value(value)
    }

    fn from_value(value: Value) -> Result<Self, DocumentError> {
        let object = match value {
            Value::Object(object) => unwrap(object),
            other => {
                return Err(DocumentError::Invalid(vec![Problem {
                    path: String::new(),
                    message: format!(
                        "the document must be a JSON object with \"containerDefinitions\", not {}",
                        kind_of(&other)
                    ),
                }]));
            }
        };
        if is_single_container(&object) {
            return Err(DocumentError::SingleContainer);
        }
        let mut problems = Problems::default();
        let Canonical { value, unknown, not_modelled } = canonical::canonicalise(&object, &mut problems);
        let definition = read::task_definition(&value, not_modelled, &mut problems);
        match value.get("containerDefinitions") {
            None => problems.add("containerDefinitions", "is missing"),
            Some(Value::Array(items)) if items.is_empty() => {
                problems.add("containerDefinitions", "is empty; at least one container is needed")
            }
            Some(_) => {}
        }
        check::check(&definition, &mut problems);
        let problems = problems.into_vec();
        if !problems.is_empty() {
            return Err(DocumentError::Invalid(problems));
        }
        Ok(Self { canonical: Value::Object(value), definition, unknown })
    }

    /// The typed form.
    #[must_use]
    pub fn definition(&self) -> &TaskDefinition {
        &self.definition
    }

    /// The whole document with known keys in ECS's spelling: what is stored, and what AWS is given.
    #[must_use]
    pub fn canonical(&self) -> &Value {
        &self.canonical
    }

    /// The typed form with the document in it: what a deployment or a task keeps, as the deploy may be deleted before it.
    #[must_use]
    pub fn definition_with_document(&self) -> TaskDefinition {
        TaskDefinition { written: Some(Written(self.canonical.clone())), ..self.definition.clone() }
    }

    /// The same document with other images: `image_of` is asked for each container, with its name and its image as written.
    ///
    /// The caller answers with legal references (the `Display` of an `ImageRef`).
    #[must_use]
    pub fn with_images(&self, mut image_of: impl FnMut(&str, &str) -> String) -> Self {
        let mut changed = self.clone();
        let items = changed.canonical.get_mut("containerDefinitions").and_then(Value::as_array_mut);
        let items = items.into_iter().flatten();
        for (container, item) in changed.definition.containers.iter_mut().zip(items) {
            container.image = image_of(&container.name, &container.image);
            if let Value::Object(object) = item {
                object.insert("image".to_owned(), Value::from(container.image.clone()));
            }
        }
        changed
    }

    /// The read form of a deploy in the predecessor's API: PascalCase keys, known ones always there, null when not set.
    #[must_use]
    pub fn pascal_case(&self) -> Value {
        match &self.canonical {
            Value::Object(object) => pascal::document(object),
            other => other.clone(),
        }
    }

    /// JSON paths of the keys that ECS does not know; they are kept and mean nothing. For warnings.
    #[must_use]
    pub fn unknown_keys(&self) -> Vec<String> {
        self.unknown.clone()
    }

    /// What kinds of service the document can be run as. Stateful always is possible; stateless when the document asks for
    /// Fargate or leaves the launch type open.
    #[must_use]
    pub fn compatibilities(&self) -> Vec<Compatibility> {
        let asked = &self.definition.requires_compatibilities;
        if asked.is_empty() || asked.iter().any(|name| name == "FARGATE") {
            vec![Compatibility::Stateful, Compatibility::Stateless]
        } else {
            vec![Compatibility::Stateful]
        }
    }
}

impl fmt::Debug for Document {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let containers = self.definition.containers.iter();
        f.debug_struct("Document")
            .field("family", &self.definition.family)
            .field("containers", &containers.map(|c| (&c.name, &c.image)).collect::<Vec<_>>())
            .finish_non_exhaustive()
    }
}

impl TryFrom<Value> for Document {
    type Error = DocumentError;

    fn try_from(value: Value) -> Result<Self, Self::Error> {
        Self::from_canonical(value)
    }
}

impl From<Document> for Value {
    fn from(document: Document) -> Self {
        document.canonical
    }
}

/// A kind of service that a deploy can be run as.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Compatibility {
    /// On machines of the environment (EC2 on AWS).
    Stateful,
    /// On Fargate.
    Stateless,
}

impl Compatibility {
    /// The word on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Stateful => "stateful",
            Self::Stateless => "stateless",
        }
    }
}

impl fmt::Display for Compatibility {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Why something is not a [`Document`]. The texts are for the user.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DocumentError {
    /// Larger than [`MAX_BYTES`]; nothing of it was read.
    #[error("the document has {bytes} bytes; at most {limit} are legal")]
    TooLarge {
        /// Its size.
        bytes: usize,
        /// The most that is legal.
        limit: usize,
    },
    /// Nothing but white space.
    #[error("the document is empty")]
    Empty,
    /// Saved as UTF-16, as some Windows programs do.
    #[error("the document is in UTF-16; save it as UTF-8")]
    Utf16,
    /// Lists and objects are nested too deep.
    #[error("the document is nested deeper than {limit} levels")]
    TooDeep {
        /// The most that is legal.
        limit: usize,
    },
    /// Not JSON.
    #[error("the document is not valid JSON: line {line}, column {column}: {reason}")]
    NotJson {
        /// Counted from 1.
        line: usize,
        /// Counted from 1, in bytes.
        column: usize,
        /// What the parser met.
        reason: String,
    },
    /// Version 1 of the Dockerrun format, which describes one container by other keys.
    #[error(
        "this is a single-container Dockerrun (version 1, with \"Image\" and \"Ports\"); Layer0 reads version 2: move the container into \"containerDefinitions\": [{{\"name\": …, \"image\": …, \"memory\": …, \"portMappings\": […]}}]"
    )]
    SingleContainer,
    /// The content breaks rules; all that was found, in the order of the document's reading.
    #[error("{}", describe(.0))]
    Invalid(Vec<Problem>),
}

impl DocumentError {
    /// The single problems, for an answer that lists them; empty for documents that could not be read at all.
    #[must_use]
    pub fn problems(&self) -> &[Problem] {
        match self {
            Self::Invalid(problems) => problems,
            Self::TooLarge { .. }
            | Self::Empty
            | Self::Utf16
            | Self::TooDeep { .. }
            | Self::NotJson { .. }
            | Self::SingleContainer => &[],
        }
    }
}

fn describe(problems: &[Problem]) -> String {
    match problems {
        [only] => only.to_string(),
        several => {
            let lines = several.iter().map(|problem| format!("\n- {problem}"));
            format!("{} problems:{}", several.len(), lines.collect::<String>())
        }
    }
}

fn not_json(error: &serde_json::Error) -> DocumentError {
    let text = error.to_string();
    let place = format!(" at line {} column {}", error.line(), error.column());
    DocumentError::NotJson {
        line: error.line(),
        column: error.column(),
        reason: text.strip_suffix(&place).unwrap_or(&text).to_owned(),
    }
}

/// Whether brackets outside strings nest deeper than `limit`. Looked at before parsing, so that no parser's stack matters.
fn is_deeper_than(bytes: &[u8], limit: usize) -> bool {
    let mut depth = 0_usize;
    let mut in_string = false;
    let mut escaped = false;
    for byte in bytes {
        match (in_string, byte) {
            (true, _) if escaped => escaped = false,
            (true, b'\\') => escaped = true,
            (true, b'"') => in_string = false,
            (true, _) => {}
            (false, b'"') => in_string = true,
            (false, b'{' | b'[') => {
                depth += 1;
                if depth > limit {
                    return true;
                }
            }
            (false, b'}' | b']') => depth = depth.saturating_sub(1),
            (false, _) => {}
        }
    }
    false
}

/// Takes the definition out of the `taskDefinition` wrapper that `aws ecs describe-task-definition` prints. What stands beside it
/// (`tags`) comes along.
fn unwrap(object: Map<String, Value>) -> Map<String, Value> {
    if key_in_any_case(&object, "containerDefinitions").is_some() {
        return object;
    }
    let Some((key, Value::Object(inner))) = key_in_any_case(&object, "taskDefinition") else {
        return object;
    };
    let mut inner = inner.clone();
    let key = key.clone();
    for (beside, value) in object {
        if beside != key && key_in_any_case(&inner, &beside).is_none() {
            inner.insert(beside, value);
        }
    }
    inner
}

/// Whether this is version 1 of the Dockerrun format.
fn is_single_container(object: &Map<String, Value>) -> bool {
    if key_in_any_case(object, "containerDefinitions").is_some() {
        return false;
    }
    let version = key_in_any_case(object, "AWSEBDockerrunVersion").map(|(_, value)| value);
    let is_version_1 = version.is_some_and(|version| match version {
        Value::String(text) => text.trim() == "1",
        other => other.as_i64() == Some(1),
    });
    is_version_1 || ["Image", "Ports"].iter().any(|key| key_in_any_case(object, key).is_some())
}
