//! `l0 admin`.

use std::path::PathBuf;

use clap::Subcommand;

use super::LogWindow;

/// About the instance itself
#[derive(Debug, Subcommand)]
#[command(after_help = "Example:\n  l0 admin debug")]
pub(crate) enum Admin {
    /// Show the instance's configuration and this program's
    #[command(after_help = "Example:\n  l0 admin debug")]
    Debug,
    /// Show what happened in the instance
    ///
    /// What all operations did, who changed what from where, and, on AWS, what CloudTrail wrote down about what the instance's own
    /// role did (some minutes late), in the order of time.
    #[command(after_help = "Example:\n  l0 admin logs --tail 100\n  l0 admin logs -f")]
    Logs {
        #[command(flatten)]
        window: LogWindow,
        /// Go on as lines are written; without --timeout until Ctrl-C
        #[arg(short, long)]
        follow: bool,
    },
    /// Show who changed what, from where, and what came of it
    ///
    /// The newest entries, or with --start all since then, the oldest first. JSON has one object a line, so that a log that is
    /// followed and one that is not can be read alike.
    #[command(
        after_help = "Example:\n  l0 admin audit --tail 20\n  l0 admin audit --follow --who alice\n  l0 admin audit --start '2026-01-01 00:00' -o json > audit.jsonl"
    )]
    Audit {
        /// The newest so many entries, 10000 at most [default: 100; all with --start]
        #[arg(long, value_name = "N")]
        tail: Option<String>,
        /// Of this one only: a user, OWNER+NAME for a robot, l0-pull for the engine
        #[arg(long, value_name = "NAME")]
        who: Option<String>,
        /// From this minute on, UTC: YYYY-MM-DD HH:MM
        #[arg(long, value_name = "TIME")]
        start: Option<String>,
        /// Up to this minute, UTC: YYYY-MM-DD HH:MM
        #[arg(long, value_name = "TIME", conflicts_with = "follow")]
        end: Option<String>,
        /// Go on as entries are written; without --timeout until Ctrl-C
        #[arg(short, long)]
        follow: bool,
    },
    /// Read all of the registry again and name what is damaged
    ///
    /// Every blob and every manifest is compared with its digest. What is damaged counts as missing until it is pushed again.
    /// What lies in ECR is not read; the last line names it.
    ///
    /// The exit code is 5 when something is damaged. One run goes on at a time, at the rate of who began it, and it goes on
    /// when nobody looks; the same command joins it.
    #[command(after_help = "Example:\n  l0 admin verify --rate 200")]
    Verify {
        /// How much to read a second, in MiB [default: 64]
        #[arg(long, value_name = "MIB_PER_S")]
        rate: Option<i64>,
    },
    /// Show what is left of entities that are gone, or take it away
    ///
    /// What the engine has under this instance's label and no entity needs: left by a crash, or by what could not be deleted
    /// (a stack in DELETE_FAILED). Shows it and changes nothing; with --yes it is taken away and waited for. What the server
    /// sweeps by itself every five minutes is the same; here what hinders it is said. With --yes the exit code is 5 when
    /// something is left. What has no label of this instance is never touched.
    #[command(after_help = "Example:\n  l0 admin sweep\n  l0 admin sweep --yes --timeout 20m")]
    Sweep {
        /// Take it away
        #[arg(short, long)]
        yes: bool,
    },
    /// Show what the registry would let go of, or have it let go now
    ///
    /// First the images that retention rules let go of (`l0 repository retention`), then blobs that no image of their repository
    /// needs, left by deleted images and by pushes that were given up, when they are older than the grace (a day, unless the server
    /// is told otherwise). Pushes and pulls go on meanwhile. The server does the same
    /// by itself once a day. Repositories in ECR are not looked at: a lifecycle policy there is for that.
    #[command(after_help = "Example:\n  l0 admin gc --dry-run\n  l0 admin gc --now")]
    #[command(group(clap::ArgGroup::new("how").required(true)))]
    Gc {
        /// Show it and change nothing
        #[arg(long, group = "how")]
        dry_run: bool,
        /// Take it away
        #[arg(long, group = "how")]
        now: bool,
        /// Apply the retention rules though the server's clock is days beyond the last time that was seen
        ///
        /// Rules judge images by their age, and a clock that leaps ahead makes all of them old. So they wait for a day after a leap, or
        /// after a server was off for days. `--dry-run` says when that is so, and until when.
        #[arg(long)]
        trust_clock: bool,
    },
    Backup(TakeBackup),
    Backups(Backups),
    Restore(Restore),
    /// Print the server's version
    #[command(after_help = "Example:\n  l0 admin version")]
    Version,
}

/// Copy the running instance, its state and its images, into a directory
///
/// Images on the server's disk and in its bucket; those in ECR stay there. The state is of one moment; pushes, pulls and deletes go on meanwhile. What earlier backups have put into the directory is not
/// copied again. Every blob is compared with its digest. What is damaged is named, the rest is copied, and the exit code is 5.
/// Killed at any moment, it leaves no half backup, and the same command goes on where it was. An admin's credential is needed. The
/// directory is readable for its owner only, and has to stay so: who reads it can become anybody in the instance.
///
/// An instance whose state is in a DynamoDB table is refused: point-in-time recovery of the table is for that.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  l0 admin backup /mnt/backups/layer0 --keep 14")]
pub(crate) struct TakeBackup {
    /// Where backups of this instance are kept; made when it isn't there
    #[arg(value_name = "DIRECTORY")]
    pub(crate) directory: PathBuf,
    /// How much to copy a second, in MiB [default: 64]
    #[arg(long, value_name = "MIB_PER_S")]
    pub(crate) rate: Option<i64>,
    /// Afterwards drop all but the newest N, and what none of these needs [default: drop nothing]
    #[arg(long, value_name = "N")]
    pub(crate) keep: Option<usize>,
}

/// List the backups in a directory, or read them again
///
/// Speaks to no server. With --check every file is compared with its sum; a blob that is damaged is removed, so that the next
/// backup copies it again. The exit code is 5 when something is not as it should be.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example:\n  l0 admin backups /mnt/backups/layer0\n  l0 admin backups /mnt/backups/layer0 --check"
)]
pub(crate) struct Backups {
    /// Where the backups are
    #[arg(value_name = "DIRECTORY")]
    pub(crate) directory: PathBuf,
    /// Read everything and compare it
    #[arg(long)]
    pub(crate) check: bool,
}

/// Make a data directory of a backup
///
/// Speaks to no server. Every file is compared with its sum on the way; when one is damaged, nothing is restored and all that are
/// damaged are named. Killed at any moment, the same command begins anew, and no server takes the directory before.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  l0 admin restore /mnt/backups/layer0 --data-dir ./data")]
pub(crate) struct Restore {
    /// Where the backups are
    #[arg(value_name = "DIRECTORY")]
    pub(crate) directory: PathBuf,
    /// The data directory to make; it may be there when it is empty
    #[arg(long, value_name = "DIR")]
    pub(crate) data_dir: PathBuf,
    /// Which backup, as `l0 admin backups` names it [default: the newest]
    #[arg(long, value_name = "NAME")]
    pub(crate) snapshot: Option<String>,
    /// Restore the rest when blobs are damaged in the backup
    #[arg(long)]
    pub(crate) without_damaged: bool,
}
