use super::*;
use crate::provider::DirectBoot;
use crate::provider::local::sample;

fn text(args: &[OsString]) -> Vec<&str> {
    args.iter().map(|arg| arg.to_str().unwrap()).collect()
}

#[test]
fn the_arguments_are_a_function_of_the_record() {
    let (machine, record) = sample();
    let endpoint = Endpoint::standard([127, 77, 0, 1].into());
    let args = arguments(&machine, &record, &endpoint, &Arch::X86_64, Accelerator::Tcg);
    assert_eq!(
        text(&args),
        [
            "-nodefaults",
            "-no-user-config",
            "-daemonize",
            "-D",
            "/m/demo-00000000/qemu.log",
            "-name",
            "guest=provision-demo-00000000",
            "-display",
            "none",
            "-machine",
            "q35,sata=off,smbus=off",
            "-accel",
            "tcg,thread=multi,tb-size=512",
            "-cpu",
            "Nehalem",
            "-smp",
            "2",
            "-m",
            "1024",
            "-rtc",
            "base=utc",
            "-drive",
            "if=none,id=root,format=qcow2,cache=writeback,discard=unmap,file=/m/demo-00000000/root.qcow2",
            "-device",
            "virtio-blk-pci,drive=root,addr=0x2,bootindex=0",
            "-drive",
            "if=none,id=seed,format=raw,readonly=on,file=/m/demo-00000000/seed.img",
            "-device",
            "virtio-blk-pci,drive=seed,addr=0x3",
            "-drive",
            "if=none,id=data,format=qcow2,cache=writeback,discard=unmap,file=/m/demo-00000000/data.qcow2",
            "-device",
            "virtio-blk-pci,drive=data,serial=provision-data,addr=0x4",
            "-netdev",
            "user,id=net,ipv6=off,hostfwd=tcp:127.77.0.1:22-:22,hostfwd=tcp:127.77.0.1:80-:80,\
             hostfwd=tcp:127.77.0.1:443-:443,hostfwd=udp:127.77.0.1:443-:443",
            "-device",
            "virtio-net-pci,netdev=net,romfile=,addr=0x5",
            "-device",
            "virtio-rng-pci,addr=0x6",
            "-chardev",
            "file,id=serial,append=on,path=/m/demo-00000000/serial.log",
            "-serial",
            "chardev:serial",
            "-chardev",
            "socket,id=qmp,server=on,wait=off,path=/run/x.qmp",
            "-mon",
            "chardev=qmp,mode=control",
            "-pidfile",
            "/m/demo-00000000/pid",
        ]
    );
}

#[test]
fn a_direct_boot_and_a_hypervisor_change_only_their_arguments() {
    let (machine, mut record) = sample();
    let endpoint = Endpoint::standard([127, 77, 0, 1].into());
    let before = arguments(&machine, &record, &endpoint, &Arch::X86_64, Accelerator::Tcg);
    let crate::provider::local::record::Only::Local(shape) = &mut record.spec.shape;
    shape.boot = Some(DirectBoot {
        kernel: "/k/vmlinux".into(),
        initrd: Some("/k/initrd".into()),
        cmdline: "root=/dev/vda rw".to_owned(),
    });
    let after = arguments(&machine, &record, &endpoint, &Arch::X86_64, Accelerator::Kvm);
    let new: Vec<&str> = text(&after)
        .into_iter()
        .filter(|arg| !text(&before).contains(arg))
        .collect();
    assert_eq!(
        new,
        [
            "kvm",
            "host",
            "-kernel",
            "/k/vmlinux",
            "-initrd",
            "/k/initrd",
            "-append",
            "root=/dev/vda rw"
        ]
    );
}

#[test]
fn a_comma_in_a_path_stays_in_the_path() {
    let (mut machine, record) = sample();
    machine.folder = "/a,b".into();
    let endpoint = Endpoint::standard([127, 77, 0, 1].into());
    let args = arguments(&machine, &record, &endpoint, &Arch::X86_64, Accelerator::Tcg);
    assert!(text(&args).contains(&"if=none,id=seed,format=raw,readonly=on,file=/a,,b/seed.img"));
    assert!(
        text(&args).contains(&"/a,b/pid"),
        "a pid file's path is not an option list"
    );
}
