import json
import urllib.request

import pytest
from django.db import connection
from django.db.utils import IntegrityError

from notes.models import Note


@pytest.mark.django_db
@pytest.mark.parametrize("i", range(8))
def test_is_rolled_back(i):
    # Unique: another worker's, or one that was not rolled back, would be in the way.
    Note.objects.create(text="the same for all")
    assert Note.objects.count() == 1


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("i", range(3))
def test_commits(i):
    Note.objects.create(text="committed")
    assert Note.objects.count() == 1


@pytest.mark.django_db
def test_unique():
    Note.objects.create(text="twice")
    with pytest.raises(IntegrityError):
        Note.objects.create(text="twice")


@pytest.mark.django_db
def test_database_of_worker(request):
    name = str(connection.settings_dict["NAME"])
    worker = getattr(request.config, "workerinput", {}).get("workerid")
    assert name.endswith(f"/test_db.sqlite3_{worker}" if worker else "/test_db.sqlite3")


@pytest.mark.django_db
def test_client(client):
    Note.objects.create(text="one")
    assert client.get("/count").json() == {"count": 1}


def test_live(live_server, transactional_db):
    Note.objects.create(text="live")
    with urllib.request.urlopen(f"{live_server.url}/count") as answer:
        assert json.load(answer) == {"count": 1}


@pytest.mark.django_db
def test_fails(django_assert_num_queries):
    with django_assert_num_queries(2):
        Note.objects.count()


def test_blocked():
    with pytest.raises(RuntimeError, match="Database access not allowed"):
        Note.objects.count()


def test_settings(settings):
    settings.DEBUG = True


def test_mail(mailoutbox):
    assert mailoutbox == []
