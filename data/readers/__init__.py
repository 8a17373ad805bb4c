"""Readers of files and datasets in all formats, as pairs or as labelled examples."""
