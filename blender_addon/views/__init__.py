"""Views of the object: captured from the scene, or loaded from files with their cameras."""
