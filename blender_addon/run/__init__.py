"""What one click sets in motion, from the settings of the panel to the result in the scene."""
