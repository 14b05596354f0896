"""What is left when a system call fails, or the process is killed or the power goes there."""
