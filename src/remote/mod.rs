//! SSH: what is run on a host, as values, and the one session that runs it.
