"""The tables and the questions that we ask them, one file per subject."""
