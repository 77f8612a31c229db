//! The one way to an answer: the node that runs for a home, or else its store alone.

use std::path::Path;

use cairn_node::api::client::Client;
use cairn_node::api::command::{Answer, Request};
use cairn_node::runtime::Offline;

use crate::error::Failure;
use crate::{home, passphrase};

/// Whoever answers.
pub(crate) enum Door {
    /// The node that runs for this home.
    Node(Client),
    /// The store, opened by this process. No network: what is written goes out with `cairn up`.
    Store(Box<Offline>),
}

impl Door {
    /// The node if one runs, else the store.
    pub(crate) async fn open(home: &Path) -> Result<Self, Failure> {
        if let Some(client) = Client::connect(home).await? {
            return Ok(Self::Node(client));
        }
        Self::store(home)
    }

    /// The store alone.
    pub(crate) fn store(home: &Path) -> Result<Self, Failure> {
        if !home::has_store(home) {
            return Err(home::no_store(home));
        }
        let passphrase = passphrase::known()?;
        Ok(Self::Store(Box::new(Offline::open(home, &passphrase)?)))
    }

    /// The node, for what needs a network.
    pub(crate) async fn node(home: &Path, what: &str) -> Result<Client, Failure> {
        Client::connect(home).await?.ok_or_else(|| {
            if home::has_store(home) {
                Failure::new(format!("No node is running for this home, and {what} needs one."))
                    .hinted("Start it with `cairn up`, in another terminal or as a service.")
            } else {
                home::no_store(home)
            }
        })
    }

    /// Whether what is written goes out by itself.
    pub(crate) const fn is_node(&self) -> bool {
        matches!(self, Self::Node(_))
    }

    /// One question, one answer.
    pub(crate) async fn call(&mut self, request: Request) -> Result<Answer, Failure> {
        Ok(match self {
            Self::Node(client) => client.call(request).await?,
            Self::Store(store) => store.call(request)?,
        })
    }
}
