"""What a request does on the worker thread, step by step. No bpy."""
