"""What the server made, as objects of the scene and as files."""
