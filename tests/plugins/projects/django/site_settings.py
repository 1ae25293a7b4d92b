from pathlib import Path

SECRET_KEY = "for tests"
INSTALLED_APPS = ["django.contrib.contenttypes", "django.contrib.auth", "notes"]
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": Path(__file__).parent / "db.sqlite3",
        # In a file: workers that shared it would be noticed.
        "TEST": {"NAME": str(Path(__file__).parent / "test_db.sqlite3")},
    }
}
ROOT_URLCONF = "notes.urls"
DEFAULT_AUTO_FIELD = "django.db.models.AutoField"
USE_TZ = True
ALLOWED_HOSTS = ["*"]
