//! Who signs what: one recovery seed per person, one member key per group, one device key per log.

pub mod device;
pub mod member;
pub mod seed;
