"""A task as data: how its examples are read, answered and scored.

text_to_text.py has the tasks of an encoder-decoder, encoder.py those of an encoder with a head.
"""
