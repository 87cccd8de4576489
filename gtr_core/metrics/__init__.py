"""How close a result comes to the truth: images and shapes."""
