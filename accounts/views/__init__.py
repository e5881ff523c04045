"""The API's routes for accounts, projects, keys and the audit log."""
