"""Pages for people: one HTML file each, with its style and its pictures, that loads nothing."""
