"""What may be said of the numbers: estimates, each with its uncertainty."""
