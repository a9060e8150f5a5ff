"""What the Makefile runs: preparing a checkout, and the project's own measurements."""
