//! Waiting for the first of many descriptors on which bytes come, by one task.
//!
//! A descriptor of tokio's costs a record of its reactor and a task that waits, together some 700 bytes. Here it costs what
//! the kernel keeps (`epoll(7)`), and its owner a key.

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};

use rustix::event::Timespec;
use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// Descriptors told of at once: the other tasks of the thread have their turn in between.
const AT_ONCE: usize = 64;

/// A set of descriptors, each under a key. One that is closed is in it no more.
#[derive(Debug)]
pub struct Readiness {
    epoll: AsyncFd<OwnedFd>,
}

impl Readiness {
    /// An empty set. Must be called within a tokio runtime.
    pub fn new() -> io::Result<Self> {
        let epoll = epoll::create(CreateFlags::CLOEXEC)?;
        // SAFETY: an `OwnedFd` is the same open descriptor for as long as it lives, and the `AsyncFd` owns it.
        let epoll = unsafe { AsyncFd::register_with_interest(epoll, Interest::READABLE) }?;
        Ok(Self { epoll })
    }

    /// Waits for it as well. What has come before is not missed.
    pub fn add(&self, descriptor: impl AsFd, key: usize) -> io::Result<()> {
        let key = EventData::new_u64(key as u64);
        Ok(epoll::add(&self.epoll, descriptor, key, EventFlags::IN | EventFlags::RDHUP)?)
    }

    /// Waits for it no longer.
    pub fn remove(&self, descriptor: impl AsFd) -> io::Result<()> {
        Ok(epoll::delete(&self.epoll, descriptor)?)
    }

    /// Waits until there is something to read, an end or an error on some of them, and tells their keys. One that is neither
    /// read nor removed is told again. It may also have nothing to tell.
    pub async fn ready(&self, mut tell: impl FnMut(usize)) -> io::Result<()> {
        let mut events = [MaybeUninit::<Event>::uninit(); AT_ONCE];
        let mut readable = self.epoll.readable().await?;
        let (events, _) = epoll::wait(&self.epoll, &mut events, Some(&Timespec::default()))?;
        // Not before: the reactor would learn no more of those that were not read.
        if events.is_empty() {
            readable.clear_ready();
        }
        events.iter().for_each(|event| tell(event.data.u64() as usize));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::os::unix::net::UnixStream;

    use super::*;

    async fn ready(set: &Readiness) -> Vec<usize> {
        let mut keys = Vec::new();
        while keys.is_empty() {
            set.ready(|key| keys.push(key)).await.unwrap();
        }
        keys.sort_unstable();
        keys
    }

    #[tokio::test]
    async fn what_can_be_read_is_told_until_it_is_read() {
        let set = Readiness::new().unwrap();
        let mut pairs: Vec<_> = (0..200).map(|_| UnixStream::pair().unwrap()).collect();
        pairs[7].1.write_all(b"x").unwrap();
        for (key, (ours, _)) in pairs.iter().enumerate() {
            set.add(ours, key).unwrap();
        }
        assert_eq!(ready(&set).await, [7], "written before it was added");
        assert_eq!(ready(&set).await, [7]);
        pairs[7].0.read_exact(&mut [0]).unwrap();

        // More than are told at once, an end among them.
        for (_, theirs) in &mut pairs[1..] {
            theirs.write_all(b"x").unwrap();
        }
        drop(std::mem::replace(&mut pairs[0].1, UnixStream::pair().unwrap().0));
        let mut told = Vec::new();
        while told.len() < pairs.len() {
            for key in ready(&set).await {
                set.remove(&pairs[key].0).unwrap();
                told.push(key);
            }
        }
        told.sort_unstable();
        assert_eq!(told, (0..200).collect::<Vec<_>>());
        assert!(futures_util::FutureExt::now_or_never(ready(&set)).is_none());
    }
}
