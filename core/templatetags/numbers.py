from django import template

from core.figures import exact
from core.number_formats import count, iso_time

register = template.Library()
register.filter("number", count)
register.filter("usd", exact)
register.filter("iso_time", iso_time)
