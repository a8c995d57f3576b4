//! How many requests a target accepted within the idle window, without a log of them all.
//!
//! The idle rule of round robin only asks whether there were fewer than the threshold K, so the last K acceptance times say
//! everything. The target keeps one of these, and so does the simulator for each of its targets.

use std::collections::VecDeque;

use crate::time::Nanos;

/// The times of the last K acceptances.
#[derive(Clone, Debug)]
pub struct AcceptWindow {
    last: VecDeque<Nanos>,
    threshold: usize,
}

impl AcceptWindow {
    /// With the threshold K. With 0 nothing is kept and every count is 0: idle scans are off.
    pub fn new(threshold: u32) -> Self {
        Self { last: VecDeque::new(), threshold: threshold as usize }
    }

    /// A request was accepted. Times must not go back.
    #[inline(always)]
    pub fn accept(&mut self, now: Nanos) {
        if self.threshold == 0 {
            return;
        }
        if self.last.len() == self.threshold {
            self.last.pop_front();
        }
        self.last.push_back(now);
    }

    /// Acceptances within `(now − window, now]`, counted up to K.
    pub fn count(&self, now: Nanos, window: Nanos) -> u32 {
        let before = self.last.partition_point(|&at| at + window <= now);
        (self.last.len() - before) as u32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_counts_up_to_the_threshold_within_the_window() {
        let mut window = AcceptWindow::new(3);
        assert_eq!(window.count(Nanos(100), Nanos(10)), 0);
        for at in [10, 20, 20, 30] {
            window.accept(Nanos(at));
        }
        assert_eq!(window.count(Nanos(30), Nanos(100)), 3, "the one at 10 is forgotten: three are enough");
        assert_eq!(window.count(Nanos(30), Nanos(10)), 1, "those at 20 are just outside");
        assert_eq!(window.count(Nanos(29), Nanos(10)), 3);
        assert_eq!(window.count(Nanos(40), Nanos(10)), 0);
    }

    #[test]
    fn a_threshold_of_zero_keeps_nothing() {
        let mut window = AcceptWindow::new(0);
        window.accept(Nanos(1));
        assert_eq!(window.count(Nanos(1), Nanos::MAX), 0);
    }
}
