"""The shared library of the credit-decision service: the Lambda layer and the installed package."""
