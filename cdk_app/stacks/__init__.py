"""Stacks: each composes components and declares nothing itself."""
