//! Round robin: a private list in order of target number, and a private index.

use std::collections::BTreeSet;

use super::Endpoint;
use crate::ids::{HostId, Incarnation, TargetId};
use crate::rng::{KeyedRng, Purpose};
use crate::scenario::{Scenario, StartOffset};

/// The list of one host, and where it stands in it.
#[derive(Debug)]
pub(super) struct Ring {
    list: Vec<Endpoint>,
    index: usize,
}

impl Ring {
    pub(super) fn new(scenario: &Scenario, host: HostId, members: &[Endpoint]) -> Self {
        let mut list = members.to_vec();
        list.sort_by_key(|e| e.target);
        let index = match scenario.load_balancer.rr.start_offset {
            StartOffset::Same => 0,
            StartOffset::Random => {
                let mut rng = KeyedRng::new(scenario.simulation.seed, Purpose::StartOffset, u64::from(host.0));
                rng.below(list.len() as u32) as usize
            }
        };
        Self { list, index }
    }

    pub(super) fn len(&self) -> u32 {
        self.list.len() as u32
    }

    pub(super) fn endpoints(&self) -> &[Endpoint] {
        &self.list
    }

    /// `list[index]`, then `index + 1` modulo the length; skips what is left out. `None` if nothing is left.
    #[inline(always)]
    pub(super) fn next(&mut self, left_out: &BTreeSet<TargetId>) -> Option<Endpoint> {
        for _ in 0..self.list.len() {
            let endpoint = self.list[self.index];
            // Not a remainder: a division for every attempt.
            self.index = if self.index + 1 == self.list.len() { 0 } else { self.index + 1 };
            if left_out.is_empty() || !left_out.contains(&endpoint.target) {
                return Some(endpoint);
            }
        }
        None
    }

    /// Inserts, or renews a target that came back. Inserting before the index moves it up by one.
    pub(super) fn insert(&mut self, endpoint: Endpoint) {
        match self.list.binary_search_by_key(&endpoint.target, |e| e.target) {
            Ok(at) => self.list[at] = endpoint,
            Err(at) => {
                self.list.insert(at, endpoint);
                if at < self.index {
                    self.index += 1;
                }
            }
        }
    }

    /// Removes a target, or only that process of it. Removing before the index moves it down by one; removing at the
    /// index leaves it, modulo the new length.
    pub(super) fn remove(&mut self, target: TargetId, incarnation: Option<Incarnation>) {
        let Ok(at) = self.list.binary_search_by_key(&target, |e| e.target) else {
            return;
        };
        if incarnation.is_some_and(|i| i != self.list[at].incarnation) {
            return;
        }
        self.list.remove(at);
        if at < self.index {
            self.index -= 1;
        }
        if self.index >= self.list.len() {
            self.index = 0;
        }
    }

    /// The whole fleet at once, as so many insertions and removals.
    pub(super) fn replace(&mut self, members: &[Endpoint]) {
        let gone: Vec<TargetId> =
            self.list.iter().map(|e| e.target).filter(|t| members.iter().all(|m| m.target != *t)).collect();
        gone.into_iter().for_each(|target| self.remove(target, None));
        members.iter().for_each(|endpoint| self.insert(*endpoint));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::Nanos;

    fn ring(numbers: &[u32], index: usize) -> Ring {
        Ring { list: numbers.iter().map(|n| endpoint(*n)).collect(), index }
    }

    fn endpoint(n: u32) -> Endpoint {
        Endpoint::new(TargetId(n), 0, Nanos::ZERO)
    }

    fn next(ring: &mut Ring) -> u32 {
        ring.next(&BTreeSet::new()).unwrap().target.0
    }

    #[test]
    fn insertion_before_the_index_moves_it_up() {
        let mut before = ring(&[1, 3, 5], 2);
        before.insert(endpoint(2));
        assert_eq!(next(&mut before), 5);
        let mut at = ring(&[1, 3, 5], 1);
        at.insert(endpoint(2));
        assert_eq!(next(&mut at), 2);
        let mut behind = ring(&[1, 3, 5], 1);
        behind.insert(endpoint(6));
        assert_eq!([0; 4].map(|_| next(&mut behind)), [3, 5, 6, 1]);
    }

    #[test]
    fn removal_at_the_index_leaves_it() {
        let mut r = ring(&[1, 2, 3], 1);
        r.remove(TargetId(2), None);
        assert_eq!(next(&mut r), 3);
        let mut last = ring(&[1, 2, 3], 2);
        last.remove(TargetId(3), None);
        assert_eq!(next(&mut last), 1);
        let mut before = ring(&[1, 2, 3], 2);
        before.remove(TargetId(1), None);
        assert_eq!(next(&mut before), 3);
    }

    #[test]
    fn an_old_incarnation_does_not_remove_the_new_one() {
        let mut r = ring(&[1], 0);
        r.insert(Endpoint::new(TargetId(1), 1, Nanos::ZERO));
        r.remove(TargetId(1), Some(0));
        assert_eq!(next(&mut r), 1);
        r.remove(TargetId(1), Some(1));
        assert!(r.next(&BTreeSet::new()).is_none());
    }

    #[test]
    fn what_is_left_out_is_skipped_in_turn() {
        let mut r = ring(&[1, 2, 3], 0);
        let out = BTreeSet::from([TargetId(2)]);
        let picks: Vec<u32> = (0..4).map(|_| r.next(&out).unwrap().target.0).collect();
        assert_eq!(picks, [1, 3, 1, 3]);
    }
}
