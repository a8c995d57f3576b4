//! An HTTP/2 server for tests.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpListener;

/// A server that speaks HTTP/2 and answers at once with three bytes.
#[derive(Clone, Debug)]
pub(crate) struct Http2 {
    pub(crate) addr: SocketAddr,
    connections: Arc<Mutex<u64>>,
}

impl Http2 {
    /// Starts it; its thread ends with the process.
    pub(crate) fn start() -> Self {
        let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
        listener.set_nonblocking(true).unwrap();
        let server = Self { addr: listener.local_addr().unwrap(), connections: Arc::default() };
        let connections = server.connections.clone();
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(serve_http2(listener, connections))
        });
        server
    }

    /// Connections accepted so far.
    pub(crate) fn connections(&self) -> u64 {
        *self.connections.lock().unwrap()
    }
}

async fn serve_http2(listener: std::net::TcpListener, connections: Arc<Mutex<u64>>) {
    let listener = TcpListener::from_std(listener).unwrap();
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        *connections.lock().unwrap() += 1;
        let answer = hyper::service::service_fn(async |request: http::Request<hyper::body::Incoming>| {
            assert_eq!(request.version(), http::Version::HTTP_2);
            Ok::<_, std::convert::Infallible>(http::Response::new("yes".to_owned()))
        });
        tokio::spawn(
            hyper::server::conn::http2::Builder::new(TokioExecutor::new())
                .serve_connection(TokioIo::new(stream), answer),
        );
    }
}
