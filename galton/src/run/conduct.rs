//! The run itself: T0, a scrape and a look at every process each second, the end of the load, and the end of everything.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use galton_core::HostId;
use galton_core::scenario::Scenario;
use galton_core::wire::{Progress, Start};
use galton_runtime::http_client;
use galton_runtime::{ScenarioClock, Shutdown, mono_ns};
use tokio::time::{MissedTickBehavior, interval};

use super::execute::RunOptions;
use super::progress::ProgressView;
use crate::cluster::{CALL_WITHIN, Cluster, Process};
use crate::collect::Watched;
use crate::run_dir::RunDir;
use crate::scrape::{Scrapee, Scraper, scrapees};

/// T0 lies this far ahead, so that every process has heard of it by then.
const T0_AHEAD: Duration = Duration::from_millis(200);
/// How often everything is scraped. Machine time.
const SCRAPE_EVERY: Duration = Duration::from_secs(1);

/// How the load came to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// By itself.
    Finished,
    /// Somebody stopped it.
    Interrupted,
}

/// Watches one run.
#[derive(Debug)]
pub(crate) struct Conductor {
    loadgen: Process,
    scraper: Scraper,
    view: ProgressView,
    /// What is left if the run is ended at once, in words.
    left: String,
    clock: Option<ScenarioClock>,
    time_scale: f64,
    dead_proxies: BTreeSet<HostId>,
    scaler_died: bool,
    interrupted: bool,
}

impl Conductor {
    pub(super) fn new(dir: &RunDir, scenario: &Scenario, options: &RunOptions, loadgen: Process) -> Self {
        Self {
            loadgen,
            scraper: Scraper::new(dir.clone()),
            view: ProgressView::new(options.progress, scenario),
            left: left(dir, options.stays),
            clock: None,
            time_scale: options.time_scale,
            dead_proxies: BTreeSet::new(),
            scaler_died: false,
            interrupted: false,
        }
    }

    /// From T0 to the last answer.
    pub(super) async fn run(&mut self, cluster: &mut Cluster, shutdown: &Shutdown) -> anyhow::Result<Ending> {
        self.scrape(cluster).await?;
        self.begin(cluster).await?;
        let mut ticks = interval(SCRAPE_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
        ticks.tick().await;
        loop {
            tokio::select! {
                line = self.loadgen.next_line() => {
                    let progress = self.progress(line?)?;
                    if progress.finished {
                        return Ok(if self.interrupted { Ending::Interrupted } else { Ending::Finished });
                    }
                }
                _ = ticks.tick() => {
                    self.look(cluster);
                    self.scrape(cluster).await?;
                }
                _ = shutdown.wait(), if !self.interrupted => self.interrupt().await?,
            }
        }
    }

    /// T0: the scaler tells the proxies, then the load begins.
    async fn begin(&mut self, cluster: &Cluster) -> anyhow::Result<()> {
        let start = Start { t0_ns: mono_ns() + T0_AHEAD.as_nanos() as u64 };
        cluster.scaler.begin(&start).await?;
        self.loadgen.begin(&start).await?;
        self.clock = Some(ScenarioClock::new(start.t0_ns, self.time_scale));
        Ok(())
    }

    fn progress(&mut self, line: Option<String>) -> anyhow::Result<Progress> {
        let Some(line) = line else {
            return Err(match self.loadgen.ended() {
                Some(status) => self.loadgen.died(status),
                None => anyhow!("loadgen closed its output before it was done"),
            });
        };
        let progress: Progress = serde_json::from_str(&line).with_context(|| format!("loadgen said {line:?}"))?;
        self.view.show(&progress);
        Ok(progress)
    }

    /// The first Ctrl-C: no new requests; what is in flight is waited for.
    async fn interrupt(&mut self) -> anyhow::Result<()> {
        self.interrupted = true;
        self.view.say("interrupted: no new requests; waiting for those in flight");
        self.view.say(&self.left);
        http_client::post_json(self.loadgen.admin(), "/stop", &(), CALL_WITHIN).await.context("cannot stop loadgen")?;
        Ok(())
    }

    /// Notices deaths.
    fn look(&mut self, cluster: &mut Cluster) {
        for (host, proxy) in (0..).map(HostId).zip(&mut cluster.proxies) {
            if let Some(status) = proxy.ended()
                && self.dead_proxies.insert(host)
            {
                self.view.say(&proxy.died(status).to_string());
            }
        }
        if let Some(status) = cluster.scaler.ended()
            && !std::mem::replace(&mut self.scaler_died, true)
        {
            self.view.say(&cluster.scaler.died(status).to_string());
        }
    }

    /// Scrapes everything that lives; returns who did not answer.
    async fn scrape(&mut self, cluster: &Cluster) -> anyhow::Result<Vec<String>> {
        let stamp = self.clock.map_or_else(|| "the start".to_owned(), |clock| clock.now().to_string());
        let own = std::iter::once(&cluster.scaler).chain(&cluster.proxies).chain([&self.loadgen]);
        let mut all: Vec<_> = own.map(|p| Scrapee { name: p.name.clone(), admin: p.admin().to_owned() }).collect();
        if let Ok(list) = cluster.targets().await {
            self.view.targets(&list);
            all.extend(scrapees(&list));
        }
        self.scraper.scrape(all, &stamp).await
    }

    /// The last scrape, the end of every process, and what was seen.
    pub(super) async fn end(mut self, cluster: &mut Cluster) -> anyhow::Result<Watched> {
        self.view.finish();
        self.look(cluster);
        let silent = self.scrape(cluster).await?;
        self.loadgen.end().await;
        cluster.end().await;
        Ok(Watched {
            command: std::env::args().collect(),
            dead_proxies: self.dead_proxies,
            scaler_died: self.scaler_died,
            silent,
        })
    }
}

/// What a second Ctrl-C does, in words.
fn left(dir: &RunDir, stays: bool) -> String {
    let path = dir.path().display();
    if stays { format!("again: end at once; then: galton report {path}") } else { "again: end at once".to_owned() }
}
