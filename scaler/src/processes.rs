//! The target processes: started, watched and ended, each by a task of its own.
//!
//! A task reports that its process is up, and, whatever happens, that it has ended; what follows from that is the fleet's
//! business. Its one input is an order that only ever grows more urgent.

mod process;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;

use anyhow::Context;
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::task::JoinSet;

use crate::driver::Event;
use crate::files::{Files, ProcessKey};
use crate::target_requests::TargetRequests;

/// Most processes being started at once. A start is CPU work (load, link, bind); more of them at a time come up later,
/// each of them.
const STARTS_AT_ONCE: usize = 8;

/// How long the end of all processes may take: the grace of one, and some for the kernel.
const END_LIMIT: Duration = Duration::from_millis(2_800);

/// What is the same for all target processes.
#[derive(Debug)]
pub(crate) struct Program {
    /// The binary that has the target role.
    pub(crate) path: PathBuf,
    /// None: the default scenario.
    pub(crate) scenario: Option<PathBuf>,
    pub(crate) time_scale: f64,
    /// Where targets listen, on ports that the kernel chooses.
    pub(crate) ip: IpAddr,
    /// Under which name others reach them.
    pub(crate) advertise: Option<String>,
}

/// Where a process that is up is found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    /// Address of the data port.
    pub(crate) data: String,
    /// Address of the admin port.
    pub(crate) admin: String,
    pub(crate) pid: u32,
}

/// How a process is to end; a later one is more urgent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Order {
    /// Not at all.
    Run,
    /// It holds nothing: refuse what still comes, scrape, end.
    Drain,
    /// At once, whatever it holds: scrape, SIGKILL. What it counted and held is in its book. SIGTERM would give it time
    /// of the machine to finish, which no scenario has.
    Force,
    /// The run is over: end.
    Terminate,
    /// There is nobody to wait for: SIGKILL.
    Kill,
}

/// The processes there are.
#[derive(Debug)]
pub(crate) struct Processes {
    shared: Rc<Shared>,
    orders: BTreeMap<ProcessKey, watch::Sender<Order>>,
    tasks: JoinSet<()>,
}

/// What every task needs.
#[derive(Debug)]
struct Shared {
    program: Program,
    files: Rc<Files>,
    requests: TargetRequests,
    starts: Semaphore,
    events: mpsc::Sender<Event>,
}

// === impl Processes ===

impl Processes {
    /// None yet. What becomes of them goes to `events`, what they count to `requests`.
    pub(crate) fn new(
        program: Program,
        files: Rc<Files>,
        requests: TargetRequests,
        events: mpsc::Sender<Event>,
    ) -> Self {
        let starts = Semaphore::new(STARTS_AT_ONCE);
        let shared = Rc::new(Shared { program, files, requests, starts, events });
        Self { shared, orders: BTreeMap::new(), tasks: JoinSet::new() }
    }

    /// Starts one; [`Event::Up`] follows when it serves, [`Event::Ended`] when it does not come up or has ended.
    pub(crate) fn start(&mut self, key: ProcessKey) {
        while self.tasks.try_join_next().is_some() {}
        let (order, orders) = watch::channel(Order::Run);
        self.orders.insert(key, order);
        self.tasks.spawn_local(process::live(key, self.shared.clone(), orders));
    }

    /// Gives an order. One that is less urgent than an earlier one changes nothing.
    pub(crate) fn order(&self, key: ProcessKey, order: Order) {
        if let Some(orders) = self.orders.get(&key) {
            orders.send_if_modified(|now| std::mem::replace(now, order.max(*now)) < order);
        }
    }

    /// It has ended. Returns the order it had: [`Order::Run`] if it ended by itself.
    pub(crate) fn ended(&mut self, key: ProcessKey) -> Order {
        self.orders.remove(&key).map_or(Order::Run, |order| *order.borrow())
    }

    /// Ends all of them, and returns when they have ended, or are left to the ends of their lifelines.
    pub(crate) async fn end_all(&mut self, order: Order) {
        self.orders.keys().for_each(|key| self.order(*key, order));
        let ended = async { while self.tasks.join_next().await.is_some() {} };
        if tokio::time::timeout(END_LIMIT, ended).await.is_err() {
            tracing::error!(left = self.tasks.len(), "targets that do not end");
        }
    }
}

// === impl Program ===

impl Program {
    fn args(&self, key: ProcessKey, book: &Path) -> anyhow::Result<Vec<String>> {
        let listen = format!("{}:0", bracketed(self.ip));
        let text = |path: &Path| path.to_str().map(str::to_owned).with_context(|| format!("{path:?} is not UTF-8"));
        let scenario = self.scenario.as_deref().map(text).transpose()?.map(|path| ("--scenario", path));
        let flags = [
            ("--target", key.target.to_string()),
            ("--incarnation", key.incarnation.to_string()),
            ("--time-scale", self.time_scale.to_string()),
            ("--listen", listen.clone()),
            ("--admin", listen),
            ("--book", text(book)?),
        ];
        let advertise = self.advertise.clone().map(|host| ("--advertise", host));
        let flags =
            scenario.into_iter().chain(advertise).chain(flags).flat_map(|(flag, value)| [flag.to_owned(), value]);
        Ok(["target", "--lifeline"].map(str::to_owned).into_iter().chain(flags).collect())
    }
}

fn bracketed(ip: IpAddr) -> String {
    match ip {
        IpAddr::V4(ip) => ip.to_string(),
        IpAddr::V6(ip) => format!("[{ip}]"),
    }
}

#[cfg(test)]
mod tests {
    use galton_core::TargetId;

    use super::*;

    #[test]
    fn a_target_is_told_who_it_is() {
        let program = Program {
            path: "galton".into(),
            scenario: Some("/s/a.json".into()),
            time_scale: 0.25,
            ip: "::1".parse().unwrap(),
            advertise: None,
        };
        let key = ProcessKey { target: TargetId(3), incarnation: 2 };
        let args = program.args(key, Path::new("/b")).unwrap().join(" ");
        let expected = "target --lifeline --scenario /s/a.json --target t-003 --incarnation 2 --time-scale 0.25 \
                        --listen [::1]:0 --admin [::1]:0 --book /b";
        assert_eq!(args, expected);
    }
}
