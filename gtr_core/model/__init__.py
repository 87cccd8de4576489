"""The network: posed pictures to three feature planes (paper section 3.1)."""
