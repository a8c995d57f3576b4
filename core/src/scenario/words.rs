//! The words that stand for enums in a scenario, each written once: read, printed and listed in the schema from here.

use super::model::{
    Architecture, CpuMode, OnDisconnect, SampleOn, SamplingMode, ScaleUp, ScalingPolicy, StartOffset, TieBreak, Writer,
};
use super::traffic::OnError;

/// An enum whose values are words in the scenario file.
pub trait Word: Copy + PartialEq + 'static {
    /// Every value with its word.
    const ALL: &'static [(Self, &'static str)];

    /// The word.
    fn word(self) -> &'static str {
        Self::ALL.iter().find(|(value, _)| *value == self).map_or("", |(_, word)| word)
    }

    /// The value of a word.
    fn from_word(word: &str) -> Option<Self> {
        Self::ALL.iter().find(|(_, w)| *w == word).map(|(value, _)| *value)
    }

    /// All words.
    fn words() -> Vec<&'static str> {
        Self::ALL.iter().map(|(_, word)| *word).collect()
    }
}

impl Word for Architecture {
    const ALL: &'static [(Self, &'static str)] =
        &[(Self::RoundRobin, "round_robin"), (Self::LeastConns, "least_conns")];
}

impl Word for OnError {
    const ALL: &'static [(Self, &'static str)] =
        &[(Self::Continue, "continue"), (Self::Cancel, "cancel"), (Self::Replace, "replace")];
}

impl Word for StartOffset {
    const ALL: &'static [(Self, &'static str)] = &[(Self::Same, "same"), (Self::Random, "random")];
}

impl Word for TieBreak {
    const ALL: &'static [(Self, &'static str)] =
        &[(Self::Random, "random"), (Self::LowestId, "lowest_id"), (Self::Rotate, "rotate")];
}

impl Word for OnDisconnect {
    const ALL: &'static [(Self, &'static str)] = &[(Self::Cancel, "cancel"), (Self::Finish, "finish")];
}

impl Word for CpuMode {
    const ALL: &'static [(Self, &'static str)] =
        &[(Self::Account, "account"), (Self::Burn, "burn"), (Self::Slowdown, "slowdown")];
}

impl Word for ScalingPolicy {
    const ALL: &'static [(Self, &'static str)] = &[(Self::OnDemand, "on_demand")];
}

impl Word for ScaleUp {
    const ALL: &'static [(Self, &'static str)] = &[(Self::PerRequest, "per_request"), (Self::Coalesced, "coalesced")];
}

impl Word for SamplingMode {
    const ALL: &'static [(Self, &'static str)] = &[(Self::Event, "event")];
}

impl Word for SampleOn {
    const ALL: &'static [(Self, &'static str)] = &[
        (Self::LbDecision, "lb_decision"),
        (Self::RequestComplete, "request_complete"),
        (Self::TopologyChange, "topology_change"),
    ];
}

impl Word for Writer {
    const ALL: &'static [(Self, &'static str)] =
        &[(Self::Json, "json"), (Self::Markdown, "markdown"), (Self::Csv, "csv"), (Self::Html, "html")];
}
