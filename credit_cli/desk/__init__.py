"""The loan desk: a small web app on this machine, over the API and the records of a deployment."""
