"""The sample images, built with `images` and `artifacts`. All names are invented.

A function that returns `Tags` builds one sample: a dict that maps each tag to the manifest to push
with that tag. The other functions build layers and images that the samples use.
"""

from __future__ import annotations

from datetime import timedelta
from functools import cache

from .artifacts import artifact, attestation, chart, signature, signature_tag
from .images import (
    BUILT,
    DOCKER,
    OCI,
    Family,
    Image,
    Layer,
    Manifest,
    Step,
    filler,
    image,
    index,
    layer,
)

OS_RELEASE = 'NAME="Orchard Linux"\nID=orchard\nVERSION_ID="12"\nPRETTY_NAME="Orchard Linux 12"\n'
ACCOUNTS = "root:x:0:0:root:/root:/bin/sh\napp:x:1000:1000:app:/srv/app:/bin/false\n"
PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
SOURCE = "https://git.example.test/orchard"
Tags = dict[str, Manifest]
PLATFORMS = ("linux/amd64", "linux/arm64", "linux/arm/v7")


@cache
def system(architecture: str = "amd64", size: int = 2_400_000) -> Layer:
    """Return the first layer of the sample images: the files of a small operating system."""
    return layer(
        {
            "etc/os-release": OS_RELEASE,
            "etc/passwd": ACCOUNTS,
            "etc/orchard/architecture": architecture + "\n",
            "usr/lib/libsystem.so": filler(size, f"system {architecture}"),
        },
        f"ADD orchard-12-{architecture}-rootfs.tar.xz / # buildkit",
    )


@cache
def interpreter() -> Layer:
    """Return the layer with a Python interpreter, which several images share."""
    return layer(
        {
            "usr/local/lib/python3.12/VERSION": "3.12.7\n",
            "usr/local/lib/libpython3.12.so": filler(1_300_000, "libpython"),
            "usr/local/lib/python3.12/zipfile.py": "# the standard library, in spirit\n" * 400,
        },
        "RUN /bin/sh -c apt-get update && apt-get install --yes python3.12 # buildkit",
    )


def application(
    name: str, version: str, *, family: Family = OCI, annotations: dict[str, str] | None = None
) -> Image:
    """Return the image of a Python service: several layers, and a config with every field."""
    code_files: dict[str, str | bytes] = {
        f"srv/{name}/app.py": f'"""{name} {version}"""\n\nprint("{name}", "{version}")\n',
        f"srv/{name}/static/app.js": filler(48_000, f"{name} {version}").hex(),
    }
    package_files: dict[str, str | bytes] = {f"srv/{name}/packages/needs.so": filler(420_000, name)}
    start_script = {"usr/local/bin/start.sh": f'#!/bin/sh\nexec python3 /srv/{name}/app.py "$@"\n'}
    install = f"RUN /bin/sh -c pip install --target /srv/{name}/packages -r requirements.txt"
    steps: list[Layer | Step] = [
        system(),
        Step('CMD ["/bin/sh"]'),
        interpreter(),
        Step("ENV PYTHONUNBUFFERED=1"),
        layer(package_files, f"{install} # buildkit"),
        Step(f"ARG VERSION={version}"),
        layer(code_files, f"COPY --chown=app . /srv/{name} # buildkit"),
        layer(start_script, "COPY start.sh /usr/local/bin/ # buildkit"),
        Step(f"WORKDIR /srv/{name}"),
        Step("USER app"),
        Step("EXPOSE map[8000/tcp:{}]"),
        Step('HEALTHCHECK &{["CMD" "start.sh" "--check"] "30s" "3s" "0s" "0s" \'\\x03\'}'),
        Step('ENTRYPOINT ["start.sh"]'),
        Step('CMD ["serve" "--port=8000"]'),
    ]
    return image(steps, family=family, runtime=_runtime(name, version), annotations=annotations)


def _runtime(name: str, version: str) -> dict[str, object]:
    """Return the ``config`` object of a service's image config.

    One environment variable contains characters that a page must escape.
    """
    greeting = "GREETING=grüß Gott & <b>hello</b>"
    return {
        "User": "app",
        "ExposedPorts": {"8000/tcp": {}},
        "Env": [PATH, "PYTHONUNBUFFERED=1", f"APP_VERSION={version}", greeting],
        "Entrypoint": ["start.sh"],
        "Cmd": ["serve", "--port=8000"],
        "WorkingDir": f"/srv/{name}",
        "Volumes": {f"/srv/{name}/data": {}},
        "Labels": {
            "org.opencontainers.image.title": name,
            "org.opencontainers.image.version": version,
            "org.opencontainers.image.source": f"{SOURCE}/{name}",
            "test.example.team": "orchard",
        },
        "Healthcheck": {
            "Test": ["CMD", "start.sh", "--check"],
            "Interval": 30_000_000_000,
            "Timeout": 3_000_000_000,
            "Retries": 3,
        },
        "StopSignal": "SIGTERM",
    }


def plain(name: str, version: str, family: Family = OCI) -> Image:
    """Return a small image of two layers."""
    files: dict[str, str | bytes] = {
        f"srv/{name}/VERSION": version + "\n",
        f"srv/{name}/data.bin": filler(90_000, name),
    }
    return image(
        [system(), layer(files, f"COPY . /srv/{name} # buildkit"), Step(f'CMD ["/srv/{name}"]')],
        family=family,
        runtime={"Env": [PATH], "Cmd": [f"/srv/{name}"], "WorkingDir": f"/srv/{name}"},
    )


def storefront() -> Tags:
    """Return a sample: a root image, whose repository name is the path of its project."""
    return {"1.0": plain("shop", "1.0")}


def web() -> Tags:
    """Return a sample: an image two levels below its project."""
    return {"3.2": application("web", "3.2")}


def retry() -> Tags:
    """Return a sample: an image four levels below its project."""
    return {"0.9.1": plain("retry", "0.9.1")}


def worker() -> Tags:
    """Return a sample: one image under two tags."""
    return dict.fromkeys(("1.7.0", "latest"), plain("worker", "1.7.0"))


def ledger() -> Tags:
    """Return a sample: an image in a private project, which non-members must not see."""
    return {"1.1": plain("api", "1.1", DOCKER)}


def scratch() -> Tags:
    """Return a sample: an image in a personal project, under a tag that is not a version."""
    return {"dev": plain("out", "dev")}


@cache
def backend() -> Image:
    """Return a Docker schema 2 image with several layers and a full history."""
    return application("backend", "2.4.1", family=DOCKER)


def backend_tags() -> Tags:
    """Return a sample: the `backend` image, under its version as the tag."""
    return {"2.4.1": backend()}


def backend_signature() -> Tags:
    """Return a sample: the cosign signature of `backend`, under the tag that cosign looks for."""
    # The host can be made up: cosign checks only the digest, not the reference.
    manifest = signature(backend(), "registry.example.test/orchard/shop/backend")
    return {signature_tag(backend()): manifest}


def frontend() -> Tags:
    """Return a sample: an OCI image with the annotations that the OCI image-spec defines."""
    annotations = {
        "created": "2026-11-02T09:30:00Z",
        "authors": "The orchard team <team@example.test>",
        "url": "https://shop.example.test",
        "documentation": "https://shop.example.test/docs",
        "source": f"{SOURCE}/frontend",
        "version": "5.0.0",
        "revision": "3f9a1c27b6e04d5588f2c7a90b1d64e2f5a7c813",
        "vendor": "Orchard, invented",
        "licenses": "MIT",
        "title": "Shop frontend",
        "description": "What visitors of the shop see.",
        "base.name": "registry.example.test/orchard/platform/runtime/base:2026.11",
    }
    prefixed = {f"org.opencontainers.image.{key}": text for key, text in annotations.items()}
    return {"5.0.0": application("frontend", "5.0.0", annotations=prefixed)}


def base() -> Tags:
    """Return a sample: an OCI index for three platforms with attestations, as buildx writes it."""
    images = [
        image(
            [
                system(platform.replace("/", "-"), size),
                layer({"etc/orchard/version": "12\n"}, "RUN /bin/sh -c setup # buildkit"),
                Step("ENV ORCHARD_VERSION=12"),
                Step('CMD ["/bin/sh"]'),
            ],
            platform=platform,
            runtime={"Env": [PATH, "ORCHARD_VERSION=12"], "Cmd": ["/bin/sh"]},
        )
        for platform, size in zip(PLATFORMS, (900_000, 860_000, 640_000), strict=True)
    ]
    return {"2026.11": index([*images, *(attestation(child) for child in images)])}


def shop_chart() -> Tags:
    """Return a sample: a Helm chart. Helm replaces the ``+`` of a version with ``_`` in the tag."""
    version = "0.3.0+build.7"
    metadata = {
        "apiVersion": "v2",
        "name": "shop",
        "version": version,
        "appVersion": "2.4.1",
        "description": "The shop on Kubernetes",
        "type": "application",
        "home": "https://shop.example.test",
        "sources": [f"{SOURCE}/charts"],
        "keywords": ["shop", "fruit"],
        "maintainers": [{"name": "The orchard team", "email": "team@example.test"}],
        "dependencies": [
            {"name": "cellar", "version": "4.x", "repository": "https://charts.example.test"}
        ],
    }
    deployment = (
        "apiVersion: apps/v1\nkind: Deployment\nmetadata:\n  name: {{ .Release.Name }}\nspec:\n"
        "  replicas: {{ .Values.replicas }}\n  selector:\n    matchLabels: {app: shop}\n"
        "  template:\n    metadata:\n      labels: {app: shop}\n    spec:\n      containers:\n"
        "        - name: backend\n          image: {{ .Values.image }}\n"
    )
    files = {
        "values.yaml": "replicas: 2\nimage: registry.example.test/orchard/shop/backend:2.4.1\n",
        "templates/deployment.yaml": deployment,
        "README.md": "# shop\n\nDeploys the shop. Invented for a demonstration.\n",
    }
    return {version.replace("+", "_"): chart(metadata, files)}


def labels() -> Tags:
    """Return a sample: an artifact that is not an image, with files as ORAS pushes them."""
    files = {
        "labels.csv": b"fruit,price\napple,2\nplum,3\n",
        "harvest.txt": b"Invented for a demonstration.\n",
    }
    return {"2026": artifact(files)}


@cache
def agent(count: int = 300) -> Tags:
    """Return a sample: ``count`` tags of one image, which are versions and ``latest``.

    Each version has its own digest. All versions share their layers, so that each adds only a
    config and a manifest.
    """
    layers = [
        system(),
        layer(
            {"usr/local/bin/agent.sh": "#!/bin/sh\necho agent\n"}, "COPY agent.sh /usr/local/bin/"
        ),
    ]
    numbers = [f"1.{minor}.{patch}" for minor in range(count) for patch in range(4)][: count - 1]
    tags: dict[str, Manifest] = {}
    for age, version in enumerate(reversed(numbers)):
        entrypoint = Step('ENTRYPOINT ["agent.sh"]', created=BUILT - timedelta(days=age))
        tags[version] = image(
            [*layers, Step(f"ENV AGENT_VERSION={version}"), entrypoint],
            runtime={
                "Env": [PATH, f"AGENT_VERSION={version}"],
                "Entrypoint": ["agent.sh"],
                "Labels": {"org.opencontainers.image.version": version},
            },
        )
    return {**dict(reversed(tags.items())), "latest": tags[numbers[-1]]}
