"""The public door, the web chat API and what they stand on."""
