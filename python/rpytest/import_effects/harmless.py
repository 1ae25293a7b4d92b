"""What may be executed while a test module is imported, because it leaves nothing: by name, and by
what an object is.

Whatever is not here counts as something that leaves a trace. An entry belongs here if its source
was read: it computes something from its arguments, or keeps them in what it returns, and changes
nothing that anybody else can find. See :mod:`rpytest.import_effects.analysis`.
"""

from __future__ import annotations

import ast
import builtins
import enum
import importlib.machinery
import sys
import types
from types import ModuleType
from typing import Any

#: The attributes of a class, whatever its metaclass says.
CLASS_CONTENTS: Any = type.__dict__["__dict__"].__get__

#: Stands for a value that is not found.
NOTHING = object()


def names(text: str) -> frozenset[str]:
    return frozenset(text.split())


#: Called with plain arguments, these give something plain, and leave nothing.
PURE = names(
    """
    base64.b64decode base64.b64encode binascii.hexlify binascii.unhexlify
    collections.Counter collections.OrderedDict collections.deque collections.namedtuple
    copy.copy copy.deepcopy
    datetime.date datetime.datetime datetime.time datetime.timedelta datetime.timezone
    datetime.date.fromisoformat datetime.datetime.fromisoformat
    decimal.Decimal fractions.Fraction
    hashlib.md5 hashlib.new hashlib.sha1 hashlib.sha256 hashlib.sha512
    io.BytesIO io.StringIO
    ipaddress.ip_address ipaddress.ip_network
    itertools.accumulate itertools.chain itertools.chain.from_iterable itertools.combinations
    itertools.combinations_with_replacement itertools.count itertools.cycle itertools.islice
    itertools.permutations itertools.product itertools.repeat itertools.zip_longest
    json.dumps json.loads
    math.ceil math.copysign math.cos math.exp math.fabs math.factorial math.floor math.gcd
    math.isclose math.isinf math.isnan math.log math.log10 math.log2 math.pow math.prod math.radians
    math.sin math.sqrt math.tan math.trunc
    numpy.arange numpy.array numpy.eye numpy.full numpy.linspace numpy.ones numpy.zeros
    operator.attrgetter operator.itemgetter operator.methodcaller
    os.fspath os.path.basename os.path.commonpath os.path.dirname os.path.isabs os.path.join
    os.path.normcase os.path.normpath os.path.split os.path.splitext
    pathlib.PurePath pathlib.PurePosixPath pathlib.PureWindowsPath pathlib.Path pathlib.PosixPath
    re.compile re.escape
    string.Template struct.pack struct.unpack struct.calcsize
    textwrap.dedent textwrap.indent
    types.MappingProxyType types.SimpleNamespace
    uuid.UUID
    """
)

#: The same, of what may be another thing at another moment.
READING = names(
    """
    datetime.date.today datetime.datetime.now datetime.datetime.utcnow
    os.getcwd os.getenv os.getpid os.cpu_count os.listdir
    os.environ.get os.path.abspath os.path.exists os.path.expanduser os.path.expandvars
    os.path.getsize os.path.isdir os.path.isfile os.path.islink os.path.realpath os.path.relpath
    pathlib.Path.cwd pathlib.Path.home
    platform.machine platform.python_implementation platform.python_version platform.release
    platform.system
    random.Random shutil.which time.monotonic time.perf_counter time.time uuid.uuid4
    """
)

#: Called with whatever it is, these keep it in what they return and do nothing with it.
STORING = names(
    """
    contextlib.nullcontext dataclasses.field functools.partial pytest.param pytest.raises
    typing.TypeVar
    """
)

#: Decorators of functions and classes, as such or called with anything that is only stored.
DECORATORS = names(
    """
    abc.abstractmethod asyncio.coroutine contextlib.asynccontextmanager contextlib.contextmanager
    dataclasses.dataclass enum.unique functools.cache functools.cached_property functools.lru_cache
    functools.total_ordering functools.wraps pytest.fixture pytest.yield_fixture typing.final
    typing.runtime_checkable typing_extensions.final
    unittest.expectedFailure unittest.mock.patch unittest.mock.patch.dict unittest.mock.patch.object
    unittest.skip unittest.skipIf unittest.skipUnless
    """
)

#: Decorators that are among Python's own names.
BUILTIN_DECORATORS = names("classmethod property staticmethod")

#: Classes of Python and pytest that may be the base of one of the module's own.
BASES = names(
    """
    abc.ABC collections.OrderedDict collections.UserDict collections.UserList
    collections.abc.Mapping collections.abc.Sequence collections.abc.MutableMapping
    enum.Enum enum.Flag enum.IntEnum enum.IntFlag enum.StrEnum
    typing.Generic typing.NamedTuple typing.Protocol typing.TypedDict
    typing_extensions.Protocol typing_extensions.TypedDict
    unittest.IsolatedAsyncioTestCase unittest.TestCase
    """
)

#: Python's own functions that do nothing but compute, from plain arguments.
PURE_BUILTINS = names(
    """
    abs all any ascii bin bool bytearray bytes chr complex dict divmod enumerate float format
    frozenset hash hex int isinstance issubclass iter len list max min next object oct ord pow range
    repr reversed round set slice sorted str sum tuple type zip
    """
)

#: Those of :data:`PURE_BUILTINS` that may be called with a `Kind.CONTAINER`, too: they only hand
#: its members on.
OF_CONTAINERS = names("dict enumerate iter len list reversed tuple zip")

#: Methods of Python's own types, of paths and of what :data:`PURE` gives, that are operations.
METHODS = names(
    """
    absolute add append as_integer_ratio as_posix as_uri astimezone bit_length capitalize casefold
    center clear conjugate copy count date day decode difference digest discard elements encode
    endswith expandtabs extend find format format_map from_bytes fromhex fromkeys get getvalue group
    groups hex hexdigest index insert intersection is_absolute isalnum isalpha isascii isdecimal
    isdigit isdisjoint isidentifier islower isnumeric isoformat isprintable isspace issubset
    issuperset istitle isupper items join joinpath keys ljust lower lstrip maketrans match
    most_common partition pop popitem quantize relative_to remove removeprefix removesuffix replace
    reshape reverse rfind rindex rjust rpartition rsplit rstrip setdefault sort split splitlines
    startswith strftime strip substitute safe_substitute swapcase symmetric_difference time
    timestamp title to_bytes tolist total_seconds translate union update upper utcoffset values
    with_name with_stem with_suffix zfill
    """
)

#: The same, which look at files.
READING_METHODS = names(
    """
    exists expanduser glob is_dir is_file is_symlink iterdir read_bytes read_text resolve rglob stat
    """
)

#: Methods that only fill or empty a container of the module's own, or hand on what is in it.
CONTAINER_METHODS = names(
    """
    add append appendleft clear copy extend get insert items keys pop popitem reverse setdefault
    update values
    """
)

#: Values that are the same at any moment.
CONSTANT_VALUES = names(
    """
    datetime.UTC datetime.timezone.utc os.name os.sep os.linesep os.pathsep sys.byteorder
    sys.implementation sys.maxsize sys.platform sys.version sys.version_info
    sys.executable sys.prefix sys.base_prefix
    """
)

#: Subscripted, these are type hints.
GENERIC_ROOTS = names("typing typing_extensions collections types contextlib")
GENERIC_BUILTINS = names("list dict tuple set frozenset type")

#: Names that a module has from the beginning.
GIVEN_NAMES = names("__name__ __file__ __doc__ __package__ __debug__")

#: Special methods that Python or pytest may call while a class is made, collected or compared.
HOOKS_OF_CLASSES = names(
    """
    __class__ __class_getitem__ __del__ __delattr__ __dir__ __get__ __getattr__ __getattribute__
    __init_subclass__ __instancecheck__ __new__ __prepare__ __set_name__ __setattr__
    __subclasscheck__ __subclasshook__ _generate_next_value_ _missing_
    """
)

SIMPLE = (bool, int, float, complex, str, bytes, type(None))

FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)

#: Types of what a class may hold for a sub-class of it to be made, and looked at, without a trace.
CLASS_PARTS = (
    types.FunctionType,
    types.BuiltinFunctionType,
    types.GetSetDescriptorType,
    types.MemberDescriptorType,
    types.MappingProxyType,
    staticmethod,
    classmethod,
    property,
    tuple,
    list,
    dict,
    frozenset,
    set,
    *SIMPLE,
)

#: Names of metaclasses whose classes answer as those of `type` do.
METACLASSES = ("type", "ABCMeta", "EnumMeta", "EnumType", "_ProtocolMeta", "NamedTupleMeta")


def is_mark(name: str | None) -> bool:
    return name is not None and name.startswith("pytest.mark.") and name.count(".") == 2


def is_exception(name: str) -> bool:
    value: Any = vars(builtins).get(name)
    return isinstance(value, type) and issubclass(value, BaseException)


def canonical(name: str) -> str:
    """`from os.path import join` and `from os import environ` are what they are called here."""
    return "os.path." + name.rpartition(".")[2] if name.startswith("posixpath.") else name


def is_findable(name: str) -> bool:
    top = name.partition(".")[0]
    if top in sys.modules or top in sys.builtin_module_names:
        return True
    try:
        return importlib.machinery.PathFinder.find_spec(top) is not None
    except (ImportError, ValueError, AttributeError):
        return True


def resolve(name: str) -> Any:
    """What a full name stands for, without running anything; :data:`NOTHING`: unknown."""
    parts = name.split(".")
    for end in range(len(parts), 0, -1):
        value: Any = sys.modules.get(".".join(parts[:end]))
        if type(value) is not ModuleType:
            continue
        for part in parts[end:]:
            if type(value) is ModuleType:
                value = vars(value).get(part, NOTHING)
            elif isinstance(value, enum.EnumMeta):
                value = value._member_map_.get(part, CLASS_CONTENTS(value).get(part, NOTHING))
            elif type(value) is type:
                value = next(
                    (held[part] for held in map(CLASS_CONTENTS, value.__mro__) if part in held),
                    NOTHING,
                )
                if not isinstance(value, (*CLASS_PARTS, type)):
                    # A descriptor would compute what this stands for.
                    return NOTHING
            else:
                return NOTHING
            if value is NOTHING:
                return value
        return value
    return NOTHING


def has_plain_metaclass(value: type) -> bool:
    meta = type(value)
    return meta.__name__ in METACLASSES and meta.__module__ in (
        "builtins",
        "abc",
        "enum",
        "typing",
        "typing_extensions",
    )


def is_benign(value: Any) -> bool:
    """Whether nobody notices that it is asked for `__class__`, `__test__`, `__name__`…, as pytest
    does.

    Never by `isinstance`: objects that are made when they are first used say so in `__class__`.
    """
    kind = type(value)
    if issubclass(kind, type):
        return has_plain_metaclass(value)
    if not has_plain_metaclass(kind):
        return False
    for held in map(CLASS_CONTENTS, kind.__mro__[:-1]):
        if held.get("__module__") in ("builtins", "enum", "functools", "types"):
            continue
        answers = ("__getattr__", "__getattribute__", "__class__", "__test__", "__name__")
        is_known = kind.__module__ in sys.stdlib_module_names and kind.__module__ != "unittest.mock"
        if not is_known and not held.keys().isdisjoint(answers):
            return False
        if issubclass(kind, enum.Enum) and not held.keys().isdisjoint(("__str__", "__format__")):
            return False
    return True


def is_test_case(value: type) -> bool:
    unittest: Any = sys.modules.get("unittest")
    return unittest is not None and issubclass(value, unittest.TestCase)


def may_be_base(value: Any, is_test_class: bool) -> bool:
    """Whether making a sub-class of it runs no code of anybody, and neither does looking at
    that.
    """
    if type(value) is not type:
        return False
    for each in value.__mro__[:-1]:
        if type(each) is not type:
            return False
        if each.__module__ in ("builtins", "unittest.case", "typing"):
            continue
        for name, part in CLASS_CONTENTS(each).items():
            if name in HOOKS_OF_CLASSES or not isinstance(part, CLASS_PARTS):
                return False
            if is_test_class and isinstance(part, property):
                return False
    return True


def has_no_owner(value: Any) -> bool:
    """Whether a class that has it as an attribute does not tell it so (`__set_name__`), nor asks
    it.
    """
    kind = type(value)
    return (
        isinstance(value, (types.FunctionType, ModuleType, *SIMPLE))
        or kind is type
        or isinstance(value, enum.Enum)
    )
