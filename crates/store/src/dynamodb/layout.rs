//! The table's layout: what its items look like, by a number, and which programs may work on it.
//!
//! During an update servers of two versions work on one table, and after it an older version may come back. So a layout
//! changes in two releases: one that *expands* (writes what is new beside what was, and reads both) and a later one that
//! *contracts* (takes away what was). The record in the table says which layout it has, and which one a program must know at
//! least: expanding raises the first number, contracting both. `docs/dynamodb.md` has the rules for whoever adds a step.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use layer0_domain::port::BoxError;
use layer0_domain::port::store::StoreError;

use super::DynamoStore;
use super::action::{ABSENT, Action};
use super::ensure::TableError;
use super::fault::Fault;
use super::item::{Item, Key};
use super::table::{Step, Table};

/// How often a server should ask whether the table has gone beyond it ([`DynamoStore::layout_outgrown`]).
pub const LOOK: Duration = Duration::from_secs(15);

/// How long a step waits, after it was announced that older programs can't go on, before it is taken: two looks of theirs,
/// and time to stop.
const NOTICE: Duration = Duration::from_secs(40);

/// What a program knows of layouts.
#[derive(Debug, Clone)]
pub struct Layouts {
    /// The oldest that it can bring up to its own.
    pub oldest: u32,
    /// The version of the program, for messages.
    pub program: String,
    /// From `oldest` on, the step to each layout. The last one leads to the program's own.
    pub steps: Vec<LayoutStep>,
    /// How long a step waits that older programs can't go on after.
    pub notice: Duration,
}

/// A step that is being taken.
pub type StepTaken = Pin<Box<dyn Future<Output = Result<(), BoxError>> + Send>>;

/// What brings a table from one layout to the next. It may be taken by several servers at once, while others write, and again
/// after one died in the middle of it: it must come to the same each time.
#[derive(Clone)]
pub struct LayoutStep {
    /// The layout that a program must know to work on a table after this step.
    pub needs: u32,
    /// The work.
    pub take: Arc<dyn Fn(DynamoStore) -> StepTaken + Send + Sync>,
}

impl fmt::Debug for LayoutStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LayoutStep").field("needs", &self.needs).finish_non_exhaustive()
    }
}

/// Why a program can't work on a table.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LayoutMismatch {
    /// A newer program has changed it so that this one would misread it.
    #[error(
        "it has layout {found} of Layer0 {by}, and needs a program that knows layout {needs}; this is Layer0 {program}, which knows layouts up to {known}: start Layer0 {by} or newer"
    )]
    Newer {
        /// Its layout.
        found: u32,
        /// The layout that must be known.
        needs: u32,
        /// The version of the program that changed it last.
        by: String,
        /// The version of this program.
        program: String,
        /// The newest layout that this program knows.
        known: u32,
    },
    /// It is older than what this program can bring up.
    #[error(
        "it has layout {found}, and Layer0 {program} brings tables up from layout {oldest} on: start a version in between first"
    )]
    Older {
        /// Its layout.
        found: u32,
        /// The version of this program.
        program: String,
        /// The oldest layout that it can bring up.
        oldest: u32,
    },
}

/// What the table says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Record {
    layout: u32,
    needs: u32,
    by: String,
}

impl Default for Record {
    /// Of a table without a record: a new one, or one of before there were records.
    fn default() -> Self {
        Self { layout: 0, needs: 0, by: String::new() }
    }
}

/// What a program does with a table.
#[derive(Debug, PartialEq, Eq)]
enum Fit {
    /// It works on it.
    Works,
    /// It brings it to this layout first.
    Step(u32),
    /// It leaves it alone.
    Not(LayoutMismatch),
}

impl Layouts {
    /// Those of this program.
    pub(super) fn own() -> Self {
        // To layout 1: the record itself. Layout 0 has the same items without it.
        let first = LayoutStep { needs: 0, take: Arc::new(|_| Box::pin(async { Ok(()) })) };
        Self { oldest: 0, program: env!("CARGO_PKG_VERSION").to_owned(), steps: vec![first], notice: NOTICE }
    }

    /// The newest.
    fn known(&self) -> u32 {
        self.oldest + u32::try_from(self.steps.len()).expect("there are far fewer steps than 2^32")
    }

    fn step_to(&self, layout: u32) -> Option<&LayoutStep> {
        let place = layout.checked_sub(self.oldest + 1)?;
        self.steps.get(usize::try_from(place).ok()?)
    }

    fn fit(&self, record: &Record) -> Fit {
        let known = self.known();
        if record.needs > known {
            return Fit::Not(LayoutMismatch::Newer {
                found: record.layout,
                needs: record.needs,
                by: record.by.clone(),
                program: self.program.clone(),
                known,
            });
        }
        if record.layout < self.oldest {
            let (found, oldest) = (record.layout, self.oldest);
            return Fit::Not(LayoutMismatch::Older { found, program: self.program.clone(), oldest });
        }
        if record.layout < known { Fit::Step(record.layout + 1) } else { Fit::Works }
    }
}

fn key() -> Key {
    Key::new("layout", "it")
}

impl Table {
    async fn record(&self) -> Result<Record, Fault> {
        let Some(item) = self.get(&key()).await? else { return Ok(Record::default()) };
        Ok(Record { layout: item.number("layout")?, needs: item.number("needs")?, by: item.text("by")?.to_owned() })
    }

    /// Writes a record over the one that was read. Another one there is as good: whoever wrote it took the same step.
    async fn record_replace(&self, read: &Record, write: &Record) -> Result<(), Fault> {
        let step = async || {
            if self.record().await? != *read {
                return Ok::<_, Fault>(Step::Answer(()));
            }
            let item = Item::at(&key())
                .with_number("layout", write.layout)
                .with_number("needs", write.needs)
                .with_text("by", &write.by);
            let put = Action::put(item);
            let put = match read.layout {
                0 if read.by.is_empty() => put.only_if(ABSENT),
                _ => put
                    .only_if("#layout = :layout AND #needs = :needs")
                    .with_number(":layout", read.layout)
                    .with_number(":needs", read.needs),
            };
            Ok(Step::Write(vec![put], ()))
        };
        self.unit(step).await
    }
}

impl DynamoStore {
    /// As this, but as another version of the program would do it. For tests of what versions do to each other.
    #[must_use]
    pub fn with_layouts(mut self, layouts: Layouts) -> Self {
        self.layouts = Arc::new(layouts);
        self
    }

    /// Brings the table to the layout that this program writes, or refuses it. Idempotent; several may do it at once, and
    /// one that dies leaves what the next one goes on with.
    pub(super) async fn layout_ensure(&self) -> Result<(), TableError> {
        loop {
            let record = self.table.record().await.map_err(|fault| self.failed(fault))?;
            let to = match self.layouts.fit(&record) {
                Fit::Works => {
                    if record.layout > self.layouts.known() {
                        tracing::info!(
                            store.layout = record.layout,
                            "the table has layout {} of Layer0 {}, with which this version works as well",
                            record.layout,
                            record.by
                        );
                    }
                    return Ok(());
                }
                Fit::Step(to) => to,
                Fit::Not(source) => return Err(TableError::Layout { table: self.table.name.to_string(), source }),
            };
            let step =
                self.layouts.step_to(to).expect("between the oldest layout and the known one there is a step to each");
            let needs = record.needs.max(step.needs);
            if needs > record.needs {
                // Who can't go on must know it, and end, before anything is taken away.
                let announced = Record { needs, by: self.layouts.program.clone(), ..record.clone() };
                self.table.record_replace(&record, &announced).await.map_err(|fault| self.failed(fault))?;
                tokio::time::sleep(self.layouts.notice).await;
                if self.table.record().await.map_err(|fault| self.failed(fault))? != announced {
                    continue;
                }
                self.layout_step(step, &announced, to).await?;
            } else {
                self.layout_step(step, &record, to).await?;
            }
        }
    }

    async fn layout_step(&self, step: &LayoutStep, from: &Record, to: u32) -> Result<(), TableError> {
        let table = self.table.name.to_string();
        (step.take)(self.clone()).await.map_err(|source| TableError::Step { table, to, source })?;
        let taken = Record { layout: to, needs: from.needs, by: self.layouts.program.clone() };
        self.table.record_replace(from, &taken).await.map_err(|fault| self.failed(fault))?;
        tracing::info!(store.layout = to, "the table has layout {to} now");
        Ok(())
    }

    /// Why this program can't go on with the table, when a newer one has changed it meanwhile so that it can't. One small read,
    /// to be asked every [`LOOK`].
    ///
    /// # Errors
    /// [`StoreError`] when it can't be found out: nothing follows from that.
    pub async fn layout_outgrown(&self) -> Result<Option<LayoutMismatch>, StoreError> {
        let record = self.table.record().await?;
        Ok(match self.layouts.fit(&record) {
            Fit::Not(why) => Some(why),
            // A table that was taken away and made anew has no record: it is no newer one.
            Fit::Works | Fit::Step(_) => None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layouts(oldest: u32, needs: &[u32]) -> Layouts {
        let step = |needs: &u32| LayoutStep { needs: *needs, take: Arc::new(|_| Box::pin(async { Ok(()) })) };
        let steps = needs.iter().map(step).collect();
        Layouts { oldest, program: "3.0.0".to_owned(), steps, notice: Duration::ZERO }
    }

    fn record(layout: u32, needs: u32) -> Record {
        Record { layout, needs, by: "9.0.0".to_owned() }
    }

    #[test]
    fn a_program_works_on_what_it_knows_and_on_newer_tables_that_do_not_need_more() {
        let program = layouts(0, &[0, 0, 1]);
        assert_eq!(program.fit(&record(3, 1)), Fit::Works);
        assert_eq!(program.fit(&record(7, 3)), Fit::Works, "expanded by a newer one, and rolled back");
        assert_eq!(program.fit(&Record::default()), Fit::Step(1));
        assert_eq!(program.fit(&record(2, 0)), Fit::Step(3));
        assert_eq!(program.fit(&record(2, 3)), Fit::Step(3), "announced by one that died");
    }

    #[test]
    fn a_table_that_is_too_new_or_too_old_is_refused_in_words() {
        let program = layouts(2, &[2]);
        let Fit::Not(why) = program.fit(&record(7, 4)) else { panic!("it was taken") };
        let said = why.to_string();
        assert!(said.contains("layout 7 of Layer0 9.0.0") && said.contains("this is Layer0 3.0.0"), "{said}");
        let Fit::Not(why) = program.fit(&record(1, 0)) else { panic!("it was taken") };
        assert!(why.to_string().contains("from layout 2 on: start a version in between first"), "{why}");
    }

    #[test]
    fn no_step_of_ours_shuts_out_the_release_before() {
        let own = Layouts::own();
        for (number, step) in (own.oldest + 1..).zip(&own.steps) {
            assert!(step.needs < number, "the step to layout {number} needs {}", step.needs);
        }
        assert!(own.notice >= LOOK * 2);
    }
}
