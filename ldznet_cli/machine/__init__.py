"""What this machine has: packages, processors and their arithmetic, space; found out, never changed."""
