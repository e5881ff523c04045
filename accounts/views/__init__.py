"""The routes of people and their projects, by what they are about."""
