"""How fast it is: beside bare engines and peers in one run, and through the HTTP door of a real server."""
