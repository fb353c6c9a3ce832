//! The environment file: text to `Environment`, and every mistake in it with its place.

pub mod model;
