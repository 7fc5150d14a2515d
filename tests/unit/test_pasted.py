"""What people paste, and what of it is a reference."""

from __future__ import annotations

import pytest

from registry_ui.names import NameInvalid
from registry_ui.reference_parser import MAX_PASTED_LENGTH, AnotherRegistry, parse_pasted

HOST = "registry.example:5000"
DIGEST = "sha256:" + "a" * 64


@pytest.mark.parametrize(
    ("text", "reference"),
    [
        ("group/app:1.0", "group/app:1.0"),
        ("  group/app  ", "group/app"),
        (f"{HOST}/group/app:1.0", "group/app:1.0"),
        (f"REGISTRY.example:5000/group/app@{DIGEST}", f"group/app@{DIGEST}"),
        (f"group/app:1.0@{DIGEST}", f"group/app:1.0@{DIGEST}"),
        (f"docker pull {HOST}/group/app:1.0", "group/app:1.0"),
        (f"$ docker pull --quiet {HOST}/group/app:1.0", "group/app:1.0"),
        (f"podman push group/app:1.0 {HOST}/group/other", "group/other"),
        (f"docker tag busybox {HOST}/group/app:1.0", "group/app:1.0"),
        (f"The push refers to repository [{HOST}/group/app]", "group/app"),
        (f"Status: Downloaded newer image for {HOST}/group/app:1.0", "group/app:1.0"),
        (f"docker-pullable://{HOST}/group/app@{DIGEST}", f"group/app@{DIGEST}"),
        (
            f'Failed to pull image "{HOST}/group/app:1.0": rpc error: code = Unknown',
            "group/app:1.0",
        ),
        (f"Error: initializing source docker://{HOST}/group/app:1.0: reading", "group/app:1.0"),
        (f'Error: Head "http://{HOST}/v2/group/app/manifests/1.0": denied: no', "group/app:1.0"),
        (f'Get "https://{HOST}/v2/group/app/manifests/{DIGEST}": EOF', f"group/app@{DIGEST}"),
        (f"pull access denied for {HOST}/group/app, repository does not exist", "group/app"),
        (f"docker pull old.{HOST}/x/y {HOST}/group/app", "group/app"),
        (f"FROM {HOST}/group/app:1.0 AS build", "group/app:1.0"),
        (f'image: "{HOST}/group/app:1.0"', "group/app:1.0"),
        (f"docker://{HOST}/group/app:1.0", "group/app:1.0"),
        (f"skopeo inspect docker://{HOST}/group/app:1.0", "group/app:1.0"),
        (f"https://{HOST}/group/app:1.0", "group/app:1.0"),
        (f"helm pull oci://{HOST}/group/chart --version 1.2.3+4", "group/chart:1.2.3_4"),
        ("oci://group/chart", "group/chart"),
        ("docker", "docker"),
    ],
)
def test_a_reference_is_found_in_what_people_have_in_hand(text, reference):
    assert str(parse_pasted(text, HOST)) == reference


@pytest.mark.parametrize(
    "text", ["docker.io/library/nginx:1", "localhost/x/y", "localhost:5001/a/b", "https://a.b/c"]
)
def test_a_reference_of_another_registry_is_named_as_such(text):
    with pytest.raises(AnotherRegistry, match=r"this is registry\.example:5000"):
        parse_pasted(text, HOST)


@pytest.mark.parametrize(
    ("text", "reference"),
    [
        ("docker.io/library/nginx:1", "docker.io/library/nginx:1"),
        ("docker pull quay.io/org/app", "quay.io/org/app"),
        ("https://a.b/c", "a.b/c"),
        ("helm pull oci://ghcr.io/org/chart --version 1.2+3", "ghcr.io/org/chart:1.2_3"),
        ("localhost:5001/a/b", None),
        ("Quay.io/a/b", None),
    ],
)
def test_it_may_be_one_of_ours_if_a_namespace_can_have_the_name_of_the_host(text, reference):
    with pytest.raises(AnotherRegistry) as caught:
        parse_pasted(text, HOST)
    found = caught.value.reference
    assert (str(found) if found else None) == reference


@pytest.mark.parametrize(
    ("text", "reference"),
    [
        (f"{HOST}/quay.io/org/app:1", "quay.io/org/app:1"),
        (f"docker pull {HOST}/library/nginx", "library/nginx"),
        (f"docker pull {HOST}/nginx:1.25", "nginx:1.25"),
        ("library/nginx:1", "library/nginx:1"),
    ],
)
def test_after_our_own_host_a_dot_is_a_part_of_the_path(text, reference):
    assert str(parse_pasted(text, HOST)) == reference


NONE = ["", " ", "--", "A/B", "a//b", "group/app:", "group/app@sha256:12", "a/b\0:1", "ä/ö"]
NONE += [
    "docker pull A/B",
    "helm pull oci://a/b --version \N{SNOWMAN}",
    "a" * (MAX_PASTED_LENGTH + 1),
]


@pytest.mark.parametrize("text", NONE)
def test_what_is_no_reference_is_refused(text):
    with pytest.raises(NameInvalid):
        parse_pasted(text, HOST)
