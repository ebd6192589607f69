//! One look at the documents: what is wanted, what each came to, and what it means for the grants.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use layer0_domain::model::grant::{
    Duty, GrantPlace, GrantReport, GrantState, GrantWish, Grants, KeptGrant, KeptStrategy, StrategyPhase,
    StrategyReport,
};
use layer0_domain::model::image::RepositoryName;
use layer0_domain::plan::grants::{Change, Due};
use layer0_domain::port::registry_policy::{PolicyScope, RegistryPolicy as _};
use layer0_domain::port::repository_policies::PolicyError;
use tokio::time::Instant;
use tracing::{info, warn};

use super::document::Which;
use super::keeper::{Keeper, Look, Mending};
use super::strategy::NamesMark;

/// How often a document is begun anew in one look: once for each account that turns out to be unknown, and some more.
pub(super) const BEGINNINGS: u32 = 50;

/// Why a registry's policy is not relied on.
const NARROW: &str = "the registry's policy does not count for pulls in this account: its scope is V1; `aws ecr put-account-setting --name REGISTRY_POLICY_SCOPE --value V2` changes that, for all of its statements";

/// Why a look at a document is given up that was begun too often.
pub(super) const CHANGING: &str = "what is wanted of it kept changing";

/// One look that goes on.
pub(super) struct Pass<'a> {
    pub(super) keeper: &'a Keeper,
    pub(super) look: Look,
    /// In which documents grants stand.
    pub(super) strategy: KeptStrategy,
    /// What the policies are to say. Another one when an account turns out to be unknown.
    pub(super) wanted: RwLock<Arc<Grants>>,
    /// The grants whose report this look is.
    rows: Mutex<Vec<Row>>,
    /// What the registry's policy came to; `None` where it is not looked at.
    pub(super) registry: Option<End>,
    /// All documents together.
    tally: Mutex<StrategyReport>,
    /// Which repositories were listed, and whether there are others by now.
    met: Mutex<(NamesMark, bool)>,
    /// One at a time finds out which account is unknown.
    pub(super) finding: tokio::sync::Mutex<()>,
    /// Whether no grant is left that the look is for.
    pub(super) idle: AtomicBool,
    /// When whoever watches was told last; one at a time tells.
    pub(super) told: tokio::sync::Mutex<Instant>,
}

pub(super) struct Row {
    pub(super) kept: KeptGrant,
    pub(super) report: GrantReport,
    /// Somebody changed the grant, or it was refused: what is found is of no use to it.
    pub(super) passed_over: bool,
}

/// What a document came to.
#[derive(Debug, Clone)]
pub(super) enum End {
    /// It says what it should; `waits` is why it does so in other words than the strategy's.
    Right { changed: bool, waits: Option<String> },
    /// It does not, and why; with the text that it has.
    Wrong { why: String, present: Option<String> },
    /// What it says is not known, and why.
    Unread { why: String },
    /// It isn't there.
    Gone,
}

impl End {
    /// Why the registry's policy is not as it should be, for a grant or a repository that hangs on it.
    pub(super) fn trouble(&self) -> String {
        let why = match self {
            End::Wrong { why, .. } | End::Unread { why } => why,
            End::Right { .. } | End::Gone => CHANGING,
        };
        format!("{}: {why}", Which::Registry.title())
    }

    pub(super) fn is_right(&self) -> bool {
        matches!(self, End::Right { .. })
    }
}

impl<'a> Pass<'a> {
    pub(super) fn new(
        keeper: &'a Keeper,
        look: Look,
        strategy: KeptStrategy,
        all: &[KeptGrant],
        concerned: Vec<KeptGrant>,
    ) -> Self {
        let wanted = all.iter().filter(|kept| kept.is_wanted()).map(|kept| kept.grant.clone()).collect();
        let row = |kept: KeptGrant| {
            let passed_over = matches!(kept.state, GrantState::Refused(_));
            Row { kept, report: GrantReport::default(), passed_over }
        };
        Self {
            keeper,
            look,
            strategy,
            wanted: RwLock::new(Arc::new(wanted)),
            rows: Mutex::new(concerned.into_iter().map(row).collect()),
            registry: None,
            tally: Mutex::default(),
            met: Mutex::default(),
            finding: tokio::sync::Mutex::default(),
            idle: AtomicBool::new(false),
            told: tokio::sync::Mutex::new(Instant::now()),
        }
    }

    pub(super) fn wanted(&self) -> Arc<Grants> {
        self.wanted.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn rows(&self) -> MutexGuard<'_, Vec<Row>> {
        self.rows.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn tally(&self) -> MutexGuard<'_, StrategyReport> {
        self.tally.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn met(&self) -> MutexGuard<'_, (NamesMark, bool)> {
        self.met.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes down that a repository was listed.
    pub(super) fn meet(&self, name: &RepositoryName) {
        self.met().0.add(name);
    }

    /// Takes down which repositories there are by now: one that was made while others were looked at has not been.
    pub(super) fn overtaken_unless(&self, now: NamesMark) {
        let mut met = self.met();
        met.1 = met.0 != now;
    }

    pub(super) fn is_overtaken(&self) -> bool {
        self.met().1
    }

    /// Whether what is found is put right.
    fn mends(&self) -> bool {
        self.look != Look::All(Mending::ReportOnly)
    }

    /// Looks at the registry's policy, before any repository, and puts it right.
    pub(super) async fn registry(&mut self) {
        if Which::Registry.duty(&self.strategy) == Duty::Leave {
            return;
        }
        if let Err(why) = self.reach().await {
            self.tally().note_wrong(None, &why);
            if !self.is_begun().await {
                return;
            }
        }
        let end = self.steps(Which::Registry).await;
        self.count(Which::Registry, &end);
        if matches!(end, End::Right { changed: true, .. }) {
            self.rows().iter_mut().for_each(|row| row.report.changed += 1);
        }
        self.registry = Some(end);
    }

    /// Whether the registry's policy counts, where a change is to rely on it; else why not.
    async fn reach(&self) -> Result<(), String> {
        let changes = self.strategy.phase == StrategyPhase::Spreading || self.look == Look::Change;
        if self.strategy.wish.place() == GrantPlace::Repositories || !changes {
            return Ok(());
        }
        match self.keeper.policies.registry_policy_scope().await {
            Ok(PolicyScope::Every) => Ok(()),
            Ok(PolicyScope::Narrow) => Err(NARROW.to_owned()),
            Err(why) => Err(words(&why)),
        }
    }

    /// Whether the registry's policy may have something of ours: then that is kept true, whether it counts or not.
    async fn is_begun(&self) -> bool {
        let (keeper, none) = (self.keeper, Grants::new());
        match keeper.document_read(Which::Registry).await {
            Ok(present) => {
                let due = keeper.document_due(Which::Registry, &self.strategy, &none, present.as_deref());
                !matches!(due, Ok(Due::As(Change::Keep)))
            }
            Err(_) => true,
        }
    }

    /// Looks at one repository, puts it right, and takes down what came of it.
    pub(super) async fn one(&self, name: RepositoryName) {
        if self.idle.load(Ordering::Relaxed) {
            return;
        }
        let which = Which::Repository(&name);
        let end = self.steps(which).await;
        if which.duty(&self.strategy) != Duty::Leave {
            self.count(which, &end);
        }
        let why = match (&end, &self.registry) {
            (End::Gone, _) => return self.tell().await,
            (End::Right { changed, .. }, None | Some(End::Right { .. })) => {
                self.note(&name, |_, report| {
                    report.note_right();
                    report.changed += u64::from(*changed);
                });
                return self.tell().await;
            }
            (End::Wrong { why, .. } | End::Unread { why }, _) => why.clone(),
            (End::Right { .. }, Some(registry)) => registry.trouble(),
        };
        self.note(&name, |kept, report| {
            if self.is_as_wished(kept, Some((which, &end))) {
                report.note_right();
            } else {
                report.note_wrong(&name, &why);
            }
        });
        self.tell().await;
    }

    /// Whether a grant is true, or gone, as it is wished: by the registry's policy and by that of a repository.
    pub(super) fn is_as_wished(&self, kept: &KeptGrant, repository: Option<(Which<'_>, &End)>) -> bool {
        let registry = self.registry.as_ref().map(|end| (Which::Registry, end));
        let mut documents = [registry, repository].into_iter().flatten();
        let is_in = |(which, end): (Which<'_>, &End)| match end {
            End::Right { .. } => Some(which.duty(&self.strategy) == Duty::Hold && kept.is_wanted()),
            End::Wrong { present, .. } => match kept.wish {
                GrantWish::Hold => Some(self.keeper.document_holds(which, &kept.grant, present.as_deref())),
                // One that says less than it should may let them in all the same.
                GrantWish::TakeBack => self.keeper.document_mentions(&kept.grant, present.as_deref()),
            },
            End::Unread { .. } => None,
            End::Gone => Some(false),
        };
        match kept.wish {
            GrantWish::Hold => documents.any(|it| is_in(it) == Some(true)),
            // What could not be read may name it still.
            GrantWish::TakeBack => documents.all(|it| is_in(it) == Some(false)),
        }
    }

    /// Takes down what a document came to, and tells the log.
    fn count(&self, which: Which<'_>, end: &End) {
        let title = which.title();
        let mut tally = self.tally();
        tally.seen += 1;
        let why = match end {
            End::Gone => return,
            End::Right { changed, waits } => {
                if *changed && self.look == Look::All(Mending::Mend) {
                    info!("{title} was not as the account grants say, and was mended");
                }
                tally.changed += u64::from(*changed);
                let Some(why) = waits else { return };
                why
            }
            End::Wrong { why, .. } | End::Unread { why } => {
                warn!(error = why, "account grants are not true in {title}");
                why
            }
        };
        tally.note_wrong(which.repository(), why);
    }

    /// Puts one repository right that is nobody's to report.
    ///
    /// # Errors
    /// Why its policy does not say what it should, in words.
    #[cfg(any(feature = "aws", test))]
    pub(super) async fn alone(&self, name: &RepositoryName) -> Result<(), String> {
        match self.steps(Which::Repository(name)).await {
            End::Right { .. } | End::Gone => Ok(()),
            End::Wrong { why, .. } | End::Unread { why } => Err(why),
        }
    }

    /// Looks at one document, and begins anew as often as what is wanted of it changes.
    async fn steps(&self, which: Which<'_>) -> End {
        if which.duty(&self.strategy) == Duty::Leave {
            return End::Right { changed: false, waits: None };
        }
        for _ in 0..BEGINNINGS {
            if let Some(end) = self.step(which).await {
                return end;
            }
        }
        End::Unread { why: CHANGING.to_owned() }
    }

    /// `None` when what is wanted of it has changed meanwhile.
    async fn step(&self, which: Which<'_>) -> Option<End> {
        let keeper = self.keeper;
        let wanted = self.wanted();
        let present = match keeper.document_read(which).await {
            Ok(present) => present,
            Err(PolicyError::NoRepository { .. }) => return Some(End::Gone),
            Err(why) => return Some(End::Unread { why: words(&why) }),
        };
        let (change, waits) = match keeper.document_due(which, &self.strategy, &wanted, present.as_deref()) {
            Ok(Due::Nothing) => (Change::Keep, None),
            Ok(Due::As(change)) => (change, None),
            Ok(Due::Meanwhile(change, why)) => (change, Some(why.to_string())),
            Err(why) => return Some(End::Wrong { why: why.to_string(), present }),
        };
        let written = match change {
            Change::Keep => return Some(End::Right { changed: false, waits }),
            _ if !self.mends() => {
                let why = "its policy is not as the grants say, and is left so: this instance only reports".to_owned();
                return Some(End::Wrong { why, present });
            }
            Change::Write(text) => keeper.document_write(which, &text).await,
            Change::Delete => keeper.document_delete(which).await,
        };
        Some(match written {
            Ok(()) => End::Right { changed: true, waits },
            Err(PolicyError::NoRepository { .. }) => End::Gone,
            Err(PolicyError::UnknownPrincipal) => match self.unknown(which, &wanted, present.as_deref()).await {
                Ok(()) => return None,
                Err(why) => End::Wrong { why, present },
            },
            Err(why) => End::Wrong { why: words(&why), present },
        })
    }

    /// Whether whoever was let in has no document left but the registry's to be let in by.
    pub(super) fn hangs_on_registry(&self) -> bool {
        self.strategy.duty(GrantPlace::Repositories) != Duty::Hold
    }
}

/// An error with what is underneath, for people.
pub(super) fn words(why: &PolicyError) -> String {
    crate::error::chain(why)
}
