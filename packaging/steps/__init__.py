"""What packaging/build does, a file for each step."""
