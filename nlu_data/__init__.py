"""What the bot understands: training data, components, and the private Rasa server."""
