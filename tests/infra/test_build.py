"""`sam build` without Docker and without Lambda's Python: what comes out of it runs in Lambda."""

import os
import platform
import re
import struct
import subprocess
import sys
from pathlib import Path

import pytest

from infra.local.lambdas.python import lambda_python
from tests.infra.conftest import ROOT, sam

CORE = ROOT / "layers" / "core"
LUA = CORE / "src" / "tollkeeper_core" / "lua"
HANDLERS = {
    "InterceptFunction": "functions.intercept.app",
    "LogUsageFunction": "functions.log_usage.app",
    "StripeWebhookFunction": "functions.stripe_webhook.app",
    "UpgradePageFunction": "functions.upgrade_page.app",
    "SyncConfigFunction": "functions.sync_config.app",
    "ReconcileFunction": "functions.reconcile.app",
    "AutoTopUpFunction": "functions.auto_topup.app",
}
# Lambda's limit for a function and its layers, unzipped, is 250 MB.
LAYER_BYTES_MAX = 100 * 1024 * 1024
ELF_MACHINE = struct.Struct("<18xH")
AARCH64 = 183


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("build")
    said = sam("build", "--build-dir", str(folder), BUILD_PYTHON=sys.executable)
    assert "Build Succeeded" in said
    return folder


@pytest.fixture(scope="module")
def layer_for_this_machine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same layer, built by the same target for the machine that runs the tests."""
    folder = tmp_path_factory.mktemp("layer")
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    subprocess.run(
        ["make", "--silent", "-C", str(CORE), "build-CoreLayer", f"ARTIFACTS_DIR={folder}"],
        env={
            **os.environ,
            "BUILD_PYTHON": sys.executable,
            "LAYER_PLATFORM": f"manylinux2014_{platform.machine()}",
            "LAYER_PYTHON_VERSION": version,
        },
        check=True,
    )
    return folder / "python"


@pytest.mark.parametrize(("name", "module"), HANDLERS.items())
def test_a_function_is_its_own_package_and_nothing_else(
    built: Path, name: str, module: str
) -> None:
    package = module.split(".")[1]
    source = ROOT / "functions" / package
    expected = {
        Path("functions", package, path.relative_to(source))
        for path in source.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }

    found = {path.relative_to(built / name) for path in (built / name).rglob("*") if path.is_file()}

    assert found == expected | {Path("functions/__init__.py")}
    assert Path(*module.split(".")).with_suffix(".py") in found


def test_the_layers_compiled_parts_are_lambdas(built: Path) -> None:
    libraries = list((built / "CoreLayer" / "python").rglob("*.so"))

    assert "_pydantic_core.cpython-313-aarch64-linux-gnu.so" in {each.name for each in libraries}
    for library in libraries:
        (machine,) = ELF_MACHINE.unpack(library.read_bytes()[:20])
        assert machine == AARCH64, library.name
        assert re.search(r"\.(cpython-313-aarch64-linux-gnu|abi3)\.so$", library.name), library.name


def test_the_layer_has_the_pinned_versions(built: Path) -> None:
    locked = re.findall(
        r"^([\w.-]+)==([\w.]+)(?! ; .*sys_platform == 'emscripten')",
        (CORE / "requirements.txt").read_text(),
        re.MULTILINE,
    )
    installed = {
        folder.name.removesuffix(".dist-info").lower().replace("_", "-")
        for folder in (built / "CoreLayer" / "python").glob("*.dist-info")
    }

    assert len(locked) > 20
    wanted = {f"{name.replace('_', '-').lower()}-{version}" for name, version in locked}
    assert installed - wanted == {"tollkeeper-core-0.1.0"}
    assert {name.rpartition("-")[0] for name in wanted - installed} <= {"httpx2-jsfetch"}


def test_the_layer_has_the_core_with_its_scripts(built: Path) -> None:
    package = built / "CoreLayer" / "python" / "tollkeeper_core"
    source = CORE / "src" / "tollkeeper_core"
    expected = {
        path.relative_to(source): path.read_bytes()
        for path in source.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }

    assert len([path for path in expected if path.suffix == ".lua"]) == len(list(LUA.glob("*.lua")))
    assert {
        path.relative_to(package): path.read_bytes()
        for path in package.rglob("*")
        if path.is_file()
    } == expected


def test_the_layer_is_lean(built: Path) -> None:
    layer = built / "CoreLayer"
    files = [path for path in layer.rglob("*") if path.is_file()]

    assert sum(path.stat().st_size for path in files) < LAYER_BYTES_MAX
    assert not [path for path in layer.rglob("*") if path.name in {"__pycache__", "tests", "bin"}]


def test_equal_sources_make_an_equal_layer(built: Path) -> None:
    """pip's note of where a package came from names a scratch folder: another one each time."""
    assert not list((built / "CoreLayer").rglob("direct_url.json"))


@pytest.mark.parametrize(("name", "module"), HANDLERS.items())
def test_a_function_and_the_layer_are_all_that_it_imports(
    built: Path, layer_for_this_machine: Path, name: str, module: str
) -> None:
    """No other package than those and Lambda's own: what is missing from the layer fails here."""
    path = [str(built / name), str(layer_for_this_machine), str(lambda_python().packages)]
    script = (
        f"import sys; sys.path[:0] = {path!r}\n"
        f"import {module} as app\n"
        f"assert app.__file__.startswith({str(built)!r}), app.__file__\n"
        "import tollkeeper_core\n"
        f"assert tollkeeper_core.__file__.startswith({str(layer_for_this_machine)!r})\n"
        "assert callable(app.handler)\n"
        # What a builder imports late, when a request needs it, has to be there as well.
        "import importlib, pkgutil, boto3, stripe, genai_prices\n"
        "for found in pkgutil.walk_packages(tollkeeper_core.__path__, 'tollkeeper_core.'):\n"
        "    importlib.import_module(found.name)\n"
    )
    done = subprocess.run(
        # Isolated and without site-packages: the project's own environment stays out.
        [sys.executable, "-I", "-S", "-B", "-c", script],
        env={"AWS_REGION": "eu-west-1", "POWERTOOLS_METRICS_NAMESPACE": "Tollkeeper"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
