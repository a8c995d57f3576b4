//! The floor of a proxy on hyper: forwards to the given addresses in turn, over connections that are kept, and does nothing
//! else. It has no limits, no retries and no end: a yardstick, not a proxy.
//!
//! `bare PORT ADDRESS…`

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use hyper::body::Incoming;
use hyper::client::conn::http1::SendRequest;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{LocalSet, spawn_local};

struct Target {
    address: String,
    idle: RefCell<Vec<SendRequest<Incoming>>>,
}

struct Targets {
    all: Vec<Target>,
    next: Cell<usize>,
}

type Error = Box<dyn std::error::Error + Send + Sync>;

fn main() -> Result<(), Error> {
    let mut args = std::env::args().skip(1);
    let port: u16 = args.next().ok_or("bare PORT ADDRESS…")?.parse()?;
    let all = args.map(|address| Target { address, idle: RefCell::default() }).collect();
    let targets = Rc::new(Targets { all, next: Cell::new(0) });
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    LocalSet::new().block_on(&runtime, serve(port, targets))
}

async fn serve(port: u16, targets: Rc<Targets>) -> Result<(), Error> {
    let listener = TcpListener::bind(("127.0.0.1", port)).await?;
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let targets = Rc::clone(&targets);
        let service = service_fn(move |request| forward(Rc::clone(&targets), request));
        let connection = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service);
        spawn_local(async move {
            // What breaks is the client's affair.
            let _ = connection.await;
        });
    }
}

async fn forward(targets: Rc<Targets>, request: Request<Incoming>) -> Result<Response<Incoming>, Error> {
    let target = &targets.all[targets.next.replace((targets.next.get() + 1) % targets.all.len())];
    let idle = target.idle.borrow_mut().pop().filter(|sender| sender.is_ready());
    let mut sender = match idle {
        Some(sender) => sender,
        None => connect(&target.address).await?,
    };
    let response = sender.send_request(request).await?;
    // The small responses of a bench are there with their head: the connection is ready again when its turn comes.
    target.idle.borrow_mut().push(sender);
    Ok(response)
}

async fn connect(address: &str) -> Result<SendRequest<Incoming>, Error> {
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let (sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    spawn_local(async move {
        // A connection that broke is not ready.
        let _ = connection.await;
    });
    Ok(sender)
}
