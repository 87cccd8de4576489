"""The command ``gtr``: one file per subcommand."""
