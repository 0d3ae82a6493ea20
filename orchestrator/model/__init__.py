"""What things are: frozen data, JSON at every border."""
