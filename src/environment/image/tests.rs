use std::io::Write as _;

use insta::assert_snapshot;

use super::*;

const DIGEST: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

/// A `docker save` archive with one layer; `tags` as JSON.
fn archive(tags: &str, with_layer: bool) -> Vec<u8> {
    let manifest = format!(r#"[{{"Config":"{DIGEST}.json","RepoTags":{tags},"Layers":["one/layer.tar"]}}]"#);
    let mut builder = tar::Builder::new(Vec::new());
    let mut put = |name: &str, bytes: &[u8]| {
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        builder.append_data(&mut header, name, bytes).unwrap();
    };
    if with_layer {
        put("one/layer.tar", &[7; 2000]);
    }
    put(&format!("{DIGEST}.json"), b"{}");
    put("manifest.json", manifest.as_bytes());
    builder.into_inner().unwrap()
}

fn read(reference: &str, bytes: &[u8]) -> Result<ImageArchive, String> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("app.tar");
    std::fs::write(&path, bytes).unwrap();
    ImageArchive::read(reference, &path).map_err(|error| {
        let folder = folder.path().display().to_string();
        format!("{error}\nhelp: {}", error.help()).replace(&folder, "images")
    })
}

#[test]
fn an_archive_tells_its_image() {
    let bytes = archive(r#"["demo:1","demo:latest"]"#, true);
    for reference in ["demo:1", "demo", "docker.io/library/demo:1"] {
        let image = read(reference, &bytes).unwrap();
        assert_eq!(image.image_id, format!("sha256:{DIGEST}"));
        assert_eq!(image.layers, ["one/layer.tar"]);
        assert_eq!(image.bytes, bytes.len() as u64);
    }
}

#[test]
fn a_gzipped_archive_is_the_same() {
    let mut zip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    zip.write_all(&archive(r#"["demo:1"]"#, true)).unwrap();
    assert_eq!(read("demo:1", &zip.finish().unwrap()).unwrap().layers.len(), 1);
}

#[test]
fn a_missing_archive_is_told_with_the_command_that_makes_it() {
    let error = ImageArchive::read("demo:1", Path::new("images/none.tar")).unwrap_err();
    assert_snapshot!(format!("{error}\nhelp: {}", error.help()), @r#"
    the image archive images/none.tar does not exist
    help: make it with `docker save demo:1 -o images/none.tar`
    "#);
}

#[test]
fn what_is_in_the_way_is_told() {
    assert_snapshot!(read("demo:1", &archive(r#"["other:2"]"#, true)).unwrap_err(), @r#"
    images/app.tar does not hold demo:1, but other:2
    help: name the entry "other:2", or save demo:1 with `docker save demo:1`
    "#);
    assert_snapshot!(read("demo:1", &archive("null", true)).unwrap_err(), @r#"
    images/app.tar does not hold demo:1, but an image without a name
    help: save it by its name: `docker save demo:1`
    "#);
    assert_snapshot!(read("demo:1", &archive(r#"["demo:1"]"#, false)).unwrap_err(), @r#"
    images/app.tar is not a `docker save` archive: the layer one/layer.tar is missing; is the file cut short?
    help: `docker save` writes what is needed; plain tar and gzip are understood
    "#);
    assert_snapshot!(read("demo:1", b"").unwrap_err(), @r#"
    images/app.tar is not a `docker save` archive: it has no manifest.json; is the file cut short?
    help: `docker save` writes what is needed; plain tar and gzip are understood
    "#);
    assert_snapshot!(read("demo:1", &[b'x'; 3000]).unwrap_err(), @r#"
    images/app.tar is not a `docker save` archive: it is not a tar archive
    help: `docker save` writes what is needed; plain tar and gzip are understood
    "#);
    let cut = archive(r#"["demo:1"]"#, true);
    assert_snapshot!(read("demo:1", &cut[..1000]).unwrap_err(), @r#"
    images/app.tar is not a `docker save` archive: it has no manifest.json; is the file cut short?
    help: `docker save` writes what is needed; plain tar and gzip are understood
    "#);
}

#[test]
fn names_of_images_are_compared_as_docker_does() {
    assert_eq!(normal("docker.io/library/postgres"), "postgres:latest");
    assert_eq!(normal("localhost:5000/app"), "localhost:5000/app:latest");
    assert_eq!(normal("ghcr.io/a/b:1"), "ghcr.io/a/b:1");
}
