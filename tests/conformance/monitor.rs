//! Every command that reaches a Redis, as it arrives.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crate::support::redis::RedisServer;
use crate::support::wait;

/// MONITOR on a connection of its own.
pub struct Monitor {
    done: Arc<AtomicBool>,
    reader: JoinHandle<String>,
}

impl Monitor {
    pub fn start(redis: &RedisServer) -> Self {
        let mut stream = TcpStream::connect(redis.address()).expect("redis-server listens");
        stream.set_read_timeout(Some(Duration::from_millis(20))).expect("a socket takes options");
        stream.write_all(b"MONITOR\r\n").expect("redis-server reads");
        let done = Arc::new(AtomicBool::new(false));
        let started = Arc::new(AtomicBool::new(false));
        let (stop, begun) = (Arc::clone(&done), Arc::clone(&started));
        let reader = thread::spawn(move || {
            let (mut text, mut chunk) = (Vec::new(), vec![0; 64 * 1024]);
            loop {
                match stream.read(&mut chunk) {
                    Ok(0) => break,
                    Ok(length) => text.extend_from_slice(&chunk[..length]),
                    // Silence after the end was asked for: everything has been read.
                    Err(_) if stop.load(Ordering::Acquire) => break,
                    Err(_) => {}
                }
                begun.fetch_or(text.starts_with(b"+OK"), Ordering::AcqRel);
            }
            String::from_utf8_lossy(&text).into_owned()
        });
        wait::until_true("MONITOR has begun", Duration::from_secs(5), || started.load(Ordering::Acquire));
        Self { done, reader }
    }

    /// What was seen.
    pub fn finish(self) -> String {
        self.done.store(true, Ordering::Release);
        self.reader.join().expect("the reader ends")
    }
}
