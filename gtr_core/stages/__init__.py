"""Stages of the method that change weights or planes."""
