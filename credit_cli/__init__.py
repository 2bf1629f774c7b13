"""The `credit` command: the local cloud, the demo, and one application scored."""
