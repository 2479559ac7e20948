"""The web application: visitors, uploads, downloads, REST, health, metrics."""
