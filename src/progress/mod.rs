//! Listens to events and shows them. Knows nothing else.
