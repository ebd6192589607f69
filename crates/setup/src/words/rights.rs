//! The page that explains every right of the servers: generated, so that it says what the template gives.

use serde_json::Value;

use super::resource::name;
use super::statement::{statement, texts};
use crate::instance::{Instance, Wishes, WishesError, check};
use crate::template::rights::{Right, rights};

const HEAD: &str = "\
# What the servers of an instance may do

Generated from `crates/setup/src/template/rights` by `cargo xtask generate`. These are the statements of the role `l0-<name>-server`, here of an
instance named `test`; `(account)` and `(region)` are its own. A test reads every call of AWS from the servers' source and proves that
the role allows it on what is the instance's, on nothing that is another's, and that no action is here without a call.

- What is the instance's is told by its name, `l0-<name>-…`, or by the tag `layer0.instance`, `<name>-…`; names of instances have no `-`.
- There is no `iam:*`, and no right to make roles, to change them or to give them policies.
- Roles are handed on by name: the execution role and task roles to ECS, the machines' role to EC2. **A deploy's own task role is called
  `l0-<name>-task-…`** (`taskRoleArn`, and `executionRoleArn` where the instance's is not enough); who writes it makes it. The servers' own
  role and its execution role are handed to nobody: what a deploy starts can't have the rights of the servers, or read their token.
- Where a statement is on everything, the reason stands under it.
";

/// The page.
///
/// # Panics
/// Never: the wishes that it is written for are good.
#[must_use]
pub fn page() -> String {
    let of = |more: &str| example(more).expect("the example's wishes are good");
    let ecr = rights(&of(
        "[registry]\nimage_map = [\"hub.example.com|210987654321.dkr.ecr.us-west-2.amazonaws.com/team\"]\n",
    ));
    let s3 = rights(&of("[registry]\nbacking = \"s3\"\n"));
    let mut page = HEAD.to_owned();
    for right in &ecr {
        let only = if s3.iter().any(|other| other.name == right.name) { None } else { Some(only(right)) };
        section(&mut page, right, only);
    }
    for right in s3.iter().filter(|right| ecr.iter().all(|other| other.name != right.name)) {
        section(&mut page, right, Some("With `backing = \"s3\"` alone."));
    }
    page.push_str(TAIL);
    page
}

const TAIL: &str = "
## The other roles

| role | who has it | what it may |
| --- | --- | --- |
| `l0-<name>-server-execution` | ECS, to start the servers | AWS's `AmazonECSTaskExecutionRolePolicy`, and read the first admin token |
| `l0-<name>-execution` | ECS, to start tasks | AWS's `AmazonECSTaskExecutionRolePolicy`: pull from ECR, write logs |
| `l0-<name>-machine` | machines of environments | AWS's `AmazonEC2ContainerServiceforEC2Role` |
";

/// When a right is there that an instance with S3 does not have.
fn only(right: &Right) -> &'static str {
    match right.name {
        "MappedImages" => {
            "Where the image map leads to ECR; here to `210987654321.dkr.ecr.us-west-2.amazonaws.com/team`."
        }
        _ => "With `backing = \"ecr\"` alone.",
    }
}

fn example(more: &str) -> Result<Instance, WishesError> {
    let wishes = Wishes::read(&format!("name = \"test\"\nregion = \"eu-central-1\"\n{more}"))?;
    Ok(check(&wishes).unwrap_or_else(|problems| panic!("{problems:?}")))
}

fn section(page: &mut String, right: &Right, only: Option<&str>) {
    let statement_text = right.statement();
    let list = |texts: Vec<String>| texts.iter().map(|text| format!("`{}`", name(text))).collect::<Vec<_>>().join(", ");
    let mut lines = vec![format!("\n## {}\n", right.name), right.why.to_owned()];
    lines.extend(only.map(|only| only.to_string()));
    lines.push(String::new());
    lines.push(format!("- In words: {}.", statement(&statement_text)));
    lines.push(format!("- Actions: {}.", list(right.actions.iter().map(|action| (*action).to_owned()).collect())));
    lines.push(format!("- On: {}.", list(right.resources.clone())));
    lines.extend(right.open.map(|why| format!("- Why on everything: {why}.")));
    for (operator, keys) in right.condition.iter().filter_map(Value::as_object).flatten() {
        for (key, values) in keys.as_object().into_iter().flatten() {
            lines.push(format!("- If: `{operator}` `{key}` {}.", list(texts(values))));
        }
    }
    page.push_str(&lines.join("\n"));
    page.push('\n');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_right_is_explained() {
        let page = page();
        for more in ["", "[registry]\nbacking = \"s3\"\n"] {
            for right in rights(&example(more).expect("good wishes")) {
                assert!(page.contains(&format!("## {}\n", right.name)) && page.contains(right.why), "{}", right.name);
                for action in right.actions {
                    assert!(page.contains(&format!("`{action}`")), "{action}");
                }
            }
        }
        assert!(!page.contains("${AWS::"), "what CloudFormation fills in is told by what it is");
    }
}
