"""One view: what is posted to /orders/<id>/<state> is pushed to who watches that order."""

from django.http import JsonResponse
from django.urls import path
from push import publish


def change(request, order, state):
    publish(f"/orders/{order}", {"order": order, "state": state})
    return JsonResponse({"order": order, "state": state})


urlpatterns = [path("orders/<int:order>/<slug:state>", change)]
