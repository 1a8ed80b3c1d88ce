"""What a daemon holds, for browsers, Prometheus and load balancers."""
