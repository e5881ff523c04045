from django.urls import re_path

from templates_app import views

_ONE = r"^templates/(?P<template_id>[^/]+)"

urlpatterns = [
    re_path(r"^templates/?$", views.TemplatesView.as_view(), name="templates"),
    re_path(r"^templates/stats/?$", views.StatsView.as_view(), name="templates-stats"),
    re_path(rf"{_ONE}/?$", views.TemplateView.as_view(), name="template"),
    re_path(rf"{_ONE}/use/?$", views.UseView.as_view(), name="template-use"),
]
