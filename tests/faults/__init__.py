"""What is left when the disk fails, the process is killed, or the power goes, at any system call."""
