//! Names of things: load-balancer hosts, targets and their incarnations, requests.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// One load-balancer host, from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct HostId(pub u32);

/// One target slot, numbered from 1 in the order in which starts were accepted; never used again in a run.
///
/// Written `t-001`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TargetId(pub u32);

/// The how-many-eth process a target slot is on, from 0: a restart keeps the [`TargetId`] and adds one here.
pub type Incarnation = u32;

/// One request: the key of its demand, of the coins a policy tosses for it, and of its decision records.
///
/// In an open loop it is the request's `seq`; in a closed loop it is made of user and round, so that neither the order of
/// events nor the policy changes what a request asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RequestId(pub u64);

/// One call of a request at one load-balancer host: unique at that host, never used again, whatever [`RequestId`]s clients send.
///
/// Its low 24 bits are a *place*, its own while it is open, so that who keeps something per call finds it without a search.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct CallId(pub u64);

const CLOSED: u64 = 1 << 63;

/// 16 million calls at once, a million million in all.
const PLACE_BITS: u32 = 24;

// === impl CallId ===

impl CallId {
    /// Places are below this.
    pub const PLACES: usize = 1 << PLACE_BITS;

    /// The call with this serial number, at a place that no other open call has.
    #[inline]
    pub const fn at_place(place: usize, serial: u64) -> Self {
        Self(serial << PLACE_BITS | (place % Self::PLACES) as u64)
    }

    /// Its place.
    #[inline]
    pub const fn place(self) -> usize {
        self.0 as usize % Self::PLACES
    }
}

// === impl RequestId ===

impl RequestId {
    /// The `seq`-th request of an open loop, from 0.
    pub const fn open(seq: u64) -> Self {
        Self(seq & !CLOSED)
    }

    /// Round `round` (from 0) of user `user` (from 0; below 2³¹) in a closed loop.
    pub const fn closed(user: u32, round: u32) -> Self {
        Self(CLOSED | (user as u64) << 32 | round as u64)
    }

    /// User and round, if this is a closed loop's request.
    pub const fn user_and_round(self) -> Option<(u32, u32)> {
        if self.0 & CLOSED == 0 { None } else { Some((((self.0 & !CLOSED) >> 32) as u32, self.0 as u32)) }
    }
}

// === impl HostId ===

impl fmt::Display for HostId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

// === impl TargetId ===

impl fmt::Display for TargetId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "t-{:03}", self.0)
    }
}

/// A string that does not name a target.
#[derive(Debug, thiserror::Error)]
#[error("{0:?} is not a target name: expected t-<number from 1>")]
pub struct NotATarget(String);

impl FromStr for TargetId {
    type Err = NotATarget;
    fn from_str(s: &str) -> Result<Self, NotATarget> {
        s.strip_prefix("t-")
            .and_then(|n| n.parse().ok())
            .filter(|n| *n > 0)
            .map(Self)
            .ok_or_else(|| NotATarget(s.to_owned()))
    }
}

impl Serialize for TargetId {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for TargetId {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        String::deserialize(d)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_round_trip() {
        assert_eq!(TargetId(3).to_string(), "t-003");
        assert_eq!("t-1024".parse::<TargetId>().unwrap(), TargetId(1024));
        assert!("t-0".parse::<TargetId>().is_err());
        assert!("3".parse::<TargetId>().is_err());
        assert_eq!(RequestId::closed(7, 9).user_and_round(), Some((7, 9)));
        assert_eq!(RequestId::open(9).user_and_round(), None);
        assert_eq!(CallId::at_place(5, 9).place(), 5);
        assert_ne!(CallId::at_place(5, 9), CallId::at_place(5, 8));
    }
}
