//! The users of a closed loop, or those who come and go in sessions: who sends next and when, and how each of them ends.
//!
//! A state machine without I/O, so that the load generator and the simulator move the same users. It does not decide what
//! a request asks for (see [`crate::plan`]) nor how it ended.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use serde::{Deserialize, Serialize};

use crate::arrivals::Arrivals;
use crate::ids::RequestId;
use crate::outcome::Outcome;
use crate::plan::Plan;
use crate::scenario::{ClosedLoop, OnError, Population, Scenario, TrafficModel};
use crate::time::Nanos;

/// The users of one run.
#[derive(Debug)]
pub struct Users {
    plan: Plan,
    on_error: OnError,
    /// Requests that may still be sent; none: no budget.
    budget: Option<u64>,
    /// Nothing is sent that is due then or later.
    horizon: Nanos,
    /// Sessions that have not begun; none: there are no sessions.
    sessions: Option<Arrivals>,
    /// The user of the next one, who is among the waiting already.
    announced: Option<u32>,
    /// Users between two requests, by time and then by order of insertion. Of sessions to come, the next one.
    waiting: BinaryHeap<Reverse<Waiting>>,
    inserted: u64,
    /// When the last request was due that was sent, and how many were due at that very time.
    last_due: Nanos,
    due_together: u64,
    next_user: u32,
    in_flight: u32,
    cancelled: u64,
    completed: u64,
}

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Waiting {
    at: Nanos,
    order: u64,
    user: u32,
    round: u32,
}

/// What the users do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UserStep {
    /// This request goes out now; it was due at `at`.
    Send {
        /// User and round.
        request: RequestId,
        /// When it was due: at the end of the think time.
        at: Nanos,
    },
    /// Nothing before then, unless a request ends first.
    Wait(Nanos),
    /// Nothing more will be sent.
    Over,
}

/// A hundred times as many as there can be targets: round robin may ask one after the other before it finds a free slot.
const MOST_TOGETHER: u64 = 100_000;
/// All users may begin at one instant, and find a slot at their second or third attempt.
const MOST_TOGETHER_PER_USER: u64 = 10;

/// How many users ended how.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserEnds {
    /// The budget was used up.
    pub budget_exhausted: u64,
    /// The time was over.
    pub horizon: u64,
    /// By an error (`on_error` other than `continue`), or because the run was stopped.
    pub cancelled: u64,
    /// Still waiting for a response when the run ended.
    pub unfinished: u64,
    /// Sessions that were over.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub completed: u64,
}

// === impl Users ===

impl Users {
    /// The users of this scenario; none if it is not a closed loop.
    pub fn new(scenario: &Scenario) -> Option<Self> {
        let TrafficModel::Closed(ClosedLoop { population, num_requests, on_error, .. }) = &scenario.traffic.model
        else {
            return None;
        };
        let plan = Plan::new(scenario);
        let fixed = match population {
            Population::Fixed(users) => *users,
            Population::Sessions { .. } => 0,
        };
        let mut users = Self {
            sessions: plan.sessions(),
            announced: None,
            plan,
            on_error: *on_error,
            budget: *num_requests,
            horizon: scenario.simulation.duration,
            waiting: BinaryHeap::new(),
            inserted: 0,
            last_due: Nanos::ZERO,
            due_together: 0,
            next_user: fixed,
            in_flight: 0,
            cancelled: 0,
            completed: 0,
        };
        for user in 0..fixed {
            users.insert(users.plan.user_start(user), user, 0);
        }
        users.next_session();
        Some(users)
    }

    /// What happens next, at `now`. A request that it returns is out of the budget and in flight.
    pub fn next(&mut self, now: Nanos) -> UserStep {
        if self.budget == Some(0) {
            return UserStep::Over;
        }
        let due = self.waiting.peek().map(|Reverse(first)| first.at).filter(|at| *at < self.horizon);
        match due {
            Some(at) if at <= now => self.send(),
            Some(at) => UserStep::Wait(at),
            None if self.in_flight > 0 && now < self.horizon => UserStep::Wait(self.horizon),
            None => UserStep::Over,
        }
    }

    /// A request that was sent has ended, at `now`.
    pub fn ended(&mut self, request: RequestId, outcome: Outcome, now: Nanos) {
        let Some((user, round)) = request.user_and_round() else { return };
        self.in_flight = self.in_flight.saturating_sub(1);
        match self.on_error {
            OnError::Cancel if outcome != Outcome::Ok => self.cancelled += 1,
            OnError::Replace if outcome != Outcome::Ok => {
                self.cancelled += 1;
                self.begin(now);
            }
            _ if !self.plan.goes_on(request) => self.completed += 1,
            _ => self.insert(now + self.plan.think_time(request), user, round + 1),
        }
    }

    /// The users are answered in no time, and send again without end while time stands still: a hundred thousand requests were due
    /// at one instant, and ten more for each user there is. A fleet that has room for a user shows it sooner.
    #[inline]
    pub fn go_round(&self) -> bool {
        self.due_together > MOST_TOGETHER && self.due_together > self.most_together()
    }

    fn most_together(&self) -> u64 {
        let replaced = if self.on_error == OnError::Replace { self.cancelled } else { 0 };
        MOST_TOGETHER + MOST_TOGETHER_PER_USER * u64::from(self.next_user).saturating_sub(replaced)
    }

    /// How the users ended, if the run ends here.
    pub fn ends(&self) -> UserEnds {
        let late = self.waiting.iter().filter(|Reverse(w)| w.at >= self.horizon).count() as u64;
        // A session that has not begun has not ended.
        let waiting = self.waiting.len() as u64 - u64::from(self.announced.is_some());
        let mut ends = UserEnds {
            cancelled: self.cancelled,
            completed: self.completed,
            unfinished: u64::from(self.in_flight),
            ..UserEnds::default()
        };
        match self.budget {
            Some(0) => ends.budget_exhausted = waiting,
            _ => {
                ends.horizon = late;
                ends.cancelled += waiting.saturating_sub(late);
            }
        }
        ends
    }

    fn send(&mut self) -> UserStep {
        let Some(Reverse(Waiting { at, user, round, .. })) = self.waiting.pop() else { return UserStep::Over };
        self.budget = self.budget.map(|left| left - 1);
        self.in_flight += 1;
        self.due_together = if at == self.last_due { self.due_together + 1 } else { 1 };
        self.last_due = at;
        if self.announced == Some(user) {
            self.next_session();
        }
        UserStep::Send { request: RequestId::closed(user, round), at }
    }

    fn next_session(&mut self) {
        let next = self.sessions.as_mut().and_then(Iterator::next);
        self.announced = next.map(|at| self.begin(at));
    }

    fn begin(&mut self, at: Nanos) -> u32 {
        let user = self.next_user;
        self.insert(at, user, 0);
        self.next_user += 1;
        user
    }

    fn insert(&mut self, at: Nanos, user: u32, round: u32) {
        self.waiting.push(Reverse(Waiting { at, order: self.inserted, user, round }));
        self.inserted += 1;
    }
}

#[allow(clippy::trivially_copy_pass_by_ref)] // Serde calls it so.
fn is_zero(n: &u64) -> bool {
    *n == 0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dist::Dist;
    use crate::outcome::FailReason;
    use crate::scenario::{Arrival, ArrivalProcess, Ramp};

    const SERVICE: Nanos = Nanos::from_millis(10);

    fn scenario(users: u32, think_ms: f64, budget: Option<u64>, on_error: OnError) -> Scenario {
        let mut scenario = Scenario::default();
        scenario.simulation.duration = Nanos::from_millis(1_000);
        scenario.traffic.model = TrafficModel::Closed(ClosedLoop {
            population: Population::Fixed(users),
            think_time_ms: Dist::Deterministic { value: think_ms },
            num_requests: budget,
            on_error,
        });
        scenario
    }

    /// Runs the users against a server that answers every request after [`SERVICE`] with what `outcome` says. Returns who
    /// sent when, and how the users ended.
    fn play(scenario: &Scenario, outcome: impl Fn(u32, u32) -> Outcome) -> (Vec<(Nanos, u32, u32)>, UserEnds) {
        let mut users = Users::new(scenario).unwrap();
        let (mut now, mut sent, mut busy) = (Nanos::ZERO, Vec::new(), std::collections::VecDeque::new());
        loop {
            let step = users.next(now);
            let until = match step {
                UserStep::Send { request, at } => {
                    let (user, round) = request.user_and_round().unwrap();
                    assert!(at <= now);
                    sent.push((now, user, round));
                    busy.push_back((now + SERVICE, request));
                    continue;
                }
                UserStep::Wait(until) => until,
                UserStep::Over => Nanos::MAX,
            };
            match busy.front().copied() {
                Some((end, request)) if end <= until => {
                    busy.pop_front();
                    now = end;
                    let (user, round) = request.user_and_round().unwrap();
                    users.ended(request, outcome(user, round), now);
                }
                _ if step == UserStep::Over => return (sent, users.ends()),
                _ => now = until,
            }
        }
    }

    #[test]
    fn users_start_one_after_the_other_and_send_after_response_and_think_time() {
        let (sent, ends) = play(&scenario(2, 40.0, Some(6), OnError::Continue), |_, _| Outcome::Ok);
        let expected = [(0, 0, 0), (20, 1, 0), (50, 0, 1), (70, 1, 1), (100, 0, 2), (120, 1, 2)];
        assert_eq!(sent, expected.map(|(ms, user, round)| (Nanos::from_millis(ms), user, round)));
        assert_eq!(ends, UserEnds { budget_exhausted: 2, ..UserEnds::default() });
    }

    #[test]
    fn the_budget_is_taken_before_sending() {
        let (sent, ends) = play(&scenario(200, 0.0, Some(100), OnError::Continue), |_, _| Outcome::Ok);
        assert_eq!(sent.len(), 100);
        assert!(sent.iter().all(|(at, _, round)| *at == Nanos::ZERO && *round == 0));
        assert_eq!(ends.budget_exhausted, 200);
    }

    #[test]
    fn nothing_is_sent_that_is_due_at_the_horizon() {
        // Cycles of 50 ms in 1000 ms: 20 rounds.
        let (sent, ends) = play(&scenario(1, 40.0, None, OnError::Continue), |_, _| Outcome::Ok);
        assert_eq!(sent.len(), 20);
        assert_eq!(sent.last().unwrap().0, Nanos::from_millis(950));
        assert_eq!(ends, UserEnds { horizon: 1, ..UserEnds::default() });
    }

    #[test]
    fn an_error_silences_a_user_only_when_asked_to() {
        let failing = |user, round| {
            if user == 0 && round == 1 { Outcome::Failed(FailReason::Reset) } else { Outcome::Ok }
        };
        let users_of = |sent: &[(Nanos, u32, u32)], user| sent.iter().filter(|(_, u, _)| *u == user).count();

        let (sent, ends) = play(&scenario(2, 40.0, Some(10), OnError::Continue), failing);
        assert_eq!((sent.len(), users_of(&sent, 0), ends.cancelled), (10, 5, 0));

        let (sent, ends) = play(&scenario(2, 40.0, Some(10), OnError::Cancel), failing);
        assert_eq!((users_of(&sent, 0), users_of(&sent, 1)), (2, 8));
        assert_eq!((ends.cancelled, ends.budget_exhausted), (1, 1));

        let (sent, ends) = play(&scenario(2, 40.0, Some(10), OnError::Replace), failing);
        let replacement = sent.iter().find(|(_, user, _)| *user == 2).unwrap();
        assert_eq!(*replacement, (Nanos::from_millis(60), 2, 0), "at once, with a number of its own");
        assert_eq!((ends.cancelled, ends.budget_exhausted), (1, 2));
    }

    /// What the users send before they are found to go round, answered with `outcome` at once; none: they are not.
    fn sent_before_going_round(scenario: &Scenario, outcome: Outcome) -> Option<u64> {
        let mut users = Users::new(scenario).unwrap();
        let (mut now, mut sent) = (Nanos::ZERO, 0);
        while !users.go_round() {
            match users.next(now) {
                UserStep::Send { request, .. } => {
                    sent += 1;
                    users.ended(request, outcome, now);
                }
                UserStep::Wait(until) => now = until,
                UserStep::Over => return None,
            }
        }
        Some(sent)
    }

    #[test]
    fn users_that_are_answered_in_no_time_are_found_to_go_round() {
        let failed = Outcome::Failed(FailReason::Http);
        for on_error in [OnError::Continue, OnError::Replace] {
            for users in [1, 1_000, 10_000] {
                let found = sent_before_going_round(&scenario(users, 0.0, None, on_error), failed);
                assert_eq!(found, Some(100_000 + 10 * u64::from(users) + 1), "{users} users, {on_error:?}");
            }
        }
        let ends = |scenario: &Scenario| assert_eq!(sent_before_going_round(scenario, failed), None);
        ends(&scenario(1_000, 0.0, None, OnError::Cancel));
        ends(&scenario(2, 0.0, Some(100_000), OnError::Continue));
        // Time passes, a thousandth of a millisecond at a time.
        ends(&scenario(2, 0.001, None, OnError::Continue));
    }

    #[test]
    fn users_in_flight_are_unfinished_and_stopped_ones_cancelled() {
        let scenario = scenario(2, 40.0, None, OnError::Continue);
        let mut users = Users::new(&scenario).unwrap();
        assert!(matches!(users.next(Nanos::ZERO), UserStep::Send { .. }));
        assert_eq!(users.ends(), UserEnds { unfinished: 1, cancelled: 1, ..UserEnds::default() });
    }

    fn sessions(mean_requests: f64, think_ms: f64, budget: Option<u64>) -> Scenario {
        let mut scenario = scenario(1, think_ms, budget, OnError::Continue);
        let TrafficModel::Closed(users) = &mut scenario.traffic.model else { unreachable!() };
        users.population = Population::Sessions {
            arrival: Arrival {
                process: ArrivalProcess::Deterministic { interval_ms: 1.0 },
                count: None,
                ramp: Ramp::None,
            },
            mean_requests,
        };
        scenario
    }

    #[test]
    fn sessions_come_in_time_and_have_a_geometric_number_of_requests() {
        let scenario = sessions(4.0, 2.0, None);
        let (sent, ends) = play(&scenario, |_, _| Outcome::Ok);
        let begun: Vec<(Nanos, u32)> =
            sent.iter().filter(|(_, _, round)| *round == 0).map(|(at, user, _)| (*at, *user)).collect();
        assert_eq!(begun, (0..1000).map(|user| (Nanos::from_millis(u64::from(user)), user)).collect::<Vec<_>>());
        let mut lengths = vec![0_u32; 1000];
        sent.iter().for_each(|(_, user, round)| lengths[*user as usize] = round + 1);
        // Of the sessions that had time for 30 requests; their mean has a standard deviation of √12 / √640 = 0.14.
        let early = &lengths[..640];
        let mean = f64::from(early.iter().sum::<u32>()) / early.len() as f64;
        assert!((mean - 4.0).abs() < 0.55, "{mean}");
        let once = early.iter().filter(|n| **n == 1).count() as f64 / early.len() as f64;
        assert!((once - 0.25).abs() < 0.07, "a quarter ends after the first request: {once}");
        assert_eq!(ends.completed + ends.horizon + ends.unfinished + ends.cancelled, 1000);
        assert!(ends.completed > 900 && ends.cancelled == 0, "{ends:?}");
    }

    #[test]
    fn sessions_share_a_budget_and_those_to_come_have_not_ended() {
        let (sent, ends) = play(&sessions(1.0, 0.0, Some(5)), |_, _| Outcome::Ok);
        assert_eq!(sent.len(), 5);
        assert_eq!(ends, UserEnds { completed: 5, ..UserEnds::default() });
    }
}
