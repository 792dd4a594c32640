"""What a repository holds, variant by variant, and whether it runs on this machine."""
