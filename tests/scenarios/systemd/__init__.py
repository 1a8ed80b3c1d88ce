"""The units of systemd, as files and as systemd runs them."""
