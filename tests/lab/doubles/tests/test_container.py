"""A container is a machine: it restarts itself, loses its power, keeps its disks, ends, and leaves nothing behind."""

from __future__ import annotations

import pathlib
import shutil
import signal
import subprocess
import tempfile
import time
import unittest
from collections.abc import Callable
from typing import Any

from doubles.addresses import Addresses, lab_folder
from doubles.machines import container
from doubles.machines.folder import Folder
from doubles.machines.host import Host

SOON = 60.0
PREFIX = "provision-container-test-"
OPTIONS = ("BatchMode=yes", "StrictHostKeyChecking=no", "UserKnownHostsFile=/dev/null", "LogLevel=ERROR", "ConnectTimeout=20")
USER_DATA = """#cloud-config
users:
  - {name: admin, shell: /bin/bash, sudo: "ALL=(ALL) NOPASSWD:ALL", ssh_authorized_keys: ["%s"]}
write_files:
  - {path: /etc/from-user-data, content: "it came through"}
"""
IMAGE = lab_folder() / "debian-13-docker.qcow2"


class Container(unittest.TestCase):
    def setUp(self) -> None:
        if missing := container.lacks():
            self.skipTest(f"no containers here, for want of {missing}")
        if not IMAGE.exists():
            self.skipTest(f"no {IMAGE}; `make lab` builds it")
        self.folder = pathlib.Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.folder)
        self.key = self.folder / "key"
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", self.key], check=True)
        self.user_data = (USER_DATA % self.key.with_suffix(".pub").read_text().strip()).encode()
        addresses = Addresses()
        self.addCleanup(addresses.close)
        self.address = addresses.claim()

    def ssh(self, command: str) -> subprocess.CompletedProcess[str]:
        options = [word for option in OPTIONS for word in ("-o", option)]
        words = ["ssh", "-F", "none", "-i", self.key, *options, f"admin@{self.address}", command]
        return subprocess.run(words, capture_output=True, text=True, check=False, timeout=120)

    def out(self, command: str) -> str:
        done = self.ssh(command)
        self.assertEqual(done.returncode, 0, f"{command}: {done.stderr}")
        return done.stdout.strip()

    def wait(self, what: str, ready: Callable[[], Any]) -> Any:
        deadline = time.monotonic() + SOON
        while not (found := ready()):
            self.assertLess(time.monotonic(), deadline, f"no {what} within {SOON:.0f} s")
            time.sleep(0.2)
        return found

    def boot(self) -> str:
        """Which boot this is, once it is over."""
        done = self.ssh("cloud-init status --wait >/dev/null; cat /proc/sys/kernel/random/boot_id")
        return done.stdout.strip() if done.returncode == 0 else ""

    def test_story(self) -> None:
        place = Folder(PREFIX, IMAGE)
        self.addCleanup(place.close)
        host = Host(place, self.address, [22], self.user_data)
        self.addCleanup(host.power_off, False)
        ended: list[Any] = []
        host.power_on(ended.append)
        first = self.wait("login", self.boot)
        self.assertEqual(self.out("cat /etc/from-user-data"), "it came through")
        self.assertEqual(self.out("systemctl is-system-running --wait"), "running")
        self.assertEqual(self.out("sudo docker info --format '{{.Driver}}'"), "overlay2")
        own = self.out("cat /proc/self/ns/net 2>&1; readlink /proc/self/ns/net /proc/self/ns/pid /proc/self/ns/mnt")
        for kind in ("net", "pid", "mnt"):
            self.assertNotIn(str(pathlib.Path(f"/proc/self/ns/{kind}").readlink()), own)
        # What is this computer's kernel's is not its to change, and there is no way out.
        self.assertNotEqual(self.ssh("sudo sysctl -w kernel.panic=7").returncode, 0)
        self.assertNotEqual(self.ssh("ping -c 1 -W 2 192.0.2.1").returncode, 0)

        disk = place.ensure_disk("volume", 1)
        assert host.process
        by_id = "/dev/disk/by-id/nvme-Amazon_Elastic_Block_Store_vol1"
        host.process.plug("vol1", "vol1", disk)
        self.out(f"sudo mkfs.ext4 -q -L kept {by_id} && sudo mount {by_id} /mnt && echo kept | sudo tee /mnt/file")
        self.out("sudo umount /mnt")
        host.process.unplug("vol1")
        self.assertEqual(self.ssh(f"test -e {by_id}").returncode, 1)
        host.process.grow("vol1", disk, 2)
        host.process.plug("vol1", "vol1", disk)
        self.out("echo 'LABEL=kept /mnt ext4 defaults 0 2' | sudo tee -a /etc/fstab && sudo mount /mnt && cat /mnt/file")
        self.assertEqual(int(self.out("lsblk -bdno SIZE /dev/disk/by-label/kept")) >> 30, 2)

        self.ssh("sudo reboot")
        second = self.wait("login after a restart of its own", lambda: self.another(first))
        self.assertEqual(self.out("cat /mnt/file"), "kept", "mounted by itself")
        host.reset()
        self.wait("login after its power was gone", lambda: self.another(first, second))
        self.assertEqual(self.out("cat /mnt/file"), "kept")
        self.assertEqual(ended, [])
        self.ssh("sudo poweroff")
        self.wait("its end", lambda: ended)
        self.assertFalse(host.on)
        host.power_off(gently=False)
        self.assertEqual(self.remains(place.path), "")

    def another(self, *known: str) -> str:
        found = self.boot()
        return "" if found in known else found

    def remains(self, folder: pathlib.Path) -> str:
        """Devices, control groups and processes of the machines of this folder."""
        loops = container.run("losetup", "--list", "--noheadings", "--output", "BACK-FILE")
        left = [line for line in loops.splitlines() if str(folder) in line]
        hierarchy = container.cgroups()
        assert hierarchy
        left += [str(group) for group in hierarchy.glob("provision-lab-*-host")]
        running = subprocess.run(["pgrep", "--full", f"(boot|slirp4netns).*{folder}"], capture_output=True, text=True, check=False)
        return " ".join([*left, running.stdout]).strip()

    def test_one_that_is_killed_leaves_nothing(self) -> None:
        user_data = self.folder / "user-data"
        user_data.write_bytes(self.user_data)
        machine = pathlib.Path(__file__).parents[2] / "machine"
        words = [machine, "--image", IMAGE, "--address", self.address, "--user-data", user_data]
        process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert process.stdout and process.stdin
        process.stdout.readline()
        self.wait("login", self.boot)
        process.send_signal(signal.SIGKILL)
        process.wait()
        process.stdin.close()
        process.stdout.close()
        self.wait("its end", lambda: self.ssh("true").returncode)
        folders = pathlib.Path(tempfile.gettempdir())

        def swept() -> bool:
            # The next one of its kind clears away what the kernel has let go of.
            Folder("provision-host-", IMAGE).close()
            return not self.remains(folders / "provision-host-")

        self.wait("nothing", swept)
        self.assertEqual(list(folders.glob("provision-host-*")), [])


if __name__ == "__main__":
    unittest.main()
