"""digits-audit: a Flower app that tries an attack out on its own server."""
