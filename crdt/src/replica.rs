//! One device's copy of a group, behind one door: [`input::Input`] in, [`effect::Effect`]s out.

pub mod effect;
pub mod input;
pub mod snapshot;
