"""One use case a file. A service is handed its adapters and the clock."""
