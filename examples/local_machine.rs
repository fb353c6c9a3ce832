//! Drives the local provider by hand: `local_machine ROOT create IMAGE USER_DATA [ACCELERATION]`, `observe`, `start`,
//! `resize CPUS`, `destroy [keep]`, `leftovers`.
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::unwrap_used,
    reason = "a tool for the bench"
)]

use std::path::PathBuf;
use std::time::Instant;

use provision::names::Lineage;
use provision::note::Note;
use provision::provider::local::{Dirs, Local};
use provision::provider::{Acceleration, InstanceSpec, LocalImage, LocalShape, Owner, Shape};

#[tokio::main]
async fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let root = PathBuf::from(&args[0]);
    let local = Local::new(Dirs {
        machines: root.join("machines"),
        addresses: root.join("addresses"),
        cache: root.join("images"),
        runtime: root.join("run"),
    });
    let owner = Owner {
        environment: "bench".parse().unwrap(),
        lineage: Lineage::from_bytes([9; 16]),
    };
    let begun = Instant::now();
    let say = |note: Note| eprintln!("{:>6} ms {note:?}", begun.elapsed().as_millis());
    let spec = |image: &str, user_data: String, cpus: u32, acceleration: Acceleration| InstanceSpec {
        shape: Shape::Local(LocalShape {
            cpus,
            memory_mib: 2048,
            image: if image.starts_with("debian-") && !image.contains('.') {
                provision::provider::local::alias(image, std::env::consts::ARCH).unwrap()
            } else {
                LocalImage::Path(image.into())
            },
            boot: None,
            acceleration,
        }),
        disk_gib: 10,
        volume_gib: Some(1),
        user_data,
    };
    let result = match args[1].as_str() {
        "create" => {
            let acceleration = match args.get(4).map(String::as_str) {
                Some("tcg") => Acceleration::Tcg,
                Some("kvm") => Acceleration::Kvm,
                _ => Acceleration::Auto,
            };
            let user_data = std::fs::read_to_string(&args[3]).unwrap();
            let made = local
                .create(&owner, &spec(&args[2], user_data, 2, acceleration), &say)
                .await;
            made.map(|made| println!("{made:#?}"))
        }
        "observe" => local.observe(&owner).await.map(|found| println!("{found:#?}")),
        "start" => local.start(&owner, &say).await.map(|found| println!("{found:#?}")),
        "resize" => {
            let spec = spec("x", String::new(), args[2].parse().unwrap(), Acceleration::Auto);
            local
                .resize(&owner, &spec, &say)
                .await
                .map(|found| println!("{found:#?}"))
        }
        "destroy" => local.destroy(&owner, args.get(2).is_some(), &say).await,
        _ => local.leftovers(&owner).await.map(|left| println!("{left:#?}")),
    };
    if let Err(error) = result {
        println!("error: {error}\nwhy: {:?}\nhint: {:?}", error.why, error.remedy);
    }
    eprintln!("{} took {:?}", args[1], begun.elapsed());
}
