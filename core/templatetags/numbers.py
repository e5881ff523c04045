from django import template

from core.number_formats import count, exact, utc

register = template.Library()
register.filter("number", count)
register.filter("usd", exact)
register.filter("utc", utc)
