//! Waking the queue of another host: one empty datagram on a Unix socket beside the shared map.
//!
//! A datagram that finds the other's buffer full is dropped: so many are waiting there that one more says nothing new.

use std::io;
use std::path::{Path, PathBuf};

use galton_core::HostId;
use tokio::net::UnixDatagram;

/// This host's socket.
#[derive(Debug)]
pub(crate) struct WakeSocket {
    socket: UnixDatagram,
    /// Apart from the other: tokio's refuses to send until its reactor has looked.
    sender: std::os::unix::net::UnixDatagram,
    map: PathBuf,
    own: PathBuf,
}

// === impl WakeSocket ===

impl WakeSocket {
    /// Binds `<map>.wake-<host>`; one that a dead process left behind is replaced.
    pub(crate) fn bind(map: &Path, host: HostId) -> io::Result<Self> {
        let own = path(map, host);
        match std::fs::remove_file(&own) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let sender = std::os::unix::net::UnixDatagram::unbound()?;
        sender.set_nonblocking(true)?;
        Ok(Self { socket: UnixDatagram::bind(&own)?, sender, map: map.to_owned(), own })
    }

    /// Wakes that host. One that is gone has nobody waiting.
    pub(crate) fn send(&self, host: HostId) {
        if let Err(error) = self.sender.send_to(&[], path(&self.map, host)) {
            tracing::debug!(%host, %error, "a wake did not get through");
        }
    }

    /// Takes the socket's name away: nobody is to be woken here any more. One that is left behind, whoever starts next
    /// replaces.
    pub(crate) fn unlink(&self) {
        if let Err(error) = std::fs::remove_file(&self.own) {
            tracing::debug!(%error, "the wake socket is gone already");
        }
    }

    /// Completes when this host is woken.
    pub(crate) async fn woken(&self) -> io::Result<()> {
        self.socket.recv(&mut []).await.map(drop)
    }
}

fn path(map: &Path, host: HostId) -> PathBuf {
    let mut path = map.as_os_str().to_owned();
    path.push(format!(".wake-{host}"));
    path.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_host_is_woken_by_another_and_nobody_is_missed() {
        let dir = tempfile::tempdir().unwrap();
        let map = dir.path().join("map");
        let first = WakeSocket::bind(&map, HostId(0)).unwrap();
        let second = WakeSocket::bind(&map, HostId(1)).unwrap();
        first.send(HostId(1));
        tokio::time::timeout(std::time::Duration::from_secs(5), second.woken()).await.unwrap().unwrap();
        first.send(HostId(7));
        drop(second);
        first.send(HostId(1));
        WakeSocket::bind(&map, HostId(1)).unwrap();
    }
}
