"""The deployed dashboard's metrics for Prometheus and Grafana."""
