//! What a run of its own is about, from the command line: what is sent, how often, and to whom.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use galton_core::Nanos;
use galton_report::WarmUp;
use galton_results::Usage;
use galton_runtime::role;

use crate::args::{Args, HostsArgs, ModelArgs, RequestArgs, TestbedArgs};
use crate::destination::{self, Destination};
use crate::link::Dial;
use crate::settings::{self, Settings, UsageError};
use crate::template::{Demands, Template};

/// What is to be done.
#[derive(Clone, Debug)]
pub(crate) struct Mission {
    pub(crate) settings: Settings,
    pub(crate) template: Template,
    /// In words, for a title.
    pub(crate) to: String,
    /// The hosts, by number.
    addrs: Vec<SocketAddr>,
    connect_timeout: Duration,
    warm_up: Option<WarmUp>,
}

/// Who gets the requests.
enum To<'a> {
    Server(Destination),
    Hosts(Vec<SocketAddr>),
    Scaler(&'a str),
}

// === impl Mission ===

impl Mission {
    /// What the flags say; wrong usage shows before anything is looked up, let alone sent.
    pub(crate) fn of(args: &Args) -> anyhow::Result<Self> {
        let TestbedArgs { scenario, hosts } = &args.testbed;
        let mission = Self::new(&args.url, &args.model, &args.request, scenario.as_deref(), hosts)?;
        let mission = Self { warm_up: args.measure.warmup, ..mission };
        mission.check_warm_up().map_err(Usage::error)?;
        Ok(mission)
    }

    /// As [`Self::of`], from its parts.
    pub(crate) fn new(
        url: &str,
        model: &ModelArgs,
        request: &RequestArgs,
        file: Option<&Path>,
        hosts: &HostsArgs,
    ) -> anyhow::Result<Self> {
        let mut settings = settings::settings(model, request, file).map_err(Usage::error)?;
        let demands = Demands {
            hold: file.is_some() || request.hold.is_some(),
            cpu: file.is_some() || request.cpu.is_some(),
            key: request.key.is_some(),
        };
        let destination = Destination::parse(url).map_err(Usage::error)?;
        let body = destination::body(request.body.as_deref())?;
        let template = destination.template(request, body, demands).map_err(Usage::error)?;
        let wanted = file.is_some().then_some(settings.scenario.load_balancer.hosts);
        let to = match (&hosts.scaler, hosts.proxy.as_slice()) {
            (Some(scaler), _) => To::Scaler(scaler),
            (None, []) => To::Server(destination),
            (None, given) => {
                let number = wanted.unwrap_or(given.len() as u32);
                To::Hosts(crate::hosts::of(given, number).map_err(Usage::error)?)
            }
        };
        let words = to.words();
        let addrs = to.find(wanted, request.connect_timeout)?;
        settings.scenario.load_balancer.hosts = addrs.len() as u32;
        let connect_timeout = request.connect_timeout;
        Ok(Self { settings, template, to: words, addrs, connect_timeout, warm_up: None })
    }

    /// How to connect to each host.
    pub(crate) fn dials(&self) -> Vec<Dial> {
        let Settings { protocol, max_requests_per_conn, .. } = self.settings;
        let dial = |addr: &SocketAddr| Dial::new(*addr, self.connect_timeout).with(protocol, max_requests_per_conn);
        self.addrs.iter().map(dial).collect()
    }

    fn check_warm_up(&self) -> Result<(), UsageError> {
        let (requests, duration) = (self.settings.budget(), self.settings.scenario.simulation.duration);
        let end = match self.warm_up() {
            WarmUp::Time(time) if time >= duration => format!("{} s", duration.as_secs_f64()),
            WarmUp::Requests(n) if requests.is_some_and(|all| n >= all) => {
                format!("{} requests", requests.unwrap_or(n))
            }
            _ => return Ok(()),
        };
        Err(UsageError(format!("--warmup leaves nothing to measure: the run ends after {end}")))
    }

    /// What is left out at the start: as the flag says, or the scenario.
    pub(crate) fn warm_up(&self) -> WarmUp {
        let warm_up = self.settings.scenario.simulation.warmup;
        let of_scenario = if warm_up == Nanos::ZERO { WarmUp::default() } else { WarmUp::Time(warm_up) };
        self.warm_up.unwrap_or(of_scenario)
    }
}

// === impl To ===

impl To<'_> {
    fn words(&self) -> String {
        match self {
            Self::Server(destination) => destination.words(),
            Self::Hosts(addrs) => format!("{} load-balancer hosts", addrs.len()),
            Self::Scaler(scaler) => format!("the load-balancer hosts of {scaler}"),
        }
    }

    fn find(self, wanted: Option<u32>, connect_timeout: Duration) -> anyhow::Result<Vec<SocketAddr>> {
        match self {
            Self::Server(destination) => Ok(vec![destination.resolve(connect_timeout)?]),
            Self::Hosts(addrs) => Ok(addrs),
            Self::Scaler(scaler) => role::run_local(crate::hosts::found(scaler, wanted)),
        }
    }
}
