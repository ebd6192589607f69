//! What is printed below the tables and between them: logs, pinned images, causes, the steps of a resolution.

use layer0_api::types::{
    Deployment, Failure, ImageCheck, ImageResolution, ImageUse, ImportedRepository, LogFile, OperationEvent, Service,
    Task,
};

use super::rows::{deploy_cell, moment};
use crate::size;

/// Log files: the container's name, a line below it, its lines, an empty line.
pub(crate) fn log_files(files: &[LogFile]) -> String {
    let mut out = String::new();
    for file in files {
        out.push_str(&file.container_name);
        out.push('\n');
        out.extend(std::iter::repeat_n('-', file.container_name.chars().count()));
        out.push('\n');
        for line in &file.lines {
            out.push_str(line);
            out.push('\n');
        }
        out.push('\n');
    }
    out
}

/// What each container's image became.
pub(crate) fn images(images: &[ImageUse]) -> String {
    let mut out = String::new();
    for image in images {
        let rule = match &image.rule {
            Some(rule) => format!("rule {rule}"),
            None => "no rule matches".to_owned(),
        };
        out.push_str(&format!("{}  {} -> {} ({rule})\n", image.container_name, image.image, image.resolved));
    }
    out
}

/// What each container runs, a line each.
fn pinned(images: &[ImageUse]) -> String {
    images.iter().map(|image| format!("  {}  {} -> {}\n", image.container_name, image.image, image.resolved)).collect()
}

/// A cause in words, with the last lines of the failed copy and the next step.
pub(crate) fn cause(failure: &Failure) -> String {
    let mut out = format!("  cause: {}: {}\n", failure.class, failure.message);
    for line in &failure.log_tail {
        out.push_str(&format!("    {} | {}\n", line.container_name, line.line));
    }
    if let Some(hint) = &failure.hint {
        out.push_str(&format!("  hint: {hint}\n"));
    }
    out
}

fn deployment(deployment: &Deployment) -> String {
    let mut out = pinned(&deployment.images);
    if let Some(failure) = &deployment.cause {
        out.push_str(&cause(failure));
    }
    if out.is_empty() {
        return out;
    }
    let what = deploy_cell(&deployment.deploy_id, &deployment.deploy_name, &deployment.deploy_version);
    let state = if deployment.state.is_empty() { &deployment.status } else { &deployment.state };
    format!("{what} {state}\n{out}")
}

/// What is below the table of services: pinned images, causes, what is waited for. Empty where there is nothing to say.
pub(crate) fn services(items: &[Service]) -> String {
    let mut out = String::new();
    for item in items {
        let mut part: String = item.deployments.iter().map(deployment).collect();
        if let Some(what) = &item.waiting_for {
            part.push_str(&format!("waiting for {what}\n"));
        }
        if let Some(lost) = &item.lost_copies {
            let copies = if lost.count == 1 { "copy that was healthy was" } else { "copies that were healthy were" };
            let newest = if lost.count == 1 { "" } else { "the newest " };
            part.push_str(&format!("{} {copies} lost, {newest}at {}\n", lost.count, moment(&lost.at)));
            part.push_str(&cause(&lost.cause));
        }
        part.extend(item.warnings.iter().map(|warning| format!("warning: {warning}\n")));
        if !part.is_empty() {
            out.push_str(&format!("\n{}: {part}", item.service_name));
        }
    }
    out
}

/// What is below the table of tasks: how containers ended, causes, pinned images.
pub(crate) fn tasks(items: &[Task]) -> String {
    let mut out = String::new();
    for item in items {
        let mut part = pinned(&item.images);
        for container in item.containers.iter().filter(|container| container.exited || !container.meta.is_empty()) {
            part.push_str(&format!("  {}", container.container_name));
            if container.exited {
                part.push_str(&format!("  exit code {}", container.exit_code));
            } else {
                part.push_str(&format!("  {}", container.status));
            }
            if !container.meta.is_empty() {
                part.push_str(&format!(": {}", container.meta));
            }
            part.push('\n');
        }
        if let Some(failure) = &item.cause {
            part.push_str(&cause(failure));
        }
        if let Some(what) = &item.waiting_for {
            part.push_str(&format!("  waiting for {what}\n"));
        }
        part.extend(item.warnings.iter().map(|warning| format!("  warning: {warning}\n")));
        if !part.is_empty() {
            out.push_str(&format!("\n{}:\n{part}", item.task_name));
        }
    }
    out
}

/// What happened in an operation, a line each.
pub(crate) fn events(events: &[OperationEvent]) -> Vec<String> {
    events.iter().map(|event| format!("{}  {}", moment(&event.at), event.message)).collect()
}

/// The steps from an image's name to what the engine pulls.
pub(crate) fn resolution(item: &ImageResolution) -> String {
    let unknown = || "unknown".to_owned();
    let platforms = if item.platforms.is_empty() { unknown() } else { item.platforms.join(", ") };
    let verdict = match &item.problem {
        None => "ok".to_owned(),
        Some(problem) => format!("not possible: {}: {}", problem.class, problem.message),
    };
    let steps = [
        ("image", item.image.clone()),
        ("rule", item.rule.clone().unwrap_or_else(|| "none matches, pulled as it is written".to_owned())),
        ("backing", item.backing.clone()),
        ("digest", item.digest.clone().unwrap_or_else(unknown)),
        ("pinned", item.pinned.clone().unwrap_or_else(unknown)),
        ("platforms", platforms),
        ("engine", if item.engine_platform.is_empty() { unknown() } else { item.engine_platform.clone() }),
        ("size", item.size_bytes.map_or_else(unknown, size::rounded)),
        ("pull", verdict),
    ];
    steps.iter().map(|(step, value)| format!("{step:<9}  {value}\n")).collect()
}

/// What an adoption has changed, or would change.
pub(crate) fn imported(item: &ImportedRepository) -> String {
    let it = &item.repository;
    let mut out = format!("repository  {}/{}\nregistry    {}\n", it.owner, it.name, item.registry);
    out.push_str(&format!("uri         {}\nbacking     {}\n\n", it.uri, it.backing_uri));
    if item.changes.is_empty() {
        out.push_str("nothing to change: it is this instance's already\n");
    }
    for change in &item.changes {
        out.push_str(&format!("{} {change}\n", if item.dry_run { "would change:" } else { "changed:" }));
    }
    out
}

/// What the pull check of an image comes to: a line for each check, and what to do below one that failed.
pub(crate) fn pull_check(item: &ImageCheck) -> String {
    let mut out = format!("image     {}\nbacking   {}\n", item.image, item.backing);
    if let Some(pinned) = &item.pinned {
        out.push_str(&format!("pinned    {pinned}\n"));
    }
    out.push('\n');
    for check in &item.checks {
        out.push_str(&format!("{:<9} {:<8} {}\n", check.check, check.result, check.evidence));
        if let Some(remedy) = &check.remedy {
            out.push_str(&format!("{:<9} {:<8} {remedy}\n", "", "remedy"));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn logs_are_printed_as_the_contract_says() {
        let files = [
            LogFile { container_name: "app".to_owned(), lines: vec!["one".to_owned(), "two".to_owned()] },
            LogFile { container_name: "side".to_owned(), lines: vec![] },
        ];
        assert_eq!(log_files(&files), "app\n---\none\ntwo\n\nside\n----\n\n");
    }

    #[test]
    fn images_say_what_they_became_and_why() {
        let image = |rule: Option<&str>| ImageUse {
            container_name: "app".to_owned(),
            image: "reg.test/a/b:1".to_owned(),
            resolved: "localhost:9090/a/b:1".to_owned(),
            rule: rule.map(str::to_owned),
            warning: None,
        };
        assert_eq!(
            images(&[image(Some("reg.test|localhost:9090")), image(None)]),
            "app  reg.test/a/b:1 -> localhost:9090/a/b:1 (rule reg.test|localhost:9090)\n\
             app  reg.test/a/b:1 -> localhost:9090/a/b:1 (no rule matches)\n"
        );
    }
}
