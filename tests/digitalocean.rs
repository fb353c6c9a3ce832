//! The provider of Droplets through its real client, against the lab's double of the API, which holds every request and every
//! answer of every test to the vendor's own document.
#![allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "a test's helpers are tests too; clippy's own exception knows only functions marked as one"
)]

#[path = "digitalocean/dns.rs"]
mod dns;
#[path = "digitalocean/double.rs"]
mod double;
#[path = "digitalocean/errors.rs"]
mod errors;
#[path = "digitalocean/find.rs"]
mod find;
#[path = "digitalocean/firewall.rs"]
mod firewall;
#[path = "digitalocean/lost.rs"]
mod lost;
#[path = "digitalocean/made.rs"]
mod made;
#[path = "digitalocean/resize.rs"]
mod resize;
