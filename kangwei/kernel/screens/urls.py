"""Addresses every account has; they stand at the root, without a namespace of their own."""

from django.urls import path

from kangwei.kernel.screens import views

root_urlpatterns = [
    path("", views.home, name="home"),
    path("home/arrange/", views.arrange_home, name="home-arrange"),
    path("search/", views.search, name="search"),
    path("help/", views.help_page, name="help"),
    path("help/<str:name>/", views.help_page, name="help"),
]
