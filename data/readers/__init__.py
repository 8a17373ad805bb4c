"""Readers: files and data sets of every format, as pairs or as labelled examples."""
