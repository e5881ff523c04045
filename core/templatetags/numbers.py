from django import template

from core.figures import exact
from core.number_formats import count, utc

register = template.Library()
register.filter("number", count)
register.filter("usd", exact)
register.filter("utc", utc)
