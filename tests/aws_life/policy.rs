//! The least that credentials may be allowed.
