"""What a finished run gets wrong, as a page to look at and listen to."""
