"""Tasks: how examples are read, and how predictions become answers and scores.

encoder.py has the tasks of an encoder with a head, text_to_text.py those of an encoder-decoder.
"""
