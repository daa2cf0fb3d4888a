//! Reading the body of a request: always to its end, or to a bound.
//!
//! A server that answers a POST without reading its body must close the connection, which costs
//! every well-behaved caller behind the same load balancer a new one.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::task::Poll;
use std::time::Duration;

use actix_web::dev;
use actix_web::web::{Bytes, BytesMut, Payload};
use actix_web::{FromRequest, HttpRequest};
use futures_util::StreamExt as _;
use futures_util::future::LocalBoxFuture;

use crate::oauth::OAuthError;

/// The longest body that any request here needs.
pub const LIMIT: usize = 16 * 1024;
/// How much of a longer body is read before it is refused.
const DRAIN_LIMIT: usize = 1024 * 1024;
/// How long a body may take to arrive.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long the reader of a body that was given up stays, so that the answer is out before it goes.
const OUTLIVE: Duration = Duration::from_secs(2);

const LATE: OAuthError = OAuthError::InvalidRequest("the request body did not arrive in time");
const BROKEN: OAuthError = OAuthError::InvalidRequest("the request body could not be read");

/// Reads a body of at most 16 KiB.
///
/// # Errors
/// When it is longer, broken off, or too slow.
pub async fn read(mut payload: Payload) -> Result<Bytes, OAuthError> {
    let read = {
        let mut collecting = pin!(collect(&mut payload));
        match soon(collecting.as_mut()).await {
            Some(read) => read,
            None => tokio::time::timeout(PATIENCE, collecting).await.unwrap_or(Err(LATE)),
        }
    };
    if read.is_err() {
        // What is left of a chunked body whose reader is gone would be drained without end. While
        // the reader is there, the connection is closed after the answer instead.
        actix_web::rt::spawn(async move {
            tokio::time::sleep(OUTLIVE).await;
            drop(payload);
        });
    }
    read
}

/// What a future comes to now, or when it is asked once more. A body that came with its head is
/// there by then, and not before: actix calls the handler between decoding the two. So most
/// requests are spared a timer.
async fn soon<F: Future>(mut future: Pin<&mut F>) -> Option<F::Output> {
    let mut asked = false;
    poll_fn(|context| match future.as_mut().poll(context) {
        Poll::Ready(output) => Poll::Ready(Some(output)),
        Poll::Pending if asked => Poll::Ready(None),
        Poll::Pending => {
            asked = true;
            context.waker().wake_by_ref();
            Poll::Pending
        }
    })
    .await
}

/// Reads and forgets a body, for a request that is refused anyway.
pub async fn drain(payload: Payload) {
    // Whatever is wrong with the body, the refusal stands.
    read(payload).await.ok();
}

/// In a handler's signature: the request has no use for a body, and what there was is read.
pub struct NoBody;

impl FromRequest for NoBody {
    type Error = actix_web::Error;
    type Future = LocalBoxFuture<'static, Result<Self, Self::Error>>;

    fn from_request(request: &HttpRequest, payload: &mut dev::Payload) -> Self::Future {
        let payload = Payload::from_request(request, payload);
        Box::pin(async move {
            if let Ok(payload) = payload.await {
                drain(payload).await;
            }
            Ok(Self)
        })
    }
}

async fn collect(payload: &mut Payload) -> Result<Bytes, OAuthError> {
    // Most bodies come in one piece, which is then the body.
    let (mut only, mut body) = (Bytes::new(), BytesMut::new());
    let mut length = 0usize;
    while let Some(chunk) = payload.next().await {
        let chunk = chunk.map_err(|_| BROKEN)?;
        length = length.saturating_add(chunk.len());
        if length > DRAIN_LIMIT {
            return Err(OAuthError::TooLarge);
        }
        if length > LIMIT {
            continue;
        }
        if length == chunk.len() {
            only = chunk;
        } else {
            if body.is_empty() {
                body.extend_from_slice(&only);
            }
            body.extend_from_slice(&chunk);
        }
    }
    match length > LIMIT {
        true => Err(OAuthError::TooLarge),
        false if body.is_empty() => Ok(only),
        false => Ok(body.freeze()),
    }
}
