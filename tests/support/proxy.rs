//! A network path between a server and its store that can be cut, stalled, slowed, led elsewhere and tampered with.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use super::ports;

/// What the path does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    Pass,
    Stall,
    Reset,
    Refuse,
    Closed,
}

/// Which way a piece goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// From whoever connected.
    Request,
    /// From the target.
    Answer,
}

/// What becomes of a piece.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fate {
    Pass,
    /// These bytes go on in its place.
    Replace(Vec<u8>),
    /// These bytes go on in its place, and then the connection is cut, both ways.
    Cut(Vec<u8>),
}

/// Decides about every piece; one that waits holds up its own connection only.
type Filter = Arc<dyn Fn(Direction, &[u8]) -> Fate + Send + Sync>;

/// A proxy in threads of its own, from a port that stays the same to one target at a time.
pub struct Proxy {
    path: Arc<Path>,
}

struct Path {
    listen: SocketAddr,
    /// Where it led first, which is what URLs name.
    first_target: SocketAddr,
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    mode: Mode,
    target: SocketAddr,
    latency: Duration,
    filter: Option<Filter>,
    /// Whether the port is bound, so that `refuse` can wait until it is not.
    listening: bool,
    /// Both ends of every connection, to cut them.
    open: Vec<TcpStream>,
    accepted: usize,
}

impl Proxy {
    /// A path that passes everything on to `target`.
    pub fn to(target: SocketAddr) -> Self {
        let state = State {
            mode: Mode::Pass,
            target,
            latency: Duration::ZERO,
            filter: None,
            listening: false,
            open: Vec::new(),
            accepted: 0,
        };
        let path = Path {
            listen: ports::free_address(),
            first_target: target,
            state: Mutex::new(state),
            changed: Condvar::new(),
        };
        let proxy = Self { path: Arc::new(path) };
        let path = Arc::clone(&proxy.path);
        thread::spawn(move || path.serve());
        drop(proxy.path.wait_until(|state| state.listening));
        proxy
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.path.listen
    }

    /// A store's URL, leading through the proxy.
    pub fn url(&self, direct: &str) -> String {
        let port = self.path.first_target.port();
        let (before, after) = ["127.0.0.1", "localhost"]
            .iter()
            .find_map(|host| {
                direct
                    .split_once(&format!("@{host}:{port}"))
                    .or(direct.split_once(&format!("/{host}:{port}")))
            })
            .unwrap_or_else(|| panic!("{direct} does not lead to port {port} on loopback"));
        let separator = &direct[before.len()..=before.len()];
        format!("{before}{separator}{}{after}", self.path.listen)
    }

    /// Everything goes through; what was held back is delivered.
    pub fn pass(&self) {
        self.path.set(Mode::Pass);
        drop(self.path.wait_until(|state| state.listening));
    }

    /// Connections are accepted and stay open, and nothing goes through: a partition.
    pub fn stall(&self) {
        self.path.set(Mode::Stall);
        drop(self.path.wait_until(|state| state.listening));
    }

    /// Connections are cut, and new ones are cut as soon as they are accepted.
    pub fn reset(&self) {
        self.path.set(Mode::Reset);
        self.path.cut();
        drop(self.path.wait_until(|state| state.listening));
    }

    /// Connections are cut, and nobody listens any more.
    pub fn refuse(&self) {
        self.path.set(Mode::Refuse);
        self.path.cut();
        drop(self.path.wait_until(|state| !state.listening));
    }

    /// Cuts the connections of this moment; new ones pass as before.
    pub fn cut(&self) {
        self.path.cut();
    }

    /// Leads to another server from now on, as a service address does after a failover. Connections to the old one
    /// are cut; the mode stays what it is.
    pub fn retarget(&self, target: SocketAddr) {
        self.path.state().target = target;
        self.path.cut();
    }

    /// Lets `filter` decide about every piece, on open connections too.
    pub fn filter(&self, filter: impl Fn(Direction, &[u8]) -> Fate + Send + Sync + 'static) {
        self.path.state().filter = Some(Arc::new(filter));
    }

    /// Holds every piece back for so long, in each direction.
    pub fn latency(&self, latency: Duration) {
        self.path.state().latency = latency;
    }

    /// How many connections were ever accepted.
    pub fn accepted(&self) -> usize {
        self.path.state().accepted
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.path.set(Mode::Closed);
        self.path.cut();
    }
}

impl Path {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait_until(&self, condition: impl Fn(&State) -> bool) -> MutexGuard<'_, State> {
        self.changed
            .wait_while(self.state(), |state| !condition(state))
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn set(&self, mode: Mode) {
        self.state().mode = mode;
        self.changed.notify_all();
        // Wakes the listener out of `accept`, so that it sees the new mode.
        let _ = TcpStream::connect(self.listen);
    }

    fn cut(&self) {
        for stream in self.state().open.drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }

    fn serve(self: &Arc<Self>) {
        loop {
            let mode = self.wait_until(|state| state.mode != Mode::Refuse).mode;
            if mode == Mode::Closed {
                return;
            }
            let listener = TcpListener::bind(self.listen).expect("the proxy's port is its own");
            self.set_listening(true);
            self.accept_from(&listener);
            drop(listener);
            self.set_listening(false);
        }
    }

    fn set_listening(&self, listening: bool) {
        self.state().listening = listening;
        self.changed.notify_all();
    }

    fn accept_from(self: &Arc<Self>, listener: &TcpListener) {
        while let Ok((client, _)) = listener.accept() {
            let mode = self.state().mode;
            match mode {
                Mode::Refuse | Mode::Closed => return,
                Mode::Reset => drop(client),
                Mode::Pass | Mode::Stall => {
                    let path = Arc::clone(self);
                    thread::spawn(move || path.carry(client));
                }
            }
        }
    }

    fn carry(self: Arc<Self>, client: TcpStream) {
        {
            let mut state = self.state();
            state.accepted += 1;
            state.open.extend(client.try_clone());
        }
        // A stalled path does not reach the target either.
        drop(self.wait_until(|state| state.mode != Mode::Stall));
        let target = self.state().target;
        let Ok(server) = TcpStream::connect((Ipv4Addr::LOCALHOST, target.port())) else { return };
        {
            let mut state = self.state();
            if matches!(state.mode, Mode::Reset | Mode::Refuse | Mode::Closed) || state.target != target {
                return;
            }
            state.open.extend(server.try_clone());
        }
        let (Ok(from_client), Ok(to_server)) = (client.try_clone(), server.try_clone()) else { return };
        let upstream = Arc::clone(&self);
        thread::spawn(move || upstream.pump(from_client, to_server, Direction::Request));
        self.pump(server, client, Direction::Answer);
    }

    fn pump(&self, mut from: TcpStream, mut to: TcpStream, direction: Direction) {
        let _ = to.set_nodelay(true);
        let mut chunk = [0_u8; 16 * 1024];
        while let Ok(length @ 1..) = from.read(&mut chunk) {
            let (latency, filter) = {
                let state = self.wait_until(|state| state.mode != Mode::Stall);
                (state.latency, state.filter.clone())
            };
            if !latency.is_zero() {
                thread::sleep(latency);
            }
            let piece = &chunk[..length];
            let sent = match filter.map_or(Fate::Pass, |filter| filter(direction, piece)) {
                Fate::Pass => to.write_all(piece),
                Fate::Replace(bytes) => to.write_all(&bytes),
                Fate::Cut(bytes) => {
                    let _ = to.write_all(&bytes);
                    let _ = from.shutdown(Shutdown::Both);
                    break;
                }
            };
            if sent.is_err() {
                break;
            }
        }
        let _ = to.shutdown(Shutdown::Write);
        let _ = from.shutdown(Shutdown::Read);
    }
}
