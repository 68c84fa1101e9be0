"""What weight change is wanted: one method a file."""
