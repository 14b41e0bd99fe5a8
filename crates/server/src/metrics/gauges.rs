//! What is looked at when somebody asks: the engine's depths and caches, and this process.

use std::fs;

use grantry_core::Clock as _;
use grantry_core::store::Depths;
use grantry_engine::{Engine, Gauges};
use prometheus::{Counter, Gauge, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts};

use super::{Made, Maker};
use crate::clock::SystemClock;

/// Clock ticks a second in `/proc/self/stat`: fixed at 100 in the kernel's interface to programs.
const TICKS: f64 = 100.0;

/// Bytes of a page on the machines that we build for.
const PAGE: i64 = 4096;

/// Gauges that are set before each answer.
pub(super) struct Now {
    revocations_due: IntGauge,
    authorizations_pending: IntGauge,
    spooled_pairs: IntGauge,
    flights: IntGauge,
    feed_age: Gauge,
    cache_entries: IntGaugeVec,
    cache_hits: IntCounterVec,
    cache_misses: IntCounterVec,
    resident: IntGauge,
    cpu: Counter,
    threads: IntGauge,
    open_files: IntGauge,
    open_files_max: IntGauge,
}

impl Now {
    pub fn new(make: &Maker<'_>) -> Made<Self> {
        let build = Opts::new("grantry_build_info", "1, with the version of this binary.")
            .const_label("version", env!("CARGO_PKG_VERSION"));
        make.entered(IntGauge::with_opts(build)?)?.set(1);
        let float = |name: &str, help: &str| make.entered(Gauge::new(name, help)?);
        let started = float(
            "process_start_time_seconds",
            "When this process started, in seconds since 1970.",
        )?;
        started.set(start_time().unwrap_or_default());
        Ok(Self {
            revocations_due: make.gauge(
                "grantry_revocations_due",
                "Tokens that providers still have to be told to revoke, of the whole server, up to 10000.",
            )?,
            authorizations_pending: make.gauge(
                "grantry_authorizations_pending",
                "Consents that are waited for, of the whole server, up to 10000.",
            )?,
            spooled_pairs: make.gauge(
                "grantry_spooled_pairs",
                "Refreshed pairs that the database has not taken yet.",
            )?,
            flights: make.gauge("grantry_refreshes_in_flight", "Refreshes under way.")?,
            feed_age: float(
                "grantry_change_feed_age_seconds",
                "Since this node last heard of the others' changes; over 2 it trusts no cache.",
            )?,
            cache_entries: make.entered(IntGaugeVec::new(
                Opts::new("grantry_cache_entries", "Entries of a cache."),
                &["cache"],
            )?)?,
            cache_hits: make.counters("grantry_cache_hits_total", "Look-ups that found something.", &["cache"])?,
            cache_misses: make.counters("grantry_cache_misses_total", "Look-ups that found nothing.", &["cache"])?,
            resident: make.gauge("process_resident_memory_bytes", "Resident memory.")?,
            cpu: make.entered(Counter::new("process_cpu_seconds_total", "CPU time, user and system.")?)?,
            threads: make.gauge("process_threads", "Threads.")?,
            open_files: make.gauge("process_open_fds", "Open file descriptors.")?,
            open_files_max: make.gauge("process_max_fds", "Most file descriptors that may be open.")?,
        })
    }

    /// Sets them all. What the database does not answer keeps its last value.
    pub async fn look(&self, engine: &Engine) {
        self.show(&engine.gauges(), engine.depths().await.ok());
    }

    pub(super) fn show(&self, now: &Gauges, depths: Option<Depths>) {
        if let Some(depths) = depths {
            self.revocations_due.set(whole(depths.revocations_due));
            self.authorizations_pending
                .set(whole(depths.authorizations_pending));
        }
        self.spooled_pairs.set(whole(now.spooled as u64));
        self.flights.set(whole(now.flights as u64));
        self.feed_age
            .set(now.feed_age.map_or(f64::NAN, |age| age.as_secs_f64()));
        for cache in &now.caches {
            let label = [cache.name];
            self.cache_entries
                .with_label_values(&label)
                .set(whole(cache.entries as u64));
            catch_up(&self.cache_hits.with_label_values(&label), cache.hits);
            catch_up(&self.cache_misses.with_label_values(&label), cache.misses);
        }
        self.look_at_process();
    }

    /// `None` somewhere only where `/proc` is not mounted; then nothing is said.
    fn look_at_process(&self) {
        if let Some(stat) = stat() {
            // proc(5): utime and stime are the fields 14 and 15, threads 20, resident pages 24.
            let field = |number: usize| {
                stat.get(number - 3)
                    .and_then(|text| text.parse::<i64>().ok())
            };
            if let (Some(user), Some(system)) = (field(14), field(15)) {
                let now = (user + system) as f64 / TICKS;
                self.cpu.inc_by((now - self.cpu.get()).max(0.0));
            }
            self.threads.set(field(20).unwrap_or_default());
            self.resident.set(field(24).unwrap_or_default() * PAGE);
        }
        if let Ok(open) = fs::read_dir("/proc/self/fd") {
            self.open_files.set(whole(open.count() as u64));
        }
        let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
        self.open_files_max.set(limit.map_or(i64::MAX, whole));
    }
}

fn whole(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// A counter that somebody else counts.
fn catch_up(counter: &IntCounter, count: u64) {
    counter.inc_by(count.saturating_sub(counter.get()));
}

/// The fields of `/proc/self/stat` from the third on; the second may hold spaces and brackets.
fn stat() -> Option<Vec<String>> {
    let text = fs::read_to_string("/proc/self/stat").ok()?;
    let (_, fields) = text.rsplit_once(") ")?;
    Some(fields.split_whitespace().map(str::to_owned).collect())
}

/// By the clocks, not by `/proc/stat`: a unit with `ProcSubset=pid` does not see that one.
fn start_time() -> Option<f64> {
    // proc(5): starttime is the field 22, in ticks since the machine's start.
    let ticks: f64 = stat()?.get(22 - 3)?.parse().ok()?;
    let up_for = SystemClock.boot().as_secs_f64() - ticks / TICKS;
    Some(SystemClock.now().0 as f64 / 1e6 - up_for)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_process_started_a_moment_ago() {
        let ago = SystemClock.now().0 as f64 / 1e6 - start_time().unwrap();
        assert!((-1.0..3600.0).contains(&ago), "{ago}");
    }
}
