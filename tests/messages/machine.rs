//! What keeps the local provider from making a machine. QEMU is a script here: none of these comes as far as running it.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;

use crate::project::{DEMO, Project, snapshot, told};

/// `qemu-img info` says that the file is a disk of 1 GiB.
const QEMU_IMG: &str = "echo '{\"virtual-size\": 1073741824, \"format\": \"qcow2\"}'";

fn with_qemu(environment: &str) -> Project {
    let system = format!("qemu-system-{}", std::env::consts::ARCH);
    Project::new(environment).with_programs(&[(&system, "exit 1"), ("qemu-img", QEMU_IMG)])
}

told! {
    no_qemu: Project::new(DEMO).with_programs(&[]), ["apply", "demo", "--yes"];
    base_image_missing: with_qemu(DEMO), ["apply", "demo", "--yes"];
}

#[test]
fn wrong_checksum() {
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = server.local_addr().unwrap();
    std::thread::spawn(move || {
        for connection in server.incoming() {
            let mut connection = connection.unwrap();
            let _ = connection.read(&mut [0; 4096]);
            let body = "not the image that was meant";
            let head = format!(
                "HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
                body.len()
            );
            let _ = connection
                .write_all(head.as_bytes())
                .and_then(|()| connection.write_all(body.as_bytes()));
        }
    });
    let url = format!("http://{address}/base.qcow2");
    let project = with_qemu(&DEMO.replace(
        "\"base.qcow2\"",
        &format!("\"{url}\"\nsha512 = \"{}\"", "0f".repeat(64)),
    ));
    let filters = [(r"127\.0\.0\.1:\d+", "[server]")];
    snapshot("wrong_checksum", &project.run(&["apply", "demo", "--yes"]), &filters);
}
