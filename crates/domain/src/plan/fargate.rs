//! What a task definition becomes on Fargate: its size, and what Fargate refuses of it.
//!
//! Fargate takes pairs of CPU and memory from a table only, no host and nothing of one. A plain document says nothing of
//! either; the smallest pair that fits its containers is chosen then, and said, with how to choose otherwise. What a
//! document does say is kept or refused with what would be legal, never bent.

use std::fmt;

use crate::model::task_definition::{ContainerDefinition, Problem, TaskDefinition};

mod refused;
#[cfg(test)]
mod tests;

pub use refused::refusals;

/// CPU and memory of a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Size {
    /// CPU units, 1024 for one vCPU.
    pub cpu: u32,
    /// MiB.
    pub memory_mib: u32,
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} CPU units with {} MiB", self.cpu, self.memory_mib)
    }
}

/// The memory that goes with some CPU.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Memory {
    /// These, in MiB, ascending.
    OneOf(&'static [u32]),
    /// From `least` to `most`, in MiB, by steps.
    Steps {
        /// The least.
        least: u32,
        /// The most.
        most: u32,
        /// The step.
        step: u32,
    },
}

/// A row of Fargate's table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SizeRow {
    /// CPU units.
    pub cpu: u32,
    /// What memory goes with it.
    pub memory: Memory,
    /// Whether Windows containers can have it.
    pub windows: bool,
    /// The platform version that it takes at least, where not every one has it.
    pub platform_version: Option<&'static str>,
}

const GIB: u32 = 1024;

/// The sizes that Fargate has (ECS developer guide, "Fargate task sizes"; Windows from 1 to 4 vCPU).
pub const SIZES: [SizeRow; 8] = [
    SizeRow { cpu: 256, memory: Memory::OneOf(&[512, 1024, 2048]), windows: false, platform_version: None },
    row(512, 1, 4, 1, false, None),
    row(1024, 2, 8, 1, true, None),
    row(2048, 4, 16, 1, true, None),
    row(4096, 8, 30, 1, true, None),
    row(8192, 16, 60, 4, false, Some("1.4.0")),
    row(16384, 32, 120, 8, false, Some("1.4.0")),
    SizeRow {
        cpu: 32768,
        memory: Memory::OneOf(&[60 * GIB, 120 * GIB, 244 * GIB]),
        windows: false,
        platform_version: Some("1.4.0"),
    },
];

const fn row(
    cpu: u32,
    least_gib: u32,
    most_gib: u32,
    step_gib: u32,
    windows: bool,
    platform_version: Option<&'static str>,
) -> SizeRow {
    let memory = Memory::Steps { least: least_gib * GIB, most: most_gib * GIB, step: step_gib * GIB };
    SizeRow { cpu, memory, windows, platform_version }
}

impl Memory {
    /// Whether it is among them.
    #[must_use]
    pub fn has(self, mib: u32) -> bool {
        match self {
            Memory::OneOf(all) => all.contains(&mib),
            Memory::Steps { least, most, step } => (least..=most).contains(&mib) && (mib - least).is_multiple_of(step),
        }
    }

    /// The least of them that is enough.
    #[must_use]
    pub fn at_least(self, mib: u32) -> Option<u32> {
        match self {
            Memory::OneOf(all) => all.iter().copied().find(|one| *one >= mib),
            Memory::Steps { least, .. } if mib <= least => Some(least),
            Memory::Steps { least, most, step } => {
                let up = least + (mib - least).div_ceil(step) * step;
                (up <= most).then_some(up)
            }
        }
    }

    /// The most of them that is not more.
    fn at_most(self, mib: u32) -> Option<u32> {
        match self {
            Memory::OneOf(all) => all.iter().rev().copied().find(|one| *one <= mib),
            Memory::Steps { least, .. } if mib < least => None,
            Memory::Steps { least, most, step } => Some(least + (mib.min(most) - least) / step * step),
        }
    }
}

impl fmt::Display for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Memory::OneOf(all) => {
                let all: Vec<String> = all.iter().map(ToString::to_string).collect();
                write!(f, "{} MiB", all.join(", "))
            }
            Memory::Steps { least, most, step } => write!(f, "{least} to {most} MiB in steps of {step}"),
        }
    }
}

/// What counts for a container that says nothing of memory: what the smallest task of Fargate has.
pub const DEFAULT_MEMORY_MIB: u32 = 512;

/// A definition as it runs on Fargate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fit {
    /// Its size.
    pub size: Size,
    /// The platform version that it takes at least, where not every one has the size.
    pub platform_version: Option<&'static str>,
    /// What was chosen and how to choose otherwise; empty when the document said it all.
    pub words: Vec<String>,
}

/// What the containers of a definition need together.
#[must_use]
pub fn needed(definition: &TaskDefinition) -> Size {
    let containers = &definition.containers;
    let cpu = containers.iter().filter_map(|it| it.cpu).fold(0_u32, u32::saturating_add);
    let memory = |it: &ContainerDefinition| it.memory_mib.or(it.memory_reservation_mib).unwrap_or(DEFAULT_MEMORY_MIB);
    Size { cpu, memory_mib: containers.iter().map(memory).fold(0, u32::saturating_add) }
}

/// What ECS holds against a size that a document names: what is reserved, of those that reserve something.
fn reserved(definition: &TaskDefinition) -> Size {
    let reserved = |it: &ContainerDefinition| it.memory_reservation_mib.or(it.memory_mib).unwrap_or(0);
    let memory_mib = definition.containers.iter().map(reserved).fold(0, u32::saturating_add);
    Size { memory_mib, ..needed(definition) }
}

/// Fits a definition into Fargate.
///
/// # Errors
/// All that Fargate refuses of it, each with container and key, and a size that does not exist with the nearest that do.
pub fn fit(definition: &TaskDefinition) -> Result<Fit, Vec<Problem>> {
    let mut problems = refusals(definition);
    let sized = size(definition);
    match sized {
        Ok(fit) if problems.is_empty() => Ok(fit),
        Ok(_) => Err(problems),
        Err(problem) => {
            problems.push(problem);
            Err(problems)
        }
    }
}

/// The rows that a definition can have.
fn rows(definition: &TaskDefinition) -> Vec<&'static SizeRow> {
    let windows = definition.runtime_platform.as_ref().is_some_and(|it| it.platform().os == "windows");
    SIZES.iter().filter(|row| row.windows || !windows).collect()
}

fn size(definition: &TaskDefinition) -> Result<Fit, Problem> {
    let rows = rows(definition);
    let problem = |path: &str, message: String| Err(Problem { path: path.to_owned(), message });
    let need = match (definition.cpu, definition.memory_mib) {
        (None, None) => needed(definition),
        _ => reserved(definition),
    };
    if let Some(cpu) = definition.cpu
        && need.cpu > cpu
    {
        return problem("cpu", format!("the containers ask for {} CPU units together, the task has {cpu}", need.cpu));
    }
    if let Some(memory) = definition.memory_mib
        && need.memory_mib > memory
    {
        return problem(
            "memory",
            format!("the containers ask for {} MiB together, the task has {memory}", need.memory_mib),
        );
    }
    // No container's limit may be above the task's memory, whatever it reserves.
    let limit = definition.containers.iter().filter_map(|it| it.memory_mib).max().unwrap_or(0);
    let chosen = match (definition.cpu, definition.memory_mib) {
        (Some(cpu), Some(memory_mib)) => {
            let asked = Size { cpu, memory_mib };
            match rows.iter().find(|row| row.cpu == cpu && row.memory.has(memory_mib)) {
                Some(row) => return Ok(Fit { size: asked, platform_version: row.platform_version, words: Vec::new() }),
                None => return problem("cpu", no_such(&format!("{asked} is"), asked, &rows)),
            }
        }
        (Some(cpu), None) => {
            let row = rows.iter().find(|row| row.cpu == cpu);
            let least = need.memory_mib.max(limit);
            match row.and_then(|row| row.memory.at_least(least).map(|memory| (row, memory))) {
                Some(found) => found,
                None => {
                    let asked = Size { cpu, memory_mib: least };
                    return problem("cpu", no_such(&format!("{cpu} CPU units for {least} MiB is"), asked, &rows));
                }
            }
        }
        (None, Some(memory_mib)) => match rows.iter().find(|row| row.cpu >= need.cpu && row.memory.has(memory_mib)) {
            Some(row) => (row, memory_mib),
            None => {
                let asked = Size { cpu: need.cpu, memory_mib };
                return problem(
                    "memory",
                    no_such(&format!("{memory_mib} MiB for {} CPU units is", need.cpu), asked, &rows),
                );
            }
        },
        (None, None) => {
            let enough = rows.iter().filter(|row| row.cpu >= need.cpu);
            match enough.filter_map(|row| Some((row, row.memory.at_least(need.memory_mib)?))).next() {
                Some(found) => found,
                None => {
                    let largest =
                        rows.last().map_or(String::new(), |row| format!("{} CPU units with {}", row.cpu, row.memory));
                    return problem(
                        "containerDefinitions",
                        format!(
                            "the containers need {need} together; the largest size of Fargate is {largest}: run it with `--stateful`, or lower their `cpu` and `memory`"
                        ),
                    );
                }
            }
        }
    };
    let (row, memory_mib) = chosen;
    let size = Size { cpu: row.cpu, memory_mib };
    Ok(Fit { size, platform_version: row.platform_version, words: vec![said(definition, size, need, row)] })
}

fn said(definition: &TaskDefinition, size: Size, need: Size, row: &SizeRow) -> String {
    let missing = match (definition.cpu, definition.memory_mib) {
        (None, None) => "`cpu` and `memory`",
        (None, Some(_)) => "`cpu`",
        (Some(_), _) => "`memory`",
    };
    let silent =
        definition.containers.iter().filter(|it| it.memory_mib.or(it.memory_reservation_mib).is_none()).count();
    let counted = match silent {
        0 => String::new(),
        1 => format!(", {DEFAULT_MEMORY_MIB} MiB for the one that names none"),
        several => format!(", {DEFAULT_MEMORY_MIB} MiB for each of the {several} that name none"),
    };
    let counted = if definition.cpu.is_none() && definition.memory_mib.is_none() { counted } else { String::new() };
    format!(
        "the document does not say {missing} of the task: on Fargate it gets {size}, the smallest size that fits its containers ({need}{counted}); to choose otherwise, put \"cpu\" and \"memory\" beside \"containerDefinitions\": {} CPU units go with {}",
        row.cpu, row.memory
    )
}

/// A refusal with the nearest sizes that exist: with the same CPU, and with the next that has the memory.
fn no_such(what: &str, asked: Size, rows: &[&'static SizeRow]) -> String {
    let mut near: Vec<Size> = Vec::new();
    let mut add = |cpu: u32, memory: Option<u32>| {
        if let Some(memory_mib) = memory {
            let size = Size { cpu, memory_mib };
            if !near.contains(&size) {
                near.push(size);
            }
        }
    };
    let same = rows.iter().find(|row| row.cpu == asked.cpu);
    if let Some(row) = same {
        add(row.cpu, row.memory.at_most(asked.memory_mib));
        add(row.cpu, row.memory.at_least(asked.memory_mib));
    }
    for row in rows.iter().filter(|row| row.cpu < asked.cpu).rev().take(1) {
        add(row.cpu, row.memory.at_least(asked.memory_mib).or(row.memory.at_most(asked.memory_mib)));
    }
    let above = rows.iter().filter(|row| row.cpu > asked.cpu);
    if let Some((cpu, memory)) = above.filter_map(|row| Some((row.cpu, row.memory.at_least(asked.memory_mib)?))).next()
    {
        add(cpu, Some(memory));
    }
    // Few CPU units with more memory than the largest size has: that is the nearest.
    if near.is_empty()
        && let Some(row) = rows.last()
    {
        near.extend(row.memory.at_most(asked.memory_mib).map(|memory_mib| Size { cpu: row.cpu, memory_mib }));
    }
    near.sort_unstable();
    let near: Vec<String> = near.iter().map(ToString::to_string).collect();
    format!("{what} no size of Fargate; the nearest are {}", near.join(", "))
}
