//! Connections that move much take turns, one at a time, so that one that moves little does not wait for all of them.
//!
//! Some bytes per request each moves as it likes. For more it waits for a turn, which lasts for so many bytes; between two turns
//! everything else has been looked at that has something to do.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::{Rc, Weak};

use tokio::task::{spawn_local, yield_now};

use crate::front::Client;

/// Who waits for a turn.
#[derive(Debug, Default)]
pub(crate) struct Turns {
    waiting: RefCell<VecDeque<Weak<Client>>>,
    /// There is a task that gives them.
    given: Cell<bool>,
}

// === impl Turns ===

impl Turns {
    /// Tells this client when it has one.
    pub(crate) fn wait(self: &Rc<Self>, client: &Rc<Client>) {
        self.waiting.borrow_mut().push_back(Rc::downgrade(client));
        if !self.given.replace(true) {
            spawn_local(Rc::clone(self).give());
        }
    }

    async fn give(self: Rc<Self>) {
        while let Some(client) = self.next() {
            if let Some(client) = client.upgrade() {
                client.has_a_turn();
                // Comes back when the others have run, and the sockets have been asked.
                yield_now().await;
            }
        }
        self.given.set(false);
    }

    fn next(&self) -> Option<Weak<Client>> {
        self.waiting.borrow_mut().pop_front()
    }
}
