from django import template

from core.number_formats import count, dollars, iso_time

register = template.Library()
register.filter("number", count)
register.filter("usd", dollars)
register.filter("iso_time", iso_time)
