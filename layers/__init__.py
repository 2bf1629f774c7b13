"""The Lambda layers: `core` is this project's own library, the others are pinned packages."""
