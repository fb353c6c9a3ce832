//! Carries a plan out. Makes no decisions.

pub mod event;
