//! What a request costs a host: arrival, pick, dispatch, end, answer, on fleets of four sizes.

use divan::Bencher;
use galton_core::host::{Arrival, AttemptEnd, Effect, Endpoint, Host, Input, Ticket};
use galton_core::scenario::{Architecture, Scenario};
use galton_core::table::{BucketTable, FleetRows, RowState};
use galton_core::{CallId, HostId, Nanos, RequestId, TargetId};

fn main() {
    divan::main();
}

const FLEETS: [u32; 4] = [8, 64, 256, 1024];
/// Of 10 slots a target has, this many are busy while the bench runs.
const BUSY_PER_TARGET: usize = 5;

/// A host, and the attempts that are under way.
struct Rig {
    host: Host,
    table: BucketTable,
    tickets: Vec<Ticket>,
    calls: u64,
    fx: Vec<Effect>,
}

#[divan::bench(args = FLEETS, sample_size = 1_000)]
fn round_robin(bencher: Bencher<'_, '_>, targets: u32) {
    request(bencher, Architecture::RoundRobin, targets);
}

#[divan::bench(args = FLEETS, sample_size = 1_000)]
fn least_conns(bencher: Bencher<'_, '_>, targets: u32) {
    request(bencher, Architecture::LeastConns, targets);
}

/// One request arrives and another one ends, at a steady load.
fn request(bencher: Bencher<'_, '_>, architecture: Architecture, targets: u32) {
    let mut rig = Rig::new(architecture, targets);
    bencher.bench_local(|| {
        rig.arrive();
        rig.end_one();
    });
}

// === impl Rig ===

impl Rig {
    fn new(architecture: Architecture, targets: u32) -> Self {
        let mut scenario = Scenario::default();
        scenario.load_balancer.architecture = architecture;
        let mut table = BucketTable::new(scenario.targets.max_concurrency, 0);
        let members: Vec<_> = (1..=targets).map(|n| Endpoint::new(TargetId(n), 0, Nanos::ZERO)).collect();
        members.iter().for_each(|member| table.put(member.target, 0, RowState::Ready, Nanos::ZERO));
        let host = Host::new(HostId(0), &scenario, Nanos::ZERO, 1, &members, &mut Vec::new());
        let mut rig = Self { host, table, tickets: Vec::new(), calls: 0, fx: Vec::new() };
        (0..targets as usize * BUSY_PER_TARGET).for_each(|_| rig.arrive());
        rig
    }

    fn arrive(&mut self) {
        self.calls += 1;
        let now = Nanos(self.calls);
        let arrival = Arrival {
            call: CallId(self.calls),
            request: RequestId::open(self.calls),
            deadline: Nanos::MAX,
            idempotent: true,
        };
        self.host.on(now, Input::Arrive(arrival), &mut self.table, &mut self.fx);
        self.keep_ticket();
    }

    /// Ends one of those under way, each of which comes first as often as another.
    fn end_one(&mut self) {
        let at = (self.calls.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 33) as usize % self.tickets.len();
        let ticket = self.tickets.swap_remove(at);
        let end = Input::AttemptEnded { ticket, end: AttemptEnd::Done { ok: true } };
        self.host.on(Nanos(self.calls), end, &mut self.table, &mut self.fx);
        self.fx.clear();
    }

    fn keep_ticket(&mut self) {
        for effect in self.fx.drain(..) {
            if let Effect::Dispatch { ticket, .. } = effect {
                self.tickets.push(ticket);
            }
        }
    }
}
