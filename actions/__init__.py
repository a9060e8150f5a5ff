"""The dialogue's actions: pure functions from a turn to slots, replies (text keys) and commands (data)."""
