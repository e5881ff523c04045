"""Times as core.number_formats writes them; they are in UTC (TIME_ZONE)."""

DATETIME_FORMAT = r"Y-m-d H:i:s\Z"
DATE_FORMAT = "Y-m-d"
