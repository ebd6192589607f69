//! What is asked of ours: each measure with its limit and its bound, each check with what it demands.

/// Where the limit of a measure stands.
#[derive(Debug, Clone, Copy)]
pub(super) enum Limit {
    /// Nothing on this machine is comparable.
    None,
    /// In the section `limits`.
    Machine(&'static str),
    /// Beside the figure itself, because it changes from minute to minute: the disk's.
    Beside(&'static str),
    /// Of docker-registry.
    Theirs(&'static str),
}

use Limit::{Beside, Machine, Theirs};

/// What ours must reach.
#[derive(Debug, Clone, Copy)]
pub(super) enum Bound {
    /// Nothing is asked for.
    Free,
    /// At least so much of the limit.
    OfLimit(f64),
    /// At most so much of the limit.
    AtMostOfLimit(f64),
    /// At least this, on any machine.
    AtLeast(f64),
    /// At most this.
    AtMost(f64),
    /// At most this, where a figure is as it was on the machine that the bounds were set on.
    AtPace(f64, Pace),
}

use Bound::{AtLeast, AtMost, AtMostOfLimit, AtPace, Free, OfLimit};

/// A figure that says how much slower this machine is than the one that the bounds were set on.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pace {
    pub(super) figure: Limit,
    /// What it was there.
    there: f64,
}

const NGINX_SMALL: Pace = Pace { figure: Machine("nginx_get_small.req_s"), there: 72_280.0 };
const NGINX_BIG: Pace = Pace { figure: Machine("nginx_get_big_mib_s"), there: 3_132.0 };
const CLIENT: Pace = Pace { figure: Machine("client_ceiling_put_s"), there: 22_990.0 };
const CLIENT_IMAGES: Pace = Pace { figure: Beside("writes.limit_images_s"), there: 1_240.0 };
const THEIR_START: Pace = Pace { figure: Theirs("coldstart_filled.median_ms"), there: 15.0 };

const DISK: Limit = Beside("push.raw_write_fsync_mib_s");
const IN_TURNS: Limit = Beside("turns.monolithic_mib_s");
/// The same clients send nearly twice as much here as where the script takes its own limit, which was 1,240 images and 22,990 tags a second where
/// the bounds were set. So what is asked for is asked for in turns too, and no part of this limit is.
const PUTS_IN_TURNS: Limit = Beside("writes.limit_put_s");
const MANIFEST_IN_TURNS: Limit = Beside("gets.nginx_manifest.req_s");
const HEAD_IN_TURNS: Limit = Beside("gets.nginx_head.req_s");

/// Each measure: what it is, where it stands under `results`, its limit, and its bound.
pub(super) const MEASURES: &[(&str, &str, Limit, Bound)] = &[
    ("GET of a manifest by tag, requests/s", "manifest.get_by_tag.req_s", Machine("nginx_get_small.req_s"), Free),
    ("— in turns with nginx", "gets.by_tag.req_s", MANIFEST_IN_TURNS, OfLimit(0.7)),
    ("— p99, ms", "manifest.get_by_tag.p99_ms", Machine("nginx_get_small.p99_ms"), AtPace(6.0, NGINX_SMALL)),
    ("— median on one connection, ms", "manifest.get_by_tag.c1_p50_ms", Machine("nginx_get_small.c1_p50_ms"), Free),
    (
        "— server's processor time per request, in turns with nginx, µs",
        "gets.by_tag.cpu_us",
        Beside("gets.nginx_manifest.cpu_us"),
        AtPace(20.0, NGINX_SMALL),
    ),
    ("GET of a manifest by digest, requests/s", "manifest.get_by_digest.req_s", Machine("nginx_get_small.req_s"), Free),
    ("— in turns with nginx", "gets.by_digest.req_s", MANIFEST_IN_TURNS, OfLimit(0.7)),
    ("— p99, ms", "manifest.get_by_digest.p99_ms", Machine("nginx_get_small.p99_ms"), AtPace(6.0, NGINX_SMALL)),
    ("HEAD of a manifest by tag, requests/s", "manifest.head_by_tag.req_s", Machine("nginx_head_small.req_s"), Free),
    ("— in turns with nginx", "gets.head_by_tag.req_s", HEAD_IN_TURNS, OfLimit(0.7)),
    ("HEAD of a blob, requests/s", "manifest.head_blob.req_s", Machine("nginx_head_small.req_s"), Free),
    ("— in turns with nginx", "gets.head_blob.req_s", HEAD_IN_TURNS, OfLimit(0.7)),
    (
        "GET of manifests by many tags, requests/s",
        "tags.get_by_tag_after.req_s",
        Machine("nginx_get_small.req_s"),
        Free,
    ),
    (
        "GET of a manifest with a password in every request, requests/s",
        "pulls.password.req_s",
        Beside("pulls.password.token_req_s"),
        OfLimit(0.9),
    ),
    (
        "GET of a manifest while all repositories are collected, p99, ms",
        "pulls.collecting.p99_ms",
        Beside("pulls.collecting.quiet_p99_ms"),
        AtMostOfLimit(1.2),
    ),
    ("— answers other than 200 meanwhile", "pulls.collecting.errors", Limit::None, AtMost(0.0)),
    ("— how long a collection takes, s", "pulls.collecting.collection_s", Limit::None, Free),
    ("GET of a big blob, MiB/s", "blobget.big.mib_s", Machine("nginx_get_big_mib_s"), Free),
    ("— in turns with nginx", "gets.big.mib_s", Beside("gets.nginx_big.mib_s"), OfLimit(0.9)),
    (
        "— server's processor time, in turns with nginx, s/GiB",
        "gets.big.cpu_s_per_gib",
        Beside("gets.nginx_big.cpu_s_per_gib"),
        AtPace(0.4, NGINX_BIG),
    ),
    ("GET of blobs of 1 MiB, MiB/s", "blobget.small_64x1mib.mib_s", Machine("nginx_get_64x1mib_mib_s"), Free),
    ("— in turns with nginx", "gets.pieces.req_s", Beside("gets.nginx_pieces.req_s"), OfLimit(0.85)),
    ("— p99, ms", "blobget.small_64x1mib.p99_ms", Machine("nginx_get_64x1mib_p99_ms"), Free),
    ("— memory (RSS), the most, MiB", "blobget.small_64x1mib.server_peak_rss_mib", Limit::None, AtMost(48.0)),
    ("push of a big blob in one request, MiB/s", "push.monolithic.mib_s", DISK, OfLimit(0.6)),
    ("— server's processor time, s/GiB", "push.monolithic.server_cpu_s_per_gib", Limit::None, Free),
    ("push of a big blob in chunks of 16 MiB, MiB/s", "push.chunked_16mib.mib_s", DISK, Free),
    ("— in turns with pushes in one request", "turns.chunked_mib_s", IN_TURNS, OfLimit(0.95)),
    ("push of a big blob as one stream, MiB/s", "push.streamed.mib_s", DISK, Free),
    ("— in turns with pushes in one request", "turns.streamed_mib_s", IN_TURNS, OfLimit(0.95)),
    (
        "push of small images, images/s",
        "push.small_images.images_s",
        Machine("client_ceiling_images_s"),
        AtLeast(400.0),
    ),
    ("— in turns with what the client can send", "writes.images_s", Beside("writes.limit_images_s"), AtLeast(400.0)),
    (
        "— in turns with sending them and keeping their files, one after the other",
        "writes.images_s",
        Beside("writes.sent_and_kept_images_s"),
        Free,
    ),
    ("— p99 of one image, ms", "push.small_images.image_p99_ms", Limit::None, Free),
    ("— p99 of one image, in turns, ms", "writes.image_p99_ms", Limit::None, AtPace(60.0, CLIENT_IMAGES)),
    ("PUT of a manifest under a new tag, 1/s", "tags.tag_put_s", Machine("client_ceiling_put_s"), AtLeast(8_000.0)),
    ("— in turns with what the client can send", "writes.tags_s", PUTS_IN_TURNS, AtLeast(8_000.0)),
    ("list of all tags, ms", "tags.full_ms", Limit::None, Free),
    ("page of 100 tags, ms", "tags.page100_ms", Limit::None, AtPace(0.3, CLIENT)),
    (
        "new repositories (mount and PUT), 1/s",
        "catalog.repo_create_s",
        Machine("client_ceiling_put_s"),
        AtLeast(4_000.0),
    ),
    ("— in turns with what the client can send", "writes.repos_s", PUTS_IN_TURNS, AtLeast(4_000.0)),
    ("page of 100 repositories, ms", "catalog.page100_ms", Limit::None, AtPace(0.3, CLIENT)),
    ("all repositories in pages of 1000, ms", "catalog.walk1000_ms", Limit::None, AtPace(10.0, CLIENT)),
    ("start to first answer, empty store, ms", "coldstart.median_ms", Limit::None, AtPace(15.0, THEIR_START)),
    ("start to first answer, filled store, ms", "coldstart_filled.median_ms", Limit::None, AtPace(15.0, THEIR_START)),
    (
        "— of the registry alone (`--engine none`), filled store, ms",
        "registry_only.coldstart.median_ms",
        Limit::None,
        AtPace(8.0, THEIR_START),
    ),
    ("start to first answer after `kill -9`, ms", "crash.restart_ms_median", Limit::None, Free),
    (
        "64 clients on one cold blob of a mirror, s",
        "proxy.cold_wall_s",
        Beside("proxy.ideal_cold_wall_s"),
        AtMostOfLimit(1.2),
    ),
    (
        "— by faster clients, in turns with nginx, which has it as a file, s",
        "mirrored.cold_s",
        Beside("mirrored.limit_s"),
        AtMostOfLimit(1.2),
    ),
    ("— bytes from the upstream per byte of the blob", "proxy.upstream_bytes_over_blob", Limit::None, AtMost(1.0)),
    ("memory (RSS) after the start, filled store, MiB", "coldstart_filled.idle_rss_mib", Limit::None, AtMost(30.0)),
    ("— of the registry alone, MiB", "registry_only.coldstart.idle_rss_mib", Limit::None, AtMost(14.0)),
    ("memory (RSS), the most, 1,000 clients pull at once, MiB", "crowd.pulls_peak_mib", Limit::None, AtMost(96.0)),
    ("memory (RSS), the most, 1,000 clients push at once, MiB", "crowd.pushes_peak_mib", Limit::None, AtMost(160.0)),
    ("— clients that failed", "crowd.errors", Limit::None, AtMost(0.0)),
    ("memory (RSS), the most, MiB", "peak_rss_mib", Machine("nginx_peak_rss_mib"), Free),
];

/// What a check must say.
#[derive(Debug, Clone, Copy)]
pub(super) enum Must {
    /// A status of 400 to 499.
    Refuse,
    /// That there is nothing, or the right bytes.
    BeHarmless,
    /// 0.
    BeZero,
    /// At least 1: without it the checks after it show nothing.
    BeSome,
    /// `true`.
    BeTrue,
}

/// Each check: what it is, where it stands under `results`, and what is demanded.
pub(super) const CHECKS: &[(&str, &str, Must)] = &[
    ("big blob comes back with its own digest", "blobget.big.digest_ok", Must::BeTrue),
    ("list of tags is complete", "tags.full_complete", Must::BeTrue),
    ("list of repositories is complete", "catalog.complete", Must::BeTrue),
    ("upload that is closed with a wrong digest: status", "integrity.wrong_digest_status", Must::Refuse),
    ("— what that digest gives then", "integrity.wrong_digest_then_get", Must::BeHarmless),
    ("client goes away in the middle: what the digest gives then", "integrity.client_gone_then_get", Must::BeHarmless),
    ("half an upload that is closed as if whole: status", "integrity.finish_half_upload_status", Must::Refuse),
    ("— what that digest gives then", "integrity.finish_half_upload_then_get", Must::BeHarmless),
    ("chunk out of order: status", "integrity.out_of_order_chunk_status", Must::Refuse),
    ("manifest that names a missing blob: status", "integrity.manifest_with_missing_blob_status", Must::Refuse),
    ("crashes (`kill -9`) in the middle of uploads", "crash.rounds", Must::BeSome),
    ("— blobs acknowledged before", "crash.acked_blobs", Must::BeSome),
    ("— acknowledged blobs lost", "crash.acked_lost", Must::BeZero),
    ("— corrupt blobs served", "crash.corrupt_served", Must::BeZero),
    ("— blobs that give neither 200 nor 404", "crash.other_status", Must::BeZero),
    ("— acknowledged tags lost", "crash.tag_lost", Must::BeZero),
    ("— tags that went back to an older manifest", "crash.tag_stale", Must::BeZero),
    ("— tags broken, or with a layer missing", "crash.tag_broken", Must::BeZero),
    ("— lists of tags that fail", "crash.tags_list_bad", Must::BeZero),
    ("— pushes after the restart that fail", "crash.repush_failed", Must::BeZero),
];

impl Pace {
    /// How many times slower this machine is, whose figure this is; 1 when it is faster.
    pub(super) fn slower(self, here: f64) -> f64 {
        // Of the start, more is slower.
        let times = if matches!(self.figure, Theirs(_)) { here / self.there } else { self.there / here };
        times.max(1.0)
    }
}

/// A bound in words, and whether a figure keeps it; one that was not measured does not.
pub(super) fn judged(bound: Bound, measured: Option<f64>, limit: Option<f64>) -> (String, Option<bool>) {
    let share = |of: Option<f64>, least: f64| measured.zip(of).is_some_and(|(ours, of)| ours >= least * of);
    match bound {
        Free => (String::new(), None),
        OfLimit(least) => (format!("≥ {least:.2}× limit"), Some(share(limit, least))),
        AtMostOfLimit(most) => {
            let keeps = measured.zip(limit).is_some_and(|(ours, limit)| ours <= most * limit);
            (format!("≤ {most:.2}× limit"), Some(keeps))
        }
        AtLeast(least) => (format!("≥ {least}"), Some(measured.is_some_and(|ours| ours >= least))),
        AtMost(most) | AtPace(most, _) => (format!("≤ {most}"), Some(measured.is_some_and(|ours| ours <= most))),
    }
}
