"""What one decision of a finished run rests on: to see, to hear, and to check."""
