//! Waking the queue of another host: one datagram on a Unix socket beside the map. It is empty for one slot that is free, or
//! says of how many.
//!
//! A socket is named after the map's id and its host's number: it is that of whoever has joined as this host, and of nobody
//! else. The address of a socket has room for 107 bytes, and the path of a directory may be longer, so names are looked up
//! through a descriptor of it. (Abstract names need no directory, but containers that share the map do not share those.)
//!
//! A datagram that finds the other's buffer full is dropped: so many are waiting there that one more says nothing new.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::sync::Arc;

use galton_core::HostId;
use rustix::fs::{AtFlags, Mode, OFlags, unlinkat};
use rustix::io::Errno;

/// The way to the sockets of a map's hosts.
#[derive(Debug)]
pub(super) struct Wakes {
    dir: OwnedFd,
    id: u64,
    /// Apart from those that receive: tokio's refuse to send until its reactor has looked.
    sender: UnixDatagram,
}

/// The socket of a host.
#[derive(Debug)]
pub struct WakeSocket {
    socket: tokio::net::UnixDatagram,
    host: HostId,
    wakes: Arc<Wakes>,
}

// === impl Wakes ===

impl Wakes {
    /// Of the map of this path and id.
    pub(super) fn open(map: &Path, id: u64) -> io::Result<Self> {
        let dir = map.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let dir = rustix::fs::open(dir, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
        let sender = UnixDatagram::unbound()?;
        sender.set_nonblocking(true)?;
        Ok(Self { dir, id, sender })
    }

    fn name(&self, host: HostId) -> String {
        format!("wake-{}-{host}", self.id)
    }

    fn address(&self, host: HostId) -> String {
        format!("/proc/self/fd/{}/{}", self.dir.as_raw_fd(), self.name(host))
    }

    /// Wakes that host. One that is gone has nobody waiting.
    pub(super) fn send(&self, host: HostId, slots: &[u8]) {
        if let Err(error) = self.sender.send_to(slots, self.address(host)) {
            tracing::debug!(%host, %error, "a wake did not get through");
        }
    }

    /// Takes the name away, if there is one. Only for whoever has the number of that host.
    pub(super) fn unlink(&self, host: HostId) {
        match unlinkat(&self.dir, self.name(host), AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => {}
            Err(error) => tracing::warn!(%host, %error, "cannot remove a wake socket"),
        }
    }
}

// === impl WakeSocket ===

impl WakeSocket {
    /// Binds the socket of a host that has joined; one that a predecessor left behind is replaced.
    pub(super) fn bind(wakes: Arc<Wakes>, host: HostId) -> io::Result<Self> {
        wakes.unlink(host);
        Ok(Self { socket: tokio::net::UnixDatagram::bind(wakes.address(host))?, host, wakes })
    }

    /// Wakes another host, for one slot.
    pub fn send(&self, host: HostId) {
        self.wakes.send(host, &[]);
    }

    /// Completes when this host is woken, with how many slots are free for it to try.
    ///
    /// # Errors
    /// The socket is broken.
    pub async fn woken(&self) -> io::Result<u32> {
        let mut slots = [0; size_of::<u32>()];
        let said = self.socket.recv(&mut slots).await?;
        Ok(if said == slots.len() { u32::from_ne_bytes(slots) } else { 1 })
    }

    /// Takes the socket's name away, when this host leaves: nobody is to be woken here any more. To be called while it still
    /// has its number; what it leaves behind, [`super::LoadMap::reap`] removes.
    pub fn unlink(&self) {
        self.wakes.unlink(self.host);
    }
}
