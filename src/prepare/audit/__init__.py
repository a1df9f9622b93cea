"""What a dataset gives away besides its classes: copies, leaks across the split, loudness, length and file format."""
