"""Training of the network: the two stages of the paper's section 3.2, and the loop that runs them."""
