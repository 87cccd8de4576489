"""The way to the server: addresses, requests, the state file, the proved connection. No bpy."""
