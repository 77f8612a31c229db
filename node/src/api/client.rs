//! The API's client: asks the node that runs for a home.

use std::io;
use std::path::{Path, PathBuf};

use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper::{Method, StatusCode, header};
use hyper_util::rt::TokioIo;
use tokio::net::UnixStream;

use crate::api::command::{Answer, ApiError, Request};
use crate::api::server::CALL_PATH;
use crate::storage::SOCKET_FILE;

/// Bytes of one answer that are taken.
const ANSWER_BYTES: usize = 256 * 1024 * 1024;

/// A way to the node of a home. Every call has a connection of its own.
#[derive(Clone, Debug)]
pub struct Client {
    socket: PathBuf,
}

impl Client {
    /// Finds the node that runs for this home; `None` if none does.
    ///
    /// # Errors
    /// When there is a socket that may not be opened.
    pub async fn connect(home: &Path) -> Result<Option<Self>, ApiError> {
        let socket = home.join(SOCKET_FILE);
        match UnixStream::connect(&socket).await {
            Ok(_) => Ok(Some(Self { socket })),
            // Nothing there, or left over from a process that is gone.
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::NotFound
                        | io::ErrorKind::NotADirectory
                        | io::ErrorKind::ConnectionRefused
                ) =>
            {
                Ok(None)
            }
            Err(error) => Err(unreachable(&error)),
        }
    }

    /// One question, one answer.
    ///
    /// # Errors
    /// What the node says, or that it does not answer.
    pub async fn call(&self, request: Request) -> Result<Answer, ApiError> {
        let question = serde_json::to_vec(&request)
            .map_err(|_| ApiError::usage("the question cannot be written down"))?;
        let stream =
            UnixStream::connect(&self.socket).await.map_err(|error| unreachable(&error))?;
        let (mut sender, connection) =
            http1::handshake(TokioIo::new(stream)).await.map_err(|_| broken())?;
        let question = hyper::Request::builder()
            .method(Method::POST)
            .uri(CALL_PATH)
            .header(header::HOST, "cairn")
            .header(header::CONTENT_TYPE, "application/json")
            .body(Full::new(Bytes::from(question)))
            .map_err(|_| broken())?;
        let exchange = async {
            let response = sender.send_request(question).await.map_err(|_| broken())?;
            let status = response.status();
            let body = Limited::new(response.into_body(), ANSWER_BYTES).collect().await;
            // The connection ends when nothing more can be asked on it.
            drop(sender);
            Ok::<_, ApiError>((status, body.map_err(|_| broken())?.to_bytes()))
        };
        let (answered, _) = tokio::join!(exchange, connection);
        let (status, body) = answered?;
        if status == StatusCode::OK {
            return serde_json::from_slice(&body).map_err(|_| broken());
        }
        Err(serde_json::from_slice(&body).unwrap_or_else(|_| broken()))
    }
}

fn unreachable(error: &io::Error) -> ApiError {
    match error.kind() {
        io::ErrorKind::PermissionDenied => {
            ApiError::unavailable("the node of this home belongs to somebody else")
                .hinted("Run this as the user whose home it is.")
        }
        kind => ApiError::unavailable(format!("the node cannot be asked: {kind}"))
            .hinted("See whether it still runs; start it with `cairn up`."),
    }
}

fn broken() -> ApiError {
    ApiError::unavailable("the node broke off before it had answered")
        .hinted("See whether it still runs, and whether what you asked for was done.")
}
