"""What people look at: pictures and pages, from recorded results only."""
