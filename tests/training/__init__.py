"""Tests of transformer/training."""
