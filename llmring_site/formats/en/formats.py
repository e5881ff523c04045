"""Times as the API writes them, to the second; they are in UTC (TIME_ZONE)."""

DATETIME_FORMAT = r"Y-m-d\TH:i:s\Z"
DATE_FORMAT = "Y-m-d"
