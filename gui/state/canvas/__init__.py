"""What is painted on a picture, and where its frame is moved."""
