//! What the connections of clients share, and what the parts of one connection know of each other: how many requests are
//! in flight, whether the host drains, whether a connection is used. One thread, no lock.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::future::poll_fn;
use std::io;
use std::net::IpAddr;
use std::rc::{Rc, Weak};
use std::task::{Poll, Waker};

use http::{HeaderValue, Response};
use slab::Slab;

use crate::interim::Interim;
use crate::limits::{self, ClientLimits};
use crate::parking::Parking;
use crate::proxy::Proxy;
use crate::turns::Turns;

/// What all client connections of a host share.
pub(crate) struct Front {
    /// The host.
    pub(crate) proxy: Rc<Proxy>,
    /// What it bears of a client.
    pub(crate) limits: ClientLimits,
    max_in_flight: usize,
    in_flight: Cell<usize>,
    draining: Cell<bool>,
    /// Those that are served.
    connections: RefCell<Slab<Weak<Client>>>,
    /// Those that are not, until they have a request.
    pub(crate) parking: Parking,
    turns: Rc<Turns>,
}

/// One client connection.
pub(crate) struct Client {
    /// What it shares with others.
    pub(crate) front: Rc<Front>,
    /// Where it comes from.
    pub(crate) peer: IpAddr,
    /// The same for `X-Forwarded-For`, made once.
    pub(crate) forwarded_for: HeaderValue,
    key: usize,
    task: Waker,
    http2: Cell<bool>,
    /// Requests whose response is not complete: of HTTP/1.1 one at most.
    ongoing: Cell<u32>,
    served: Cell<u64>,
    /// Requests that it took back before they were answered.
    taken_back: Cell<u32>,
    /// Bytes came, and no request's head has been complete since.
    heading: Cell<bool>,
    /// Writing stands still.
    stalled: Cell<bool>,
    written: Cell<u64>,
    /// Bytes that it may move.
    turn: Cell<usize>,
    /// It waits for a turn.
    in_turn: Cell<bool>,
    lingers: Cell<bool>,
    /// There is an answer that has not been written in full.
    answering: Cell<bool>,
    unasked: Cell<bool>,
    doomed: Cell<bool>,
    /// What it waited for when it was looked at.
    seen: Cell<Waiting>,
    /// It has been idle for long enough to be parked.
    asked_to_park: Cell<bool>,
    /// The HTTP library is to let go of the connection, not to end it.
    lets_go: Cell<bool>,
    /// To be sent before its next answer.
    pub(crate) interim: RefCell<Interim>,
}

/// A request in flight, until its response is complete.
#[derive(Debug)]
pub(crate) struct Ongoing {
    client: Rc<Client>,
    answered: bool,
}

/// What a connection waits for, and since when: two that are equal are one and the same wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Waiting {
    /// For a request, after so many.
    Idle(u64),
    /// For the rest of a request's head, after so many requests.
    Head(u64),
    /// For the client to read, after so many writes.
    Stalled(u64),
    /// For a response.
    Target,
}

// === impl Front ===

impl Front {
    /// Of a host that has room for so many requests at once.
    pub(crate) fn new(proxy: Rc<Proxy>, limits: ClientLimits, max_in_flight: usize) -> io::Result<Rc<Self>> {
        let parking = Parking::new(proxy.outside.metrics.parked.clone())?;
        let (in_flight, draining, connections) = (Cell::new(0), Cell::new(false), RefCell::default());
        let turns = Rc::default();
        Ok(Rc::new(Self { proxy, limits, max_in_flight, in_flight, draining, connections, parking, turns }))
    }

    /// No further requests: every connection ends as soon as it can.
    pub(crate) fn drain(&self) {
        self.draining.set(true);
        self.parking.clear();
        self.each(|client| client.task.wake_by_ref());
    }

    /// Asks those to park that have been idle since the last look.
    pub(crate) fn look(&self) {
        self.each(Client::look);
    }

    /// How many are served.
    pub(crate) fn serving(&self) -> usize {
        self.connections.borrow().len()
    }

    fn each(&self, mut see: impl FnMut(&Client)) {
        self.connections.borrow().iter().filter_map(|(_, client)| client.upgrade()).for_each(|client| see(&client));
    }

    /// There was no room for a request.
    fn overloaded(&self) {
        let overloaded = &self.proxy.outside.metrics.overloaded;
        if overloaded.get() == 0 {
            tracing::warn!(
                "{} requests are in flight, and the limit on descriptors allows no more: further ones are turned away",
                self.max_in_flight
            );
        }
        overloaded.inc();
    }

    /// Whether the host takes no further requests.
    pub(crate) fn draining(&self) -> bool {
        self.draining.get()
    }
}

impl fmt::Debug for Front {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Front")
            .field("in_flight", &self.in_flight)
            .field("draining", &self.draining)
            .finish_non_exhaustive()
    }
}

// === impl Client ===

impl Client {
    /// A connection whose task is this one, after so many requests.
    pub(crate) async fn enter(front: &Rc<Front>, peer: IpAddr, served: u64) -> Rc<Self> {
        let task = poll_fn(|cx| Poll::Ready(cx.waker().clone())).await;
        let forwarded_for = HeaderValue::from_str(&peer.to_string()).expect("an address is ASCII");
        let enter = |this: &Weak<Self>| front.connections.borrow_mut().insert(this.clone());
        Rc::new_cyclic(|this| Self {
            key: enter(this),
            front: Rc::clone(front),
            peer,
            forwarded_for,
            task,
            http2: Cell::default(),
            ongoing: Cell::default(),
            served: Cell::new(served),
            taken_back: Cell::default(),
            heading: Cell::default(),
            stalled: Cell::default(),
            written: Cell::default(),
            turn: Cell::new(limits::FREE_BYTES),
            in_turn: Cell::default(),
            lingers: Cell::default(),
            answering: Cell::default(),
            unasked: Cell::default(),
            doomed: Cell::default(),
            seen: Cell::new(Waiting::Target),
            asked_to_park: Cell::default(),
            lets_go: Cell::default(),
            interim: RefCell::default(),
        })
    }

    /// Its task.
    pub(crate) fn task(&self) -> &Waker {
        &self.task
    }

    /// Requests so far, those before it was parked included.
    pub(crate) fn served(&self) -> u64 {
        self.served.get()
    }

    /// It speaks HTTP/2: requests overlap, and answers do not end the connection.
    pub(crate) fn speaks_http2(&self) {
        self.http2.set(true);
    }

    /// Whether it speaks HTTP/2.
    pub(crate) fn http2(&self) -> bool {
        self.http2.get()
    }

    /// Bytes came from it.
    pub(crate) fn read(&self) {
        self.heading.set(true);
    }

    /// It took bytes, or would not.
    pub(crate) fn wrote(&self, taken: bool) {
        self.stalled.set(!taken);
        if taken {
            self.written.set(self.written.get() + 1);
        }
    }

    /// So many bytes came from it, or went to it.
    pub(crate) fn moved(&self, bytes: usize) {
        self.turn.set(self.turn.get().saturating_sub(bytes));
    }

    /// Ready when it may move more; else its task is woken then.
    pub(crate) fn poll_turn(self: &Rc<Self>) -> Poll<()> {
        if self.turn.get() > 0 {
            return Poll::Ready(());
        }
        if !self.in_turn.replace(true) {
            self.front.turns.wait(self);
        }
        Poll::Pending
    }

    /// It may move more.
    pub(crate) fn has_a_turn(&self) {
        self.in_turn.set(false);
        self.turn.set(limits::TURN_BYTES);
        self.task.wake_by_ref();
    }

    /// What a target says before its answer. It would be part of an earlier answer if some of that had not been written.
    pub(crate) fn tell(&self, interim: Response<()>) {
        if !self.stalled.get() {
            self.interim.borrow_mut().add(interim);
        }
    }

    /// All that was to be written is.
    pub(crate) fn flushed(&self) {
        self.answering.set(self.ongoing.get() > 0);
    }

    /// Whether what is to be written answers no request: then the HTTP library speaks for itself, about what it cannot parse.
    pub(crate) fn speaks_unasked(&self) -> bool {
        let unasked = !self.answering.get() && !self.http2();
        self.unasked.set(self.unasked.get() || unasked);
        unasked
    }

    /// Whether that has happened.
    pub(crate) fn unasked(&self) -> bool {
        self.unasked.get()
    }

    /// A request is answered before all of it was read: the connection must not be reset before the answer was.
    pub(crate) fn leave_unread(&self) {
        self.lingers.set(true);
    }

    /// Whether it may still send what nobody will read.
    pub(crate) fn lingers(&self) -> bool {
        self.lingers.get()
    }

    /// It took a request back. A connection that does little else is closed: each costs it nothing, and a target a connection.
    fn took_back(&self) {
        let taken_back = self.taken_back.get() + 1;
        self.taken_back.set(taken_back);
        if taken_back > limits::TAKEN_BACK && u64::from(taken_back) * 2 > self.served.get() {
            self.doom();
        }
    }

    /// It holds up what is over: its connection is closed.
    pub(crate) fn doom(&self) {
        self.doomed.set(true);
        self.task.wake_by_ref();
    }

    /// Whether its connection is to be closed at once.
    pub(crate) fn doomed(&self) -> bool {
        self.doomed.get()
    }

    /// Asks its task to park if it has been idle since the last look.
    fn look(&self) {
        let seen = self.seen.replace(self.waiting());
        if seen == self.waiting() && self.idle() && !self.http2() {
            self.asked_to_park.set(true);
            self.task.wake_by_ref();
        }
    }

    /// Whether it was asked to park since this was last asked.
    pub(crate) fn asked_to_park(&self) -> bool {
        self.asked_to_park.take()
    }

    /// Whether nothing is to be done for it. Of the last request nothing was left unread, which the next one would come behind.
    pub(crate) fn idle(&self) -> bool {
        matches!(self.waiting(), Waiting::Idle(_)) && !self.lingers()
    }

    /// Whether the HTTP library only lets go of the connection when it ends it.
    pub(crate) fn lets_go(&self) -> bool {
        self.lets_go.get()
    }

    /// From now on it does, or does not.
    pub(crate) fn let_go(&self, lets_go: bool) {
        self.lets_go.set(lets_go);
    }

    /// What it waits for.
    pub(crate) fn waiting(&self) -> Waiting {
        if self.stalled.get() {
            Waiting::Stalled(self.written.get())
        } else if self.ongoing.get() > 0 {
            Waiting::Target
        } else if self.heading.get() && !self.http2() {
            Waiting::Head(self.served.get())
        } else {
            Waiting::Idle(self.served.get())
        }
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.front.connections.borrow_mut().remove(self.key);
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("peer", &self.peer).field("waiting", &self.waiting()).finish_non_exhaustive()
    }
}

// === impl Ongoing ===

impl Ongoing {
    /// The head of a request is complete; nothing if the process has no room for it.
    pub(crate) fn begin(client: &Rc<Client>) -> Option<Self> {
        client.heading.set(false);
        // The request before was read: this one came behind it.
        client.lingers.set(false);
        client.answering.set(true);
        client.turn.set(limits::FREE_BYTES);
        client.served.set(client.served.get() + 1);
        let in_flight = &client.front.in_flight;
        if in_flight.get() >= client.front.max_in_flight {
            client.front.overloaded();
            return None;
        }
        in_flight.set(in_flight.get() + 1);
        client.ongoing.set(client.ongoing.get() + 1);
        Some(Self { client: Rc::clone(client), answered: false })
    }

    /// There is a response.
    pub(crate) fn answered(mut self) -> Self {
        self.answered = true;
        self
    }

    /// Whose request it is.
    pub(crate) fn client(&self) -> &Rc<Client> {
        &self.client
    }
}

impl Drop for Ongoing {
    fn drop(&mut self) {
        let Client { front, ongoing, heading, .. } = &*self.client;
        front.in_flight.set(front.in_flight.get() - 1);
        ongoing.set(ongoing.get() - 1);
        // What came meanwhile was the request's body.
        heading.set(false);
        if !self.answered {
            self.client.took_back();
        }
    }
}
