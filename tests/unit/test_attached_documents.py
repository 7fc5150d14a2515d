"""SBOMs, provenance and charts read without trust: whatever stands in them, nothing is raised."""

from __future__ import annotations

import base64
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry_ui.artifacts.sbom import MAX_TYPES, package_table
from registry_ui.distribution.chart import Chart, read_chart
from registry_ui.distribution.manifest import Descriptor
from registry_ui.distribution.provenance import Provenance, read_provenance
from registry_ui.distribution.sbom import MAX_PACKAGES, Package, read_packages
from registry_ui.distribution.statement import MAX_PARTS, can_be_read, read_statement
from registry_ui.distribution.untrusted import TOO_MANY

IN_TOTO = "application/vnd.in-toto+json"
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner),
    max_leaves=12,
)
#: The names that the readers look for, with anything below them.
NAMES = [
    name
    for line in (
        "predicateType predicate subject payload dsseEnvelope spdxVersion packages bomFormat",
        "components name version purl licenses license externalRefs buildDefinition runDetails",
        "invocation metadata materials builder configSource parameters externalParameters",
        "resolvedDependencies maintainers dependencies sources keywords",
    )
    for name in line.split()
]
SHAPED = st.recursive(
    ANYTHING, lambda inner: st.dictionaries(st.sampled_from(NAMES), inner), max_leaves=20
)


@given(SHAPED)
def test_any_document_is_read_to_something_that_the_store_can_hold(document):
    for kind in ("https://slsa.dev/provenance/v1", "https://spdx.dev/Document", "x"):
        statement = {"predicateType": kind, "predicate": document, "subject": document}
        for value in (document, statement):
            found = read_statement(json.dumps(value).encode())
            json.dumps(found.summary)
    chart = read_chart(json.dumps(document).encode())
    assert Chart.from_json(json.loads(json.dumps(chart.to_json()))) == chart
    told = read_provenance(document)
    assert Provenance.from_json(json.loads(json.dumps(told.to_json()))) == told


def descriptor(media_type, predicate_type=""):
    return Descriptor("sha256:" + "a" * 64, media_type, 1, predicate_type=predicate_type)


@pytest.mark.parametrize(
    ("media_type", "predicate_type", "read"),
    [
        (IN_TOTO, "https://spdx.dev/Document", True),
        (IN_TOTO, "https://slsa.dev/provenance/v1", True),
        (IN_TOTO, "https://cyclonedx.org/bom/v1.5", True),
        (IN_TOTO, "", True),
        (IN_TOTO, "https://example.test/secrets", False),
        ("application/vnd.dsse.envelope.v1+json", "https://slsa.dev/provenance/v0.2", True),
        ("application/spdx+json", "", True),
        ("application/vnd.cyclonedx+json", "", True),
        ("application/vnd.dev.sigstore.bundle.v0.3+json", "", True),
        ("application/vnd.oci.image.layer.v1.tar+gzip", "https://spdx.dev/Document", False),
        ("application/json", "", False),
    ],
)
def test_only_what_its_types_call_a_document_is_fetched(media_type, predicate_type, read):
    assert can_be_read(descriptor(media_type, predicate_type)) is read


def test_what_has_too_many_parts_is_not_parsed():
    body = b'{"spdxVersion": "SPDX-2.3", "packages": [' + b"{}," * MAX_PARTS + b"{}]}"
    found = read_statement(body)
    assert (found.kind, found.summary["problem"]) == ("unreadable", TOO_MANY)
    payload = base64.b64encode(body).decode()
    assert read_statement(json.dumps({"payload": payload}).encode()).summary["problem"] == TOO_MANY


def test_more_packages_than_anyone_reads_are_cut():
    packages = [{"name": f"p{n}"} for n in range(MAX_PACKAGES + 5)]
    found = read_packages({"spdxVersion": "SPDX-2.3", "packages": packages})
    assert len(found) == MAX_PACKAGES


def test_the_image_itself_is_no_package():
    packages = [{"name": "app", "primaryPackagePurpose": "CONTAINER"}, {"name": "bash"}]
    found = read_packages({"spdxVersion": "SPDX-2.3", "packages": packages})
    assert found == [Package("bash", "", "", "")]


@pytest.mark.parametrize(
    ("purl", "kind"),
    [
        ("pkg:deb/debian/bash@5.2?arch=amd64", "deb"),
        ("pkg:NPM/%40a/b@1", "npm"),
        ("pkg:golang/github.com/a/b", "golang"),
        ("pkg:<b>/x", "<b>"),
        ("pkg:" + "a" * 41 + "/x", ""),
        ("https://evil.example", ""),
        (7, ""),
    ],
)
def test_the_type_of_a_package_is_that_of_its_purl(purl, kind):
    item = {"name": "x", "externalRefs": [{"referenceType": "purl", "referenceLocator": purl}]}
    (found,) = read_packages({"spdxVersion": "SPDX-2.3", "packages": [item]})
    assert found.type == kind


def test_components_in_components_are_followed_only_so_deep():
    component = {"type": "library", "name": "x"}
    for _ in range(50):
        component = {"type": "library", "name": "x", "components": [component]}
    found = read_packages({"bomFormat": "CycloneDX", "components": [component]})
    assert len(found) == 9


def test_provenance_of_github_names_repository_and_commit():
    found = read_provenance(
        {
            "buildDefinition": {
                "buildType": "https://actions.github.io/buildtypes/workflow/v1",
                "externalParameters": {
                    "workflow": {"ref": "refs/heads/main", "repository": "https://github.com/a/b"}
                },
                "resolvedDependencies": [
                    {
                        "uri": "git+https://github.com/a/b@refs/heads/main",
                        "digest": {"gitCommit": "c0ffee"},
                    }
                ],
            },
            "runDetails": {"builder": {"id": "https://github.com/actions/runner"}},
        }
    )
    assert (found.source, found.revision) == ("https://github.com/a/b", "c0ffee")
    assert ("ref", "refs/heads/main") in found.parameters


def test_provenance_of_buildkit_names_what_version_control_told():
    vcs = {"source": "https://git.example/a.git", "revision": "abc"}
    found = read_provenance(
        {
            "invocation": {"parameters": {"args": {"build-arg:A": "1"}}},
            "metadata": {"https://mobyproject.org/buildkit@v1#metadata": {"vcs": vcs}},
        }
    )
    assert (found.source, found.revision) == (vcs["source"], vcs["revision"])
    assert found.parameters == (("build-arg:A", "1"),)


def test_of_thousands_of_types_the_frequent_ones_are_offered_and_the_one_that_is_shown():
    packages = [Package("p", "1", f"t{n:05}", "") for n in range(10_000)]
    packages += [Package("p", "2", "deb", "")]
    packages += [Package("p", "3", "deb", "")]
    table = package_table(packages, kind="t09999")
    assert table.types[0] == ("deb", 2)
    assert table.types[-1] == ("t09999", 1)
    assert len(table.types) == MAX_TYPES + 1
    assert package_table(packages[-2:], kind="deb").types == [("deb", 2)]
