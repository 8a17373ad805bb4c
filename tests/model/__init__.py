"""Tests of transformer/model."""
