//! One connection, kept open, with every byte in the test's hands.

use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use super::encoding;
use super::http::Response;

/// Longer than any answer may take.
const LIMIT: Duration = Duration::from_secs(20);

/// An HTTP/1.1 connection.
pub struct Wire {
    stream: BufReader<TcpStream>,
}

impl Wire {
    /// Connects.
    pub fn to(address: SocketAddr) -> Self {
        let stream = TcpStream::connect_timeout(&address, LIMIT).expect("the server listens");
        stream.set_nodelay(true).expect("a socket takes options");
        stream.set_read_timeout(Some(LIMIT)).expect("a socket takes options");
        stream.set_write_timeout(Some(LIMIT)).expect("a socket takes options");
        Self { stream: BufReader::new(stream) }
    }

    /// Writes bytes; a server that has closed already is no failure of the test's.
    pub fn write(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.get_mut().write_all(bytes.as_ref()).ok();
    }

    /// Reads one answer; `None` when the server closed instead.
    pub fn try_read(&mut self) -> io::Result<Option<Response>> {
        let mut line = String::new();
        if self.stream.read_line(&mut line)? == 0 {
            return Ok(None);
        }
        let status = line.split(' ').nth(1).and_then(|status| status.parse().ok());
        let status = status.unwrap_or_else(|| panic!("no status line: {line:?}"));
        let mut headers = Vec::new();
        loop {
            line.clear();
            self.stream.read_line(&mut line)?;
            let Some((name, value)) = line.trim_end().split_once(": ") else { break };
            headers.push((name.to_ascii_lowercase(), value.to_owned()));
        }
        let length = headers.iter().find(|(name, _)| name == "content-length");
        let length = length.map_or(0, |(_, value)| value.parse().expect("Content-Length is a number"));
        let mut body = vec![0; if status == 100 { 0 } else { length }];
        self.stream.read_exact(&mut body)?;
        Ok(Some(Response { status, headers, body }))
    }

    /// Reads one answer.
    #[track_caller]
    pub fn read(&mut self) -> Response {
        self.try_read().expect("an answer arrives").expect("the server does not close without an answer")
    }

    /// Writes a request and reads its answer.
    #[track_caller]
    pub fn exchange(&mut self, bytes: impl AsRef<[u8]>) -> Response {
        self.write(bytes);
        self.read()
    }

    /// Whether the server closes the connection within `limit`, whatever it sends before.
    pub fn closes_within(&mut self, limit: Duration) -> bool {
        self.stream.get_ref().set_read_timeout(Some(limit)).expect("a socket takes options");
        let mut rest = Vec::new();
        match self.stream.read_to_end(&mut rest) {
            Ok(_) => true,
            Err(error) => !matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut),
        }
    }
}

/// A form POST as a well-behaved client sends it.
pub fn post(path: &str, id: &str, secret: &str, form: &str) -> String {
    let (credentials, length) = (encoding::basic(id, secret), form.len());
    format!(
        "POST {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: {credentials}\r\n\
         Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {length}\r\n\r\n{form}"
    )
}
