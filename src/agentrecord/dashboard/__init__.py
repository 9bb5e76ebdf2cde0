"""The dashboard: pages rendered on the server, over the same operations that everybody uses."""
