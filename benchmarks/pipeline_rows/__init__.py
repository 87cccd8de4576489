"""One file per stage of the pipeline: the fast version against the straightforward one."""
