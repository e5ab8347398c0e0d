"""Chapters of the world that web tells itself: places and people."""
