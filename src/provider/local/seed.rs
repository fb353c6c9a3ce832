//! The NoCloud seed: a small FAT file system labelled `CIDATA` that cloud-init reads at first boot.
//!
//! Written in memory by a library; no tool and no mount is needed.

use std::io::{Cursor, Write as _};

use fatfs::{FileSystem, FormatVolumeOptions, FsOptions};

use super::machine::Machine;
use super::record::{Record, write_atomically};
use crate::provider::ProviderError;

/// A floppy's worth: the smallest size that every FAT reader knows, far above any user-data we write.
const SIZE: usize = 1440 * 1024;
/// FAT keeps eleven bytes, padded with spaces. cloud-init looks for `cidata` in either case.
const LABEL: [u8; 11] = *b"CIDATA     ";

/// Writes the machine's seed, whole or not at all.
pub fn write(machine: &Machine, record: &Record) -> Result<(), ProviderError> {
    let image = image(&[
        ("meta-data", meta_data(record).as_bytes()),
        ("user-data", record.spec.user_data.as_bytes()),
        // An empty one keeps cloud-init from warning that it is not there.
        ("vendor-data", b""),
    ])
    .map_err(|why| {
        ProviderError::new(format!("failed to build the cloud-init seed of `{}`", machine.name)).because(why)
    })?;
    write_atomically(&machine.seed(), &image)
}

fn meta_data(record: &Record) -> String {
    format!(
        "instance-id: {}\nlocal-hostname: {}\n",
        record.instance_id(),
        record.environment
    )
}

fn image(files: &[(&str, &[u8])]) -> std::io::Result<Vec<u8>> {
    let mut disk = Cursor::new(vec![0_u8; SIZE]);
    fatfs::format_volume(
        &mut disk,
        FormatVolumeOptions::new().volume_label(LABEL).volume_id(0xc1da_7a00),
    )?;
    {
        let filesystem = FileSystem::new(&mut disk, FsOptions::new().update_accessed_date(false))?;
        let root = filesystem.root_dir();
        for (name, content) in files {
            let mut file = root.create_file(name)?;
            file.truncate()?;
            file.write_all(content)?;
            file.flush()?;
        }
        drop(root);
        filesystem.unmount()?;
    }
    Ok(disk.into_inner())
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    fn output(program: &str, args: &[&str]) -> Option<String> {
        let done = Command::new(program).args(args).output().ok()?;
        Some(String::from_utf8(done.stdout).unwrap())
    }

    #[test]
    fn other_readers_find_the_label_and_the_files() {
        let long = "#cloud-config\n".to_owned() + &"# padding\n".repeat(3000);
        let temp = tempfile::NamedTempFile::new().unwrap();
        let bytes = image(&[("user-data", long.as_bytes()), ("meta-data", b"instance-id: a\n")]).unwrap();
        std::fs::write(temp.path(), &bytes).unwrap();
        let path = temp.path().to_str().unwrap();
        match output("blkid", &["-p", "-o", "export", path]) {
            Some(text) => assert!(
                text.contains("LABEL=CIDATA\n") && text.contains("TYPE=vfat\n"),
                "{text}"
            ),
            None => println!("skipped: no blkid here"),
        }
        match output("mtype", &["-i", path, "::user-data"]) {
            Some(text) => assert!(text == long),
            None => println!("skipped: no mtools here"),
        }
    }

    #[test]
    fn the_same_files_make_the_same_image() {
        let files: [(&str, &[u8]); 2] = [("meta-data", b"instance-id: a\n"), ("user-data", b"#cloud-config\n")];
        assert!(image(&files).unwrap() == image(&files).unwrap());
    }
}
