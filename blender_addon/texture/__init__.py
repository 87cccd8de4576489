"""A texture for a mesh without one: its layout, its texels, its picture. No bpy."""
