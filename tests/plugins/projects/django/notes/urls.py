from django.http import JsonResponse
from django.urls import path

from notes.models import Note


def count(request):
    return JsonResponse({"count": Note.objects.count()})


urlpatterns = [path("count", count)]
