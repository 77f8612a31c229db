//! The API's server: `POST /v1/call` over a Unix socket that only its owner can open.

use std::fs;
use std::future::Future;
use std::io;
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
use std::path::Path;

use axum::extract::rejection::JsonRejection;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use axum::routing::post;
use axum::{Json, Router};
use tokio::net::UnixListener;
use tokio::sync::{mpsc, oneshot};

use crate::api::command::{ApiError, Request};
use crate::driver::incoming::Incoming;

/// Where a call goes.
pub const CALL_PATH: &str = "/v1/call";
/// Bytes of one question: an import comes in pieces of at most a few hundred posts.
pub const QUESTION_BYTES: usize = 48 * 1024 * 1024;

/// Opens the socket. Whoever calls holds the home's lock, so a socket that is there is left over
/// from a process that is gone.
///
/// # Errors
/// When it cannot be made, or something else stands in its place.
pub fn bind(socket: &Path) -> Result<UnixListener, ApiError> {
    make(socket).map_err(|error| {
        ApiError::unavailable(format!(
            "the socket {} could not be opened: {}",
            socket.display(),
            error.kind()
        ))
        .hinted("The path of the home may be too long: a socket's path has at most 107 letters.")
    })
}

fn make(socket: &Path) -> io::Result<UnixListener> {
    match fs::symlink_metadata(socket) {
        Ok(there) if there.file_type().is_socket() => fs::remove_file(socket)?,
        Ok(_) => return Err(io::ErrorKind::AlreadyExists.into()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    // The folder is closed to others (0700), so nobody comes in between these two.
    let listener = UnixListener::bind(socket)?;
    fs::set_permissions(socket, fs::Permissions::from_mode(0o600))?;
    Ok(listener)
}

/// Answers calls until `stop` is there; calls that have begun are answered.
///
/// # Errors
/// When the socket fails.
pub async fn serve(
    listener: UnixListener,
    driver: mpsc::Sender<Incoming>,
    stop: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
    let routes = Router::new()
        .route(CALL_PATH, post(call))
        .layer(DefaultBodyLimit::max(QUESTION_BYTES))
        .with_state(driver);
    axum::serve(listener, routes).with_graceful_shutdown(stop).await
}

async fn call(
    State(driver): State<mpsc::Sender<Incoming>>,
    question: Result<Json<Request>, JsonRejection>,
) -> Response {
    let request = match question {
        Ok(Json(request)) => request,
        Err(rejection) => return refuse(&unreadable(&rejection)),
    };
    let (answer, answered) = oneshot::channel();
    if driver.send(Incoming::Ask { request, answer }).await.is_err() {
        return refuse(&stopping());
    }
    match answered.await {
        Ok(Ok(answer)) => Json(answer).into_response(),
        Ok(Err(error)) => refuse(&error),
        Err(_) => refuse(&stopping()),
    }
}

/// Says what is wrong with a question without repeating it: it may hold a person's words.
fn unreadable(rejection: &JsonRejection) -> ApiError {
    if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE {
        let message = format!("the question has more than {QUESTION_BYTES} bytes");
        return ApiError::new("too-large", message).hinted("Ask for less at a time.");
    }
    ApiError::usage("the question is not one that this node understands")
        .hinted("The command and the node may be of different versions: restart the node.")
}

fn stopping() -> ApiError {
    ApiError::unavailable("the node is being stopped").hinted("Start it again with `cairn up`.")
}

fn refuse(error: &ApiError) -> Response {
    let status = StatusCode::from_u16(error.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    (status, Json(error)).into_response()
}
