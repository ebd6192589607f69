//! Policy documents as IAM and the services keep them.

use serde_json::{Map, Value};

use super::condition::Condition;
use super::pattern::{Case, Pattern, Variables};
use super::principal::{Principals, Reach};
use super::{Context, Request, Truth};

/// One policy document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Document {
    name: String,
    statements: Vec<Statement>,
}

/// A text that is no policy document. The text is for the user.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{at} {problem}")]
pub struct PolicyError {
    at: String,
    problem: String,
}

impl PolicyError {
    pub(super) fn new(at: &str, problem: impl Into<String>) -> Self {
        Self { at: at.to_owned(), problem: problem.into() }
    }
}

/// Whether a statement gives or takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Effect {
    Allow,
    Deny,
}

/// One statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Statement {
    /// Its `Sid`, else its number from 1.
    pub(super) label: String,
    pub(super) effect: Effect,
    principals: Principals,
    actions: Patterns,
    /// `None` in a policy that stands on one resource and speaks of that, as a repository's does.
    resources: Option<Patterns>,
    conditions: Vec<Condition>,
}

/// `Action` or `NotAction`, `Resource` or `NotResource`.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Patterns {
    list: Vec<Pattern>,
    /// Whether all but these are meant.
    negated: bool,
}

impl Patterns {
    fn mean(&self, text: &str, case: Case, context: &Context) -> Truth {
        let any = Truth::any(self.list.iter().map(|pattern| pattern.like(text, case, context)));
        if self.negated { any.not() } else { any }
    }
}

impl Document {
    /// Reads a document. `name` says for people which it is: `the policy of repository team/app`. What the IAM API hands
    /// out is percent-encoded; decode it first.
    ///
    /// # Errors
    /// [`PolicyError`] for a text that AWS would not have accepted either. What is legal but not understood here (a
    /// condition operator that came later) is no error; it makes answers unknown where they hang on it.
    pub fn parse(name: &str, text: &str) -> Result<Self, PolicyError> {
        let value: Value = serde_json::from_str(text).map_err(|_| PolicyError::new(name, "is no JSON"))?;
        let Value::Object(document) = value else {
            return Err(PolicyError::new(name, "is no JSON object"));
        };
        let variables = match document.get("Version").and_then(Value::as_str) {
            Some("2012-10-17") => Variables::Replaced,
            _ => Variables::PlainText,
        };
        let statements: Vec<&Value> = match document.get("Statement") {
            Some(Value::Array(all)) => all.iter().collect(),
            Some(one @ Value::Object(_)) => vec![one],
            _ => return Err(PolicyError::new(name, "has no Statement")),
        };
        let statements = statements
            .into_iter()
            .enumerate()
            .map(|(index, value)| {
                Statement::parse(value, &format!("{name}: statement {}", index + 1), index, variables)
            })
            .collect::<Result<Vec<_>, _>>()?;
        Ok(Self { name: name.to_owned(), statements })
    }

    /// Which it is, for people.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn statements(&self) -> &[Statement] {
        &self.statements
    }
}

impl Statement {
    fn parse(value: &Value, at: &str, index: usize, variables: Variables) -> Result<Self, PolicyError> {
        let Value::Object(object) = value else {
            return Err(PolicyError::new(at, "is no JSON object"));
        };
        let effect = match object.get("Effect").and_then(Value::as_str) {
            Some("Allow") => Effect::Allow,
            Some("Deny") => Effect::Deny,
            _ => return Err(PolicyError::new(at, "has no Effect of \"Allow\" or \"Deny\"")),
        };
        let label = match object.get("Sid").and_then(Value::as_str) {
            Some(sid) if !sid.is_empty() => sid.to_owned(),
            _ => format!("statement {}", index + 1),
        };
        let Some(actions) = patterns(object, "Action", "NotAction", Variables::PlainText, at)? else {
            return Err(PolicyError::new(at, "has no Action"));
        };
        Ok(Self {
            label,
            effect,
            principals: Principals::parse(object, at)?,
            actions,
            resources: patterns(object, "Resource", "NotResource", variables, at)?,
            conditions: conditions(object, variables, at)?,
        })
    }

    /// Whether it speaks of the request, once for each way in which it may reach the requester.
    pub(super) fn applies(&self, request: &Request<'_>) -> Vec<(Truth, Reach)> {
        let action = self.actions.mean(request.action, Case::Ignored, request.context);
        let resource = match &self.resources {
            Some(resources) => resources.mean(request.resource, Case::Matters, request.context),
            None => Truth::Yes,
        };
        let rest = action.and(resource);
        if rest == Truth::No {
            return Vec::new();
        }
        let rest = rest.and(Truth::all(self.conditions.iter().map(|condition| condition.holds(request.context))));
        let ways = self.principals.mean(request.requester).into_iter();
        ways.map(|(meant, reach)| (meant.and(rest.clone()), reach)).collect()
    }
}

fn patterns(
    object: &Map<String, Value>,
    key: &str,
    negated_key: &str,
    variables: Variables,
    at: &str,
) -> Result<Option<Patterns>, PolicyError> {
    let (value, negated) = match (object.get(key), object.get(negated_key)) {
        (None, None) => return Ok(None),
        (Some(value), None) => (value, false),
        (None, Some(value)) => (value, true),
        (Some(_), Some(_)) => return Err(PolicyError::new(at, format!("has both {key} and {negated_key}"))),
    };
    let list = texts(value, &format!("{at}.{key}"))?.iter().map(|text| Pattern::parse(text, variables)).collect();
    Ok(Some(Patterns { list, negated }))
}

fn conditions(object: &Map<String, Value>, variables: Variables, at: &str) -> Result<Vec<Condition>, PolicyError> {
    let operators = match object.get("Condition") {
        None => return Ok(Vec::new()),
        Some(Value::Object(operators)) => operators,
        Some(_) => return Err(PolicyError::new(at, "has a Condition that is no object")),
    };
    let mut all = Vec::new();
    for (operator, keys) in operators {
        let Value::Object(keys) = keys else {
            return Err(PolicyError::new(at, format!("has a Condition {operator} that is no object")));
        };
        for (key, values) in keys {
            let values = texts(values, &format!("{at}.Condition.{operator}.{key}"))?;
            all.push(Condition::new(
                operator,
                key,
                values.iter().map(|text| Pattern::parse(text, variables)).collect(),
            ));
        }
    }
    Ok(all)
}

/// A text or a list of texts. Numbers and booleans stand for their text, as IAM reads them in conditions.
pub(super) fn texts(value: &Value, at: &str) -> Result<Vec<String>, PolicyError> {
    let text = |value: &Value| match value {
        Value::String(text) => Ok(text.clone()),
        Value::Bool(_) | Value::Number(_) => Ok(value.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => {
            Err(PolicyError::new(at, "is neither a text nor a list of texts"))
        }
    };
    match value {
        Value::Array(all) => all.iter().map(text).collect(),
        one => Ok(vec![text(one)?]),
    }
}
