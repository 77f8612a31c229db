//! The local API: one typed door for command line, terminal and pages.

pub mod command;
