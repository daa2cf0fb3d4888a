//! A network path between a server and its store that can be cut, stalled and slowed.

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

/// A proxy in threads of its own, from a port that stays the same to one target.
pub struct Proxy {
    path: Arc<Path>,
}

struct Path {
    listen: SocketAddr,
    target: SocketAddr,
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    mode: Mode,
    latency: Duration,
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
            latency: Duration::ZERO,
            listening: false,
            open: Vec::new(),
            accepted: 0,
        };
        let path =
            Path { listen: ports::free_address(), target, state: Mutex::new(state), changed: Condvar::new() };
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
        let port = self.path.target.port();
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
        let Ok(server) = TcpStream::connect((Ipv4Addr::LOCALHOST, self.target.port())) else { return };
        {
            let mut state = self.state();
            if matches!(state.mode, Mode::Reset | Mode::Refuse | Mode::Closed) {
                return;
            }
            state.open.extend(server.try_clone());
        }
        let (Ok(from_client), Ok(to_server)) = (client.try_clone(), server.try_clone()) else { return };
        let upstream = Arc::clone(&self);
        thread::spawn(move || upstream.pump(from_client, to_server));
        self.pump(server, client);
    }

    fn pump(&self, mut from: TcpStream, mut to: TcpStream) {
        let _ = to.set_nodelay(true);
        let mut chunk = [0_u8; 16 * 1024];
        while let Ok(length @ 1..) = from.read(&mut chunk) {
            let latency = self.wait_until(|state| state.mode != Mode::Stall).latency;
            if !latency.is_zero() {
                thread::sleep(latency);
            }
            if to.write_all(&chunk[..length]).is_err() {
                break;
            }
        }
        let _ = to.shutdown(Shutdown::Write);
        let _ = from.shutdown(Shutdown::Read);
    }
}
