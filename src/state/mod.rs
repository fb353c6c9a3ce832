//! What is recorded between runs: the state, its lock, the encrypted bundle.
