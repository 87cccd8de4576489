"""File formats that the add-on reads and writes by itself. No bpy."""
