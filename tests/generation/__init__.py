"""Tests of transformer/generation."""
