//! What callers ask for: checked against what there is, then fed to the fleet.

use std::time::Duration;

use galton_core::fleet::{Input, Phase};
use galton_core::record::FleetWhat;
use galton_core::wire::{HostNumber, TargetInfo, TargetList};
use galton_core::{CallId, HostId, Nanos, TargetId};
use galton_runtime::mono_ns;

use super::{Driver, Event};
use crate::api::{Call, Reply};
use crate::discovery;
use crate::watch::Watcher;

/// How far T0 may be from now. Farther is no T0 but another clock.
const T0_DISTANCE: Duration = Duration::from_secs(60);

impl Driver {
    /// Answers a call.
    ///
    /// # Errors
    /// What comes of it cannot be written down.
    pub(super) fn call(&mut self, call: Call) -> anyhow::Result<Reply> {
        if let Some(host) = call.host().filter(|host| host.0 >= self.parts.scenario.load_balancer.hosts) {
            let hosts = self.parts.scenario.load_balancer.hosts;
            return Ok(Reply::Bad(format!("host {host}: the scenario has {hosts}, from 0")));
        }
        match call {
            Call::Targets => Ok(Reply::Targets(self.list())),
            Call::Watch(watcher) => self.watch(watcher),
            Call::Number => Ok(self.number()),
            Call::Hosts => Ok(Reply::Hosts(self.watchers.places())),
            Call::Prometheus => Ok(Reply::Prometheus(self.to_be_scraped())),
            Call::Start { t0_ns } => self.start_at(t0_ns),
            _ if self.run.is_none() => Ok(refused("the run has not started")),
            Call::ScaleUp { waiter: Some(waiter), asked_ns } => self.scale_up_for(waiter, self.asked(asked_ns)),
            Call::ScaleUp { waiter: None, asked_ns } => self.scale_up(self.asked(asked_ns)),
            Call::LeaveStart { host, call } => self.feed(Input::LeaveStart { host, call }).map(|_| Reply::Done),
            Call::ScaleDown { host, target } => self.scale_down(host, target),
            Call::Released { host, target } => self.feed(Input::Released { host, target }).map(|_| Reply::Done),
        }
    }

    fn start_at(&mut self, t0_ns: u64) -> anyhow::Result<Reply> {
        if !self.is_ready() {
            return Ok(Reply::NotReady);
        }
        if self.run.is_some() {
            return Ok(refused("the run has started already"));
        }
        if Duration::from_nanos(t0_ns.abs_diff(mono_ns())) > T0_DISTANCE {
            let why = format!("t0_ns {t0_ns}: more than {T0_DISTANCE:?} from now, {}, on CLOCK_MONOTONIC", mono_ns());
            return Ok(Reply::Bad(why));
        }
        self.start(t0_ns).map(|()| Reply::Done)
    }

    /// Opens a watch. Its `Hello` comes when the initial fleet is up.
    fn watch(&mut self, watcher: Watcher) -> anyhow::Result<Reply> {
        let host = watcher.as_ref().map(|of| of.host);
        let (id, lines, ended) = match self.watchers.open(watcher) {
            Ok(opened) => opened,
            Err(why) => return Ok(refused(why.to_string())),
        };
        let events = self.parts.events.clone();
        tokio::task::spawn_local(async move {
            let _ = ended.await;
            // Nobody listens: the scaler is ending.
            let _ = events.send(Event::WatchEnded(id)).await;
        });
        if self.is_ready() {
            self.watchers.greet(id, &self.hello());
            if let Some(host) = host {
                self.feed(Input::HostJoined(host))?;
            }
        }
        Ok(Reply::Watch(lines))
    }

    /// A number for a proxy that has none.
    fn number(&mut self) -> Reply {
        let room = self.parts.scenario.load_balancer.hosts;
        match self.watchers.number(room, mono_ns()) {
            Some(host) => Reply::Number(HostNumber { host }),
            None => refused(format!("all {room} hosts are there (the scaler's --hosts makes room for more)")),
        }
    }

    fn to_be_scraped(&self) -> Vec<discovery::Group> {
        let mut groups = vec![discovery::scaler(&self.parts.admin)];
        groups.extend(discovery::proxies(&self.watchers.places()));
        groups.extend(self.list().targets.iter().filter_map(discovery::target));
        groups
    }

    fn scale_up_for(&mut self, waiter: (HostId, CallId), asked: Option<Nanos>) -> anyhow::Result<Reply> {
        let host = waiter.0;
        if !self.watchers.watches(host) {
            return Ok(refused(format!("host {host} has no watch on which to be answered")));
        }
        self.feed(Input::ScaleUp { waiter: Some(waiter), asked }).map(|_| Reply::Later)
    }

    /// Scenario time of when somebody asked, if that was said.
    fn asked(&self, asked_ns: Option<u64>) -> Option<Nanos> {
        self.run.as_ref().zip(asked_ns).map(|(run, asked_ns)| run.clock.scenario(asked_ns))
    }

    fn scale_up(&mut self, asked: Option<Nanos>) -> anyhow::Result<Reply> {
        let decision = self.feed(Input::ScaleUp { waiter: None, asked })?;
        let accepted = decision.filter(|event| event.what != FleetWhat::UpRefused).and_then(|event| event.target);
        Ok(accepted.map_or_else(|| refused("the fleet is at its maximum"), Reply::Starting))
    }

    fn scale_down(&mut self, host: Option<HostId>, target: TargetId) -> anyhow::Result<Reply> {
        let decision = self.feed(Input::ScaleDown { host, target })?;
        // No event: it is being removed already, or gone.
        Ok(match decision.map(|event| event.what) {
            Some(FleetWhat::DownRefused) => refused(format!("the fleet is at its minimum, or {target} is not ready")),
            _ => Reply::Done,
        })
    }

    fn list(&self) -> TargetList {
        let info = |(target, incarnation, phase): (TargetId, _, Phase)| {
            let place = self.places.get(&target).filter(|(of, _)| *of == incarnation).map(|(_, place)| place);
            TargetInfo {
                target,
                incarnation,
                state: phase.as_str().to_owned(),
                data: place.map(|place| place.data.clone()),
                admin: place.map(|place| place.admin.clone()),
                pid: place.map(|place| place.pid),
            }
        };
        let version = self.run.as_ref().map_or(0, |run| run.fleet.version());
        TargetList { version, targets: self.phases().into_iter().map(info).collect() }
    }
}

fn refused(why: impl Into<String>) -> Reply {
    Reply::Refused(why.into())
}
