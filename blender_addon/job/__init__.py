"""The process beside Blender, and what a request does in it, step by step. No bpy."""
