"""What the service does, told in terms of the domain and the ports."""
