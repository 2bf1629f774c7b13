"""The one folder a lender edits: a module per credit product, each with a ``PRODUCT``."""
