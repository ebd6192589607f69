//! Command lines as data: each with what it says, in text and in JSON, and what must be true behind it then.
//!
//! A script is walked once in each form. The lines are data so that `every_command` can compare them with what the built
//! program knows: a command that is in no script fails there.

use serde_json::Value;

use crate::common::instance::Instance;
use crate::common::run::Said;

/// How a walk asks for its output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    Text,
    Json,
}

/// Where a script is walked.
pub(crate) trait Place {
    /// The instance.
    fn instance(&self) -> &Instance;
}

/// One line, without `l0`. Words in `'…'` are one; `{operation}` is the newest operation's id, `{token:NAME}` that of a token.
pub(crate) struct Step<P: 'static> {
    pub(crate) line: &'static str,
    code: i32,
    says: &'static [&'static str],
    holds: &'static [(&'static str, &'static str)],
    truth: Option<fn(&P)>,
}

/// A line that ends well.
pub(crate) const fn run<P>(line: &'static str) -> Step<P> {
    Step { line, code: 0, says: &[], holds: &[], truth: None }
}

impl<P: Place> Step<P> {
    /// With this exit code instead.
    pub(crate) const fn exits(mut self, code: i32) -> Self {
        self.code = code;
        self
    }

    /// What it says in text, on either stream. What ends badly says it in JSON too.
    pub(crate) const fn says(mut self, words: &'static [&'static str]) -> Self {
        self.says = words;
        self
    }

    /// What stands where in its JSON: pointers, and values in JSON.
    pub(crate) const fn holds(mut self, values: &'static [(&'static str, &'static str)]) -> Self {
        self.holds = values;
        self
    }

    /// What must be true then.
    pub(crate) const fn then(mut self, truth: fn(&P)) -> Self {
        self.truth = Some(truth);
        self
    }

    #[track_caller]
    fn walk(&self, place: &P, form: Form) {
        let instance = place.instance();
        let mut words = words(self.line, instance);
        if form == Form::Json {
            words.splice(0..0, ["-o".to_owned(), "json".to_owned()]);
        }
        let said = instance.l0(&words.iter().map(String::as_str).collect::<Vec<_>>()).exits(self.code);
        if form == Form::Text || self.code != 0 {
            for text in self.says {
                assert!(said.out.contains(text) || said.err.contains(text), "nothing of `{text}` in:\n{}", said.all());
            }
        }
        if form == Form::Json {
            self.judge_json(&said);
        }
        if let Some(truth) = self.truth {
            truth(place);
        }
    }

    #[track_caller]
    fn judge_json(&self, said: &Said) {
        if self.code != 0 {
            // Warnings and progress may come before it.
            let last = said.err.rfind("\n{\n").map_or(said.err.as_str(), |at| &said.err[at + 1..]);
            let error: Option<Value> = serde_json::from_str(last).ok();
            assert_eq!(error.and_then(|error| error["Code"].as_i64()), Some(self.code.into()), "{}", said.all());
            return;
        }
        for (pointer, value) in self.holds {
            let value: Value = serde_json::from_str(value).expect("the expectation is JSON");
            // What is not there is null.
            let found = said.json().pointer(pointer).cloned().unwrap_or_default();
            assert_eq!(found, value, "at {pointer} of\n{}", said.all());
        }
        // Where a script says nothing of it, what comes is JSON all the same: a document, or one a line.
        let whole = said.out.trim().is_empty() || serde_json::from_str::<Value>(&said.out).is_ok();
        let is_json = whole || said.out.lines().all(|line| serde_json::from_str::<Value>(line).is_ok());
        assert!(is_json || NOT_JSON.iter().any(|command| self.line.starts_with(command)), "{}", said.all());
    }
}

/// What prints lines for a shell, whatever form is asked for.
const NOT_JSON: [&str; 2] = ["completion", "endpoint"];

/// Walks a script from its first line to its last.
#[track_caller]
pub(crate) fn walk<P: Place>(script: &[Step<P>], place: &P, form: Form) {
    for step in script {
        step.walk(place, form);
    }
}

/// The words of a line.
fn words(line: &str, instance: &Instance) -> Vec<String> {
    let quoted = line.split('\'').enumerate();
    let words = quoted.flat_map(
        |(number, part)| {
            if number % 2 == 1 { vec![part] } else { part.split_whitespace().collect::<Vec<_>>() }
        },
    );
    words.map(|word| filled(word, instance)).collect()
}

fn filled(word: &str, instance: &Instance) -> String {
    if word == "{operation}" {
        let all = instance.json(&["operation", "list"]);
        return all[0]["operation_id"].as_str().expect("there was one").to_owned();
    }
    if let Some(name) = word.strip_prefix("{token:").and_then(|rest| rest.strip_suffix('}')) {
        let all = instance.json(&["token", "list"]);
        let found = all.as_array().into_iter().flatten().find(|token| token["name"] == name);
        return found.and_then(|token| token["token_id"].as_str()).expect("it was made").to_owned();
    }
    word.to_owned()
}
