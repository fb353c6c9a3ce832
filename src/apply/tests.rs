//! Runs that come to their end, and runs that do not, at every point where they may be cut off.

mod cut;
mod events;
mod random;
