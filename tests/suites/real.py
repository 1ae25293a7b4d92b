"""Real suites: source distributions that hold their tests, each with what it needs and with the
part of it that takes seconds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Suite:
    """One of them."""

    source: str
    """The release of which tests are run; it is installed, too."""
    args: Sequence[str] = ()
    """pytest's: which tests."""
    extra: Sequence[str] = ()
    """What its tests need beside it."""

    @property
    def name(self) -> str:
        return self.source.partition("==")[0]


SUITES = [
    Suite(
        "click==8.5.1",
        [
            "tests",
            "--ignore=tests/test_stream_lifecycle.py",
            "--ignore=tests/test_utils/test_echo_via_pager.py",
        ],
    ),
    Suite("marshmallow==4.4.0", ["tests"], ["simplejson"]),
    Suite(
        "attrs==26.1.0",
        [
            f"tests/test_{name}.py"
            for name in (
                "annotations",
                "cmp",
                "converters",
                "filters",
                "hooks",
                "next_gen",
                "setattr",
                "slots",
                "utils",
                "validators",
            )
        ],
        ["hypothesis", "cloudpickle"],
    ),
    Suite("pluggy==1.7.0", ["testing"]),
    Suite("more-itertools==11.2.1", ["tests/test_recipes.py"]),
    Suite(
        "packaging==26.4",
        [
            "tests/test_tags.py",
            "tests/test_markers.py",
            "tests/test_requirements.py",
            "tests/test_utils.py",
        ],
        ["pretend", "hypothesis", "tomli-w"],
    ),
    Suite("freezegun==1.5.5", ["tests"], ["python-dateutil"]),
    Suite(
        "jsonschema==4.26.0",
        ["jsonschema/tests"],
        ["jsonschema[format]", "jsonpath-ng", "hypothesis"],
    ),
    Suite("tomlkit==0.15.2", ["tests"], ["pyyaml"]),
    Suite("itsdangerous==2.2.0", ["tests"], ["freezegun"]),
    Suite("jinja2==3.1.6", ["tests"], ["trio"]),
    Suite(
        "werkzeug==3.1.9",
        ["tests", "--ignore=tests/test_serving.py", "--ignore=tests/live_apps"],
        ["ephemeral-port-reserve", "cryptography", "watchdog", "pytest-timeout"],
    ),
    Suite("flask==3.1.3", ["tests"], ["pytest==8.4.*", "asgiref", "python-dotenv", "greenlet"]),
    Suite(
        "requests==2.34.2",
        [
            "tests/test_utils.py",
            "tests/test_structures.py",
            "tests/test_help.py",
            "tests/test_hooks.py",
        ],
        ["pytest-httpbin", "pytest-mock", "trustme", "PySocks"],
    ),
    Suite(
        "structlog==26.1.0",
        ["tests"],
        ["freezegun", "pretend", "pytest-asyncio", "rich", "time-machine"],
    ),
    Suite("boltons==26.2.0", ["tests"]),
    Suite(
        "python-dateutil==4.0.0",
        ["tests"],
        ["hypothesis", "freezegun", "six", "attrs", "pytest-cov"],
    ),
    Suite("babel==2.19.0", ["tests"], ["freezegun", "pytz", "tzdata"]),
    Suite("tenacity==9.2.1", ["tests"], ["tornado", "typeguard", "pytest-asyncio", "trio"]),
    Suite("pyparsing==3.3.3", ["tests/test_unit.py"], ["railroad-diagrams", "jinja2"]),
    Suite("simplejson==4.3.0", ["simplejson/tests"]),
    Suite(
        "starlette==1.10.0",
        ["tests"],
        [
            "httpx2[zstd]",
            "anyio",
            "sniffio",
            "python-multipart",
            "itsdangerous",
            "jinja2",
            "pyyaml",
            "trio",
            "typing-extensions",
        ],
    ),
    Suite(
        "pygments==2.21.0",
        ["tests", "--ignore=tests/examplefiles", "--ignore=tests/snippets"],
        ["wcag-contrast-ratio"],
    ),
    Suite(
        "faker==40.63.0",
        [
            "tests/test_factory.py",
            "tests/test_generator.py",
            "tests/test_proxy.py",
            "tests/test_unique.py",
            "tests/utils",
        ],
        ["freezegun", "validators", "ukpostcodeparser"],
    ),
    Suite(
        "arrow==1.4.0",
        ["tests", "-o", "addopts="],
        ["dateparser", "pytz", "simplejson", "pytest-mock"],
    ),
    Suite(
        "tornado==6.6.1",
        [
            f"tornado/test/{name}_test.py"
            for name in ("escape", "gen", "httputil", "locale", "template", "util", "options")
        ],
    ),
    Suite(
        "httpx==0.28.1",
        [
            "tests/models",
            "tests/test_auth.py",
            "tests/test_content.py",
            "tests/test_multipart.py",
            "tests/test_utils.py",
        ],
        [
            "trio",
            "uvicorn",
            "trustme",
            "cryptography",
            "chardet",
            "brotli",
            "zstandard",
            "click",
            "rich",
            "pygments",
            "h2",
            "socksio",
        ],
    ),
    Suite(
        "typer==0.29.2",
        ["tests/test_types.py", "tests/test_others.py", "tests/test_exit_errors.py"],
        ["coverage", "shellingham", "rich"],
    ),
    Suite(
        "pydantic==2.14.4",
        [
            "tests/test_validators.py",
            "tests/test_fields.py",
            "tests/test_config.py",
            "tests/test_aliases.py",
        ],
        [
            "dirty-equals",
            "pytest-mock",
            "pytest-benchmark",
            "jsonschema",
            "email-validator",
            "pytz",
            "faker",
            "pytest-examples",
            "pytest-run-parallel",
        ],
    ),
    Suite("sqlparse==0.6.1", ["tests"]),
    Suite("jmespath==1.1.0", ["tests"]),
    Suite("humanize==4.17.0", ["tests"], ["freezegun"]),
    Suite("parso==0.8.7", ["test"]),
    Suite("yarl==1.25.1", ["tests", "-o", "addopts="], ["hypothesis", "pytest-codspeed"]),
    Suite("idna==3.20", ["tests"], ["hypothesis"]),
    Suite("h11==0.16.0", ["h11/tests"]),
    Suite("isodate==0.7.2", ["tests"]),
    Suite("mistune==3.4.0", ["tests"]),
    Suite("pathspec==1.1.1", ["tests"]),
    Suite("prettytable==3.18.0", ["tests"], ["pytest-lazy-fixtures"]),
    Suite("pyrsistent==0.20.0", ["tests"], ["hypothesis"]),
    Suite("schema==0.7.8", ["test_schema.py"]),
    Suite("soupsieve==4.1.3", ["tests"], ["beautifulsoup4", "html5lib", "lxml"]),
    Suite("wcwidth==0.9.4", ["tests", "-o", "addopts="]),
    Suite("glom==25.12.0", ["glom/test"], ["pyyaml"]),
    Suite("blinker==1.9.0", ["tests"], ["pytest-asyncio"]),
    Suite(
        "cattrs==26.2.1",
        [
            "tests/test_converter_inheritance.py",
            "tests/test_disambiguators.py",
            "tests/test_copy.py",
            "tests/strategies",
        ],
        [
            "hypothesis",
            "immutables",
            "msgspec",
            "orjson",
            "pyyaml",
            "tomlkit",
            "ujson",
            "cbor2",
            "msgpack",
            "pymongo",
        ],
    ),
    Suite("dacite==1.9.2", ["tests"]),
    Suite(
        "deepdiff==9.1.0",
        [
            "tests/test_diff_text.py",
            "tests/test_search.py",
            "tests/test_path.py",
            "tests/test_delta.py",
        ],
        [
            "numpy",
            "pydantic",
            "pyyaml",
            "tomli-w",
            "jsonpickle",
            "python-dateutil",
            "pytz",
            "pandas",
            "orjson",
            "click",
        ],
    ),
    Suite(
        "lark==1.3.1",
        [
            "tests/test_cache.py",
            "tests/test_grammar.py",
            "tests/test_lexer.py",
            "tests/test_tools.py",
            "tests/test_trees.py",
        ],
    ),
    Suite("bleach==6.4.0", ["tests"], ["tinycss2"]),
]
