"""What a double's machines are: QEMU processes, their disks, their ports, and what they are told at 169.254.169.254."""
