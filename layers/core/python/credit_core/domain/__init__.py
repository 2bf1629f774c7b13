"""Pure functions on arrays and values: no network, no clock, no AWS."""
