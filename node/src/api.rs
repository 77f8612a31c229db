//! The local API: one typed door for command line, terminal and pages.

pub mod client;
pub mod command;
pub mod lookup;
pub mod moment;
mod refusal;
pub mod server;
