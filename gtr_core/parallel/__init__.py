"""Work that is given out to other processes, here or on a cluster."""
