//! The conditions of a rule: what ELB refuses of them (ELB API, `RuleCondition`; "Quotas for your Application Load
//! Balancers").

use std::collections::BTreeSet;

use serde_json::Value;

use super::super::super::wire::Input;

/// The most values of a rule, in all its conditions.
const VALUES_LIMIT: usize = 5;

/// The most wildcards of a rule.
const WILDCARDS_LIMIT: usize = 5;

/// The longest value.
const VALUE_LIMIT: usize = 128;

/// Says what ELB has against the conditions of a rule.
pub(super) fn check(conditions: &[Value]) -> Result<(), String> {
    if conditions.is_empty() {
        return Err("A rule must have at least one condition".to_owned());
    }
    let mut fields = BTreeSet::new();
    let mut all = Vec::new();
    for condition in conditions {
        let field = condition.text("Field").unwrap_or_default();
        let config = match field {
            "path-pattern" => "PathPatternConfig",
            "host-header" => "HostHeaderConfig",
            other => return Err(format!("Condition field '{other}' is unknown to the fake")),
        };
        if !fields.insert(field) {
            return Err(format!("A rule can only have one '{field}' condition"));
        }
        let values = match condition.member(config) {
            Some(config) => config.texts("Values"),
            None => condition.texts("Values"),
        };
        if values.is_empty() || values.iter().any(|value| value.is_empty()) {
            return Err("A condition value must not be empty".to_owned());
        }
        for value in &values {
            check_value(field, value)?;
        }
        all.extend(values);
    }
    if all.len() > VALUES_LIMIT {
        return Err(format!("A rule can only have '{VALUES_LIMIT}' condition values"));
    }
    let wildcards = all.iter().flat_map(|value| value.chars()).filter(|letter| matches!(letter, '*' | '?')).count();
    if wildcards > WILDCARDS_LIMIT {
        return Err(format!("A rule can only have '{WILDCARDS_LIMIT}' condition wildcards"));
    }
    Ok(())
}

fn check_value(field: &str, value: &str) -> Result<(), String> {
    if value.len() > VALUE_LIMIT {
        return Err(format!("Condition value '{value}' cannot be longer than '{VALUE_LIMIT}' characters"));
    }
    let signs = if field == "host-header" { "-.*?" } else { "_-.$/~\"'@:+&*?" };
    if let Some(letter) = value.chars().find(|letter| !letter.is_ascii_alphanumeric() && !signs.contains(*letter)) {
        return Err(format!("Condition value '{value}' contains a character that is not valid: '{letter}'"));
    }
    let end = value.rsplit('.').next().unwrap_or_default();
    if field == "host-header"
        && (!value.contains('.') || end.is_empty() || !end.chars().all(|c| c.is_ascii_alphabetic()))
    {
        return Err(format!("'{value}' is not a valid host name pattern"));
    }
    Ok(())
}
