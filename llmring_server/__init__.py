"""The name by which the older server was imported and started."""
