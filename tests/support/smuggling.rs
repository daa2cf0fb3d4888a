//! Bytes that two servers in a row may understand differently (X24). Each list is sent to the server itself and to the
//! load balancer before it.

/// The beginning of a request whose body is framed by what follows.
pub const HEAD: &str =
    "POST /token HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-www-form-urlencoded\r\n";
/// A request that would be answered 200 if it were taken for one.
pub const SMUGGLED: &str = "GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n";

const GOOD_CHUNKS: &str = "5\r\ntoken\r\n0\r\n\r\n";

/// Headers that say in two ways, or in a wrong one, how long the body is: what is wrong, the headers, the body.
pub const LENGTHS: &[(&str, &str, &str)] = &[
    ("CL and TE", "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", GOOD_CHUNKS),
    ("TE and CL", "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n", GOOD_CHUNKS),
    ("CL 0 and TE", "Content-Length: 0\r\nTransfer-Encoding: chunked\r\n", GOOD_CHUNKS),
    ("two CL", "Content-Length: 5\r\nContent-Length: 6\r\n", "token="),
    ("twice the same CL", "Content-Length: 5\r\nContent-Length: 5\r\n", "token"),
    ("a CL of two", "Content-Length: 5, 5\r\n", "token"),
    ("negative CL", "Content-Length: -1\r\n", ""),
    ("signed CL", "Content-Length: +5\r\n", "token"),
    ("hexadecimal CL", "Content-Length: 0x5\r\n", "token"),
    ("CL with a blank", "Content-Length: 5 5\r\n", "token"),
    ("a CL that overflows", "Content-Length: 99999999999999999999\r\n", "token"),
    ("unknown TE", "Transfer-Encoding: xchunked\r\n", GOOD_CHUNKS),
    ("TE identity", "Transfer-Encoding: identity\r\n", GOOD_CHUNKS),
    ("TE chunked twice", "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", GOOD_CHUNKS),
    ("TE chunked, identity", "Transfer-Encoding: chunked, identity\r\n", GOOD_CHUNKS),
    ("TE with a vertical tab", "Transfer-Encoding: \x0bchunked\r\n", GOOD_CHUNKS),
    ("a blank before the colon", "Transfer-Encoding : chunked\r\n", GOOD_CHUNKS),
    ("folded TE", "Transfer-Encoding:\r\n chunked\r\n", GOOD_CHUNKS),
    ("a folded header", "X-Folded: a\r\n b\r\nContent-Length: 5\r\n", "token"),
    ("a NUL in a header", "X-Nul: a\0b\r\nContent-Length: 5\r\n", "token"),
    ("a bare CR in a header", "X-Cr: a\rContent-Length: 5\r\n", "token"),
    ("a header without a name", ": x\r\nContent-Length: 5\r\n", "token"),
    ("a header without a colon", "Nonsense\r\nContent-Length: 5\r\n", "token"),
    ("two hosts", "Host: other\r\nContent-Length: 5\r\n", "token"),
];

/// Chunked bodies that are none: what is wrong, the body.
pub const CHUNKS: &[(&str, &str)] = &[
    ("no size", "\r\ntoken\r\n0\r\n\r\n"),
    ("no hexadecimal size", "xyz\r\ntoken\r\n0\r\n\r\n"),
    ("a negative size", "-5\r\ntoken\r\n0\r\n\r\n"),
    ("a size that overflows", "fffffffffffffffff\r\ntoken\r\n0\r\n\r\n"),
    ("a size with a prefix", "0x5\r\ntoken\r\n0\r\n\r\n"),
    ("too much in a chunk", "3\r\ntoken\r\n0\r\n\r\n"),
    ("a bare LF", "5\ntoken\n0\n\n"),
];

/// Beginnings of a connection that are no request: what is wrong, the bytes.
pub const REQUEST_LINES: &[(&str, &str)] = &[
    ("no version", "GET /livez\r\n\r\n"),
    ("an unknown version", "GET /livez HTTP/3.0\r\nHost: x\r\n\r\n"),
    ("HTTP/2 in the clear", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
    ("a blank in the path", "GET /li vez HTTP/1.1\r\nHost: x\r\n\r\n"),
    ("a NUL in the path", "GET /li\0vez HTTP/1.1\r\nHost: x\r\n\r\n"),
    ("no host", "GET /livez HTTP/1.1\r\n\r\n"),
    ("a TLS greeting", "\x16\x03\x01\x02\x00\x01\x00\x01\r\n\r\n"),
    ("a header on the first line", " GET /livez HTTP/1.1\r\nHost: x\r\n\r\n"),
    ("Redis", "*1\r\n$4\r\nPING\r\n\r\n"),
];
